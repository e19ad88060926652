"""Where, when and with what something was measured."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.ask import Ask
from benchmarks.outcome import Head
from benchmarks.scratch import filesystem
from nightscan_tasks.wording import size
from nightscan_tasks.world.service import embedded

_ROOT = Path(__file__).resolve().parent.parent
_ASKED = ("restic version", "borg --version", "tar --version", "gzip --version", "gpg --version")


def head(place: Path, ask: Ask) -> Head:
    """The machine as it is now; `place` is where the contest works."""
    return Head(tuple(_facts(place)), ask.seed, ask.rounds, ask.scale, ask.only)


def _facts(place: Path) -> Iterator[tuple[str, str]]:
    yield "date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    yield "commit", commit()
    yield "processor", f"{os.cpu_count()} cores, {_processor()}"
    yield "memory", size(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    yield "file system", filesystem(place)
    yield "busy before", f"load average {os.getloadavg()[0]:.1f}"
    yield "system", f"{_distribution()}, Linux {platform.release()}"
    yield "Python", platform.python_version()
    yield "PostgreSQL", str(embedded("postgres"))
    for command in _ASKED:
        yield command.partition(" ")[0], _version(command)


def commit() -> str:
    """The checkout's commit; with `+` where files differ from it."""
    try:
        git = ["git", "-C", str(_ROOT)]
        name = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True,
                              check=True)
        differs = subprocess.run([*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True,
                                 text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "not a checkout"
    return name.stdout.strip() + ("+" if differs.stdout.strip() else "")


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


def _version(command: str) -> str:
    """The number in the first line that a program prints of itself; `not here` where it does not run."""
    try:
        said = subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "not here"
    found = re.search(r"\d+(\.\d+)+", said)
    return found[0] if found else said.partition("\n")[0]
