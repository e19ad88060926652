"""A copy of this checkout that compose builds and brings up, and how to see into its containers."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.hands import wait_until

ROOT = Path(__file__).resolve().parents[2]
INSIDE = Path(__file__).with_name("inside.py")
USER = os.getuid() or 1000
"""The number of the containers' user."""

# Read now: tests have an environment without it.
_NETWORK = os.environ.get("TEST_BUILD_NETWORK", "")
_FILES = ("compose.yaml", "compose.embedded.yaml", "test.yaml")
_ASK_SECONDS = 60
_INSIDE_SECONDS = 600
_UP_SECONDS = 300


@dataclass(frozen=True)
class Engine:
    """The commands that reach an engine, and the image to build from."""

    environ: Mapping[str, str]
    composer: tuple[str, ...]
    base: str

    def docker(self, *arguments: str, check: bool = True, given: str = "", seconds: float = _ASK_SECONDS,
               ) -> subprocess.CompletedProcess[str]:
        return run(["docker", *arguments], self.environ, check=check, given=given, seconds=seconds)

    def inspect(self, thing: str) -> dict[str, Any]:
        (found,) = json.loads(self.docker("inspect", thing).stdout)
        assert isinstance(found, dict)
        return found

    def of_project(self, kind: str, project: str) -> list[str]:
        """The containers, volumes or networks that compose made for a project."""
        command = {"container": ["ps", "--all"], "volume": ["volume", "ls"], "network": ["network", "ls"]}
        shown = {"container": "{{.Names}}"}.get(kind, "{{.Name}}")
        return self.docker(*command[kind], "--filter", f"label=com.docker.compose.project={project}",
                           "--format", shown).stdout.split()


@dataclass(frozen=True)
class Site:
    """A copy of what the images are built from, and compose's settings for it."""

    engine: Engine
    folder: Path
    environ: Mapping[str, str]

    @property
    def project(self) -> str:
        return self.environ["COMPOSE_PROJECT_NAME"]

    def compose(self, *arguments: str, check: bool = True, seconds: float = _UP_SECONDS,
                ) -> subprocess.CompletedProcess[str]:
        files = (word for name in _FILES for word in ("--file", name))
        return run([*self.engine.composer, *files, *arguments], self.environ, check=check, seconds=seconds,
                   folder=self.folder / "compose")

    def container(self, service: str) -> str:
        """The id of a service's only container that runs."""
        shown = self.engine.docker(
            "ps", "--quiet", "--no-trunc", "--filter", f"label=com.docker.compose.project={self.project}",
            "--filter", f"label=com.docker.compose.service={service}")
        (found,) = shown.stdout.split()
        return found

    def inside(self, service: str, *argv: str, check: bool = True, given: str = "",
               ) -> subprocess.CompletedProcess[str]:
        return self.engine.docker("exec", "--interactive", self.container(service), *argv, check=check,
                                  given=given, seconds=_INSIDE_SECONDS)

    def live(self, *what: str) -> dict[str, Any]:
        """Fill, change or lose what is live, where it can be written; then all that is live."""
        told = self.inside("worker-restore", "python", "-", *what, given=INSIDE.read_text()).stdout
        found: dict[str, Any] = json.loads(told.splitlines()[-1])
        return found


def make_site(engine: Engine, folder: Path, settings: Mapping[str, str]) -> Site:
    """Copy what builds and starts everything; secrets are made for it, and ports chosen."""
    checkout = folder / "checkout"
    _copy_checkout(checkout)
    flower, page = _free_ports(2)
    environ = {**engine.environ, "COMPOSE_PROJECT_NAME": f"nightscan-test-{secrets.token_hex(4)}",
               "PYTHON_IMAGE": engine.base, "NIGHTSCAN_UID": str(USER),
               "NIGHTSCAN_ROOT": str(folder / "opt/nightscan"), "NIGHTSCAN_ETC": str(folder / "etc"),
               "NIGHTSCAN_GPG_RECIPIENT": "", "FLOWER_PORT": str(flower), "PAGE_PORT": str(page), **settings}
    site = Site(engine, checkout, environ)
    (checkout / "compose/test.yaml").write_text(yaml.safe_dump(_overrides()))
    run(["./make-secrets"], environ, folder=checkout / "compose")
    return site


@contextmanager
def brought_up(site: Site) -> Iterator[Site]:
    """Everything running, until the context ends."""
    try:
        site.compose("up", "--detach", "--no-build")
        yield site
    finally:
        site.compose("down", "--volumes", "--timeout", "20", check=False)


def states(site: Site) -> dict[str, str]:
    """How each container of a site is, by its service."""
    shown = site.engine.docker(
        "ps", "--all", "--filter", f"label=com.docker.compose.project={site.project}",
        "--format", '{{.Label "com.docker.compose.service"}} {{.Status}}').stdout
    return dict(line.split(" ", 1) for line in shown.splitlines())


def healthy(site: Site) -> Mapping[str, str]:
    """Wait until each container that says how it is, is well; and what each said."""
    def well() -> dict[str, str] | None:
        found = states(site)
        good = all("(healthy)" in state or "Exited (0)" in state for state in found.values())
        return found if found and good else None

    try:
        found: dict[str, str] = wait_until(well, "healthy containers", seconds=_UP_SECONDS)
    except AssertionError as exc:
        logs = site.compose("logs", "--tail", "30", check=False).stdout
        raise AssertionError(f"{exc}: {states(site)}\n{logs}") from None
    return found


def own(folder: Path) -> None:
    """Let the containers' user own a folder and what is in it."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, -1, follow_symlinks=False)


def _overrides() -> dict[str, Any]:
    """Short leases and early health checks, and the build's network."""
    short = {"NIGHTSCAN_LEASE_SECONDS": 6, "NIGHTSCAN_RETRY_SECONDS": 1, "NIGHTSCAN_DEADLINE_SECONDS": 900,
             "NIGHTSCAN_VISIBILITY_SECONDS": 1000}
    network = {"build": {"network": _NETWORK}} if _NETWORK else {}
    workers: dict[str, Any] = {
        f"worker-{queue}": {"environment": short, "healthcheck": {"interval": "2s"}}
        for queue in ("fast", "heavy", "restore", "control")}
    others: dict[str, Any] = {name: {"healthcheck": {"interval": "2s"}} for name in (
        "beat", "flower", "page", "postgres", "redis", "broker", "s3")}
    services = {**workers, **others}
    services["worker-heavy"]["cpu_shares"] = 1024  # it need not give way to other tests
    for name in ("worker-fast", "postgres"):
        services[name] = {**services[name], **network}
    services["beat"]["environment"] = services["page"]["environment"] = short
    return {"services": services}


def _copy_checkout(target: Path) -> None:
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    for name in (*allowed, ".dockerignore", "compose"):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("__pycache__", "secrets", ".env"))
        else:
            shutil.copy(ROOT / name, target / name)


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def run(command: Sequence[str], environ: Mapping[str, str], *, check: bool = True, given: str = "",
         seconds: float = _ASK_SECONDS, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, env=environ, cwd=folder, input=given, capture_output=True, text=True,
                          timeout=seconds, check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout[-4000:]}"
                             f"\n{done.stderr[-4000:]}")
    return done
