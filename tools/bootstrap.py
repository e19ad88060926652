"""Make the virtual environment, on a machine where nothing was prepared.

    python3 -m tools.bootstrap VENV           GnuPG, the environment, pip, and requirements.lock
    python3 -m tools.bootstrap --bare VENV    the environment and pip only

Needs Python 3.11 and its standard library. A plain Debian has neither ensurepip nor pip: there a
pinned pip comes from the package index that pip itself would use. Running it again does nothing
until the lock changes; what an interrupted run left behind is made anew.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.pip_index import WheelError, fetch

PYTHON_NEEDED = (3, 11)
PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
ROOT = Path(__file__).resolve().parent.parent
INSPECTED = ("requirements.lock", "pyproject.toml")
COMPILED = ("nightscan_tasks", "worker", "beat_schedule.py")
INSTALL_GPG = "apt-get install --yes --no-install-recommends gnupg"


class BootstrapError(Exception):
    """What is wrong, and what to do about it, for a person."""


def main(arguments: Sequence[str]) -> int:
    """Status 0 when everything is there, 1 when a person has to do something."""
    parser = argparse.ArgumentParser(description="Make the virtual environment.")
    parser.add_argument("--bare", action="store_true", help="the environment and pip only")
    parser.add_argument("venv", type=Path, help="where, for example .venv")
    wanted = parser.parse_args(arguments)
    try:
        require_python()
        if not wanted.bare:
            require_gpg()
        with alone():
            install(wanted.venv.absolute(), bare=wanted.bare)
            if not wanted.bare:
                compile_sources(wanted.venv.absolute())
    except (BootstrapError, WheelError, OSError) as exc:
        print(f"\n{exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; the next `make install` starts afresh", file=sys.stderr)
        return 130
    return 0


def install(target: Path, *, bare: bool) -> None:
    """Bring the environment to what the lock says. `installed` in it is written last."""
    wanted = fingerprint(target, bare=bare)
    if has(target, "installed", wanted) and not (target / "installing").exists():
        print(f"{shown(target)} is up to date")
        return
    prepare(target)
    (target / "installing").touch()
    (target / "installed").unlink(missing_ok=True)
    if not works(target):
        make_venv(target)
    if not bare:
        lock = ROOT / "requirements.lock"
        count = sum("==" in line for line in lock.read_text(encoding="utf-8").splitlines())
        with step(f"{count} packages of requirements.lock, checked by hash"):
            pip(target, "install", "--no-user", "--require-hashes", "-r", str(lock))
        with step("this project, editable"):
            pip(target, "install", "--no-user", "--no-deps", "--no-index",
                "--no-build-isolation", "-e", str(ROOT))
    (target / "installed").write_text(wanted, encoding="utf-8")
    (target / "installing").unlink()


def compile_sources(target: Path) -> None:
    """Compile what was changed, for users who may not write here: each of their commands would do it anew."""
    there = [str(ROOT / name) for name in COMPILED if (ROOT / name).exists()]
    if there and os.access(ROOT, os.W_OK):
        run([python_of(target), "-I", "-m", "compileall", "-q", *there])


def fingerprint(target: Path, *, bare: bool) -> str:
    """Changes when the environment has to: lock, project, interpreter; its place is line two."""
    parts = [str(bare), sys.version, sys.base_prefix]
    if not bare:
        parts += [(ROOT / name).read_text(encoding="utf-8") for name in INSPECTED]
    return f"{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()}\n{target}\n"


def has(target: Path, name: str, text: str) -> bool:
    """Whether that file of the environment says exactly that."""
    try:
        return (target / name).read_text(encoding="utf-8") == text
    except OSError:
        return False


def prepare(target: Path) -> None:
    """An environment to go on with, or an empty folder; nothing that is not ours is removed."""
    begun, whole = (target / "installing").exists(), (target / "pyvenv.cfg").exists()
    if target.exists() and any(target.iterdir()) and not (begun or whole):
        raise BootstrapError(f"{target} is not a virtual environment: move it away, or name "
                             "another place: make install VENV=…")
    if target.exists() and (begun or not works(target) or moved(target)):
        with step(f"removing {shown(target)}, which is incomplete or was moved"):
            for entry in target.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise BootstrapError(f"cannot make {target}: {exc.strerror}") from exc


def moved(target: Path) -> bool:
    """Whether it was installed at another place: its programs then name an interpreter there."""
    try:
        return (target / "installed").read_text(encoding="utf-8").splitlines()[1] != str(target)
    except (OSError, IndexError):
        return False


def works(target: Path) -> bool:
    """Whether the environment has a Python of this version, at this place, with pip."""
    config = target / "pyvenv.cfg"
    question = "import sys, pip; print(*sys.version_info[:2], sys.prefix)"
    with contextlib.suppress(OSError):
        answer = subprocess.run([python_of(target), "-I", "-c", question], check=False,
                                capture_output=True, text=True)
        same = f"{sys.version_info[0]} {sys.version_info[1]} {target}"
        return config.exists() and answer.returncode == 0 and answer.stdout.strip() == same
    return False


def make_venv(target: Path) -> None:
    """Make the environment and put pip in it, from ensurepip where Python has it."""
    with step(f"{shown(target)} with Python {sys.version.split()[0]}"):
        venv.EnvBuilder(symlinks=True).create(target)
    if importlib.util.find_spec("ensurepip") is not None:
        with step("pip, from ensurepip"):
            run([python_of(target), "-I", "-m", "ensurepip", "--default-pip"])
        return
    with step(PIP_WHEEL), tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder) / PIP_WHEEL
        wheel.write_bytes(fetch(PIP_WHEEL, PIP_SHA256))
        run([python_of(target), "-I", f"{wheel}/pip", "install", "--quiet", "--no-user",
             "--no-index", "--no-deps", str(wheel)])


def python_of(target: Path) -> str:
    """The environment's interpreter."""
    return str(target / "bin" / "python")


def pip(target: Path, *arguments: str) -> None:
    """Run the environment's own pip, with this machine's configuration of pip."""
    run([python_of(target), "-I", "-m", "pip", "--quiet", "--disable-pip-version-check",
         *arguments])


def require_python() -> None:
    """The interpreter is new enough."""
    if sys.version_info[:2] < PYTHON_NEEDED:
        needed, found = ".".join(map(str, PYTHON_NEEDED)), sys.version.split()[0]
        raise BootstrapError(f"Python {needed} or newer is needed, and {sys.executable} is "
                             f"{found}; name another one: make install PYTHON=python{needed}")


def require_gpg() -> None:
    """GnuPG, the only system package: installed with apt-get when root, else asked for."""
    if shutil.which("gpg"):
        return
    if not shutil.which("apt-get"):
        raise BootstrapError("GnuPG is missing: no program `gpg`; install the package of your "
                             "system, for example: dnf install gnupg2")
    if os.geteuid() != 0:
        raise BootstrapError("GnuPG is missing: no program `gpg`; run this as root, then make "
                             f"again:\n  apt-get update && {INSTALL_GPG}")
    with step(f"GnuPG is missing: {INSTALL_GPG}"):
        apt_get(INSTALL_GPG)


def apt_get(install: str, *, seconds: float | None = None) -> None:
    """Run a command of apt-get that installs; where the lists are missing or too old, with new ones."""
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if not list(Path("/var/lib/apt/lists").glob("*Packages*")):
        run(["apt-get", "update"], environ, seconds)
    try:
        run(install.split(), environ, seconds)
    except BootstrapError:  # the lists may be older than the packages
        run(["apt-get", "update"], environ, seconds)
        run(install.split(), environ, seconds)


def run(command: Sequence[str], environ: dict[str, str] | None = None,
        seconds: float | None = None) -> None:
    """Run it without a terminal, for so long at most; what it printed is shown when it fails."""
    shown_as = " ".join(command)
    try:
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace", env=environ, timeout=seconds)
    except subprocess.TimeoutExpired as exc:
        raise BootstrapError(f"{shown_as}\nhad not ended after {exc.timeout:.0f} s") from exc
    if done.returncode != 0:
        printed = (done.stdout + done.stderr).strip()
        raise BootstrapError(f"{shown_as}\nended with status {done.returncode}:\n{printed}")


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """One line for each step: what it is at once, how long it took at its end."""
    started = time.monotonic()
    print(f"{what} … ", end="", flush=True)
    yield
    print(f"{time.monotonic() - started:.1f} s", flush=True)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Only one installation of this checkout at a time; a second one waits."""
    with Path(__file__).open("rb") as here:
        fcntl.flock(here, fcntl.LOCK_EX)
        yield


def shown(path: Path) -> str:
    """The path as a person in the checkout would write it."""
    return os.path.relpath(path, ROOT) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
