"""A Docker engine where one answers, and images of this checkout.

The base image is TEST_PYTHON_IMAGE, or `nightscan-base` (compose/make-base), or what the Dockerfile
names, where it is at hand or can be pulled. TEST_BUILD_NETWORK=host lets a build use the host's
network; PIP_INDEX_URL and PIP_CERT reach it as they reach compose. compose/README.md tells how to try it all.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.compose.site import Engine, Site, make_site, run

# Read now: each test begins with an environment without them.
_BASE = os.environ.get("TEST_PYTHON_IMAGE", "")
_CONFIG = os.environ.get("DOCKER_CONFIG") or str(Path("~/.docker").expanduser())
_UNPINNED = "python:3.11-slim-bookworm"
_PULL_SECONDS = 300
_BUILD_SECONDS = 900


@dataclass(frozen=True)
class Images:
    """Ours, and the one with the servers, by the tags of this session."""

    engine: Engine
    ours: str
    servers: str
    site: Site


@pytest.fixture(scope="session")
def engine(clean_home: Path) -> Engine:
    """The engine, or why there is none."""
    if shutil.which("docker") is None:
        pytest.skip("no docker command here")
    environ = {**os.environ, "DOCKER_CONFIG": _CONFIG, "DOCKER_SCAN_SUGGEST": "false"}
    answer = run(["docker", "version", "--format", "{{.Server.Version}}"], environ, check=False)
    if answer.returncode:
        pytest.skip(f"no Docker engine answers: {_last(answer.stderr)}")
    composer = _composer(environ)
    if composer is None:
        pytest.skip("neither `docker compose` nor docker-compose here")
    if "DOCKER_HOST" not in environ:  # libraries know nothing of the command's contexts
        shown = run(["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"], environ)
        environ["DOCKER_HOST"] = shown.stdout.strip()
    engine = Engine(environ, composer, _BASE)
    base = next((image for image in ([_BASE] if _BASE else ["nightscan-base", _UNPINNED])
                 if _at_hand(engine, image)), "")
    if not base:
        pytest.skip(f"no base image: {_BASE or _UNPINNED} is neither at hand nor can be pulled; make one "
                    f"with compose/make-base, or name one in TEST_PYTHON_IMAGE")
    return Engine(environ, composer, base)


@pytest.fixture(scope="session")
def images(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    """Both images, built by compose from this checkout, until the session ends. The build's cache stays."""
    folder = tmp_path_factory.mktemp("images")
    mark = secrets.token_hex(4)
    ours, servers = f"nightscan-test-tasks:{mark}", f"nightscan-test-servers:{mark}"
    site = make_site(engine, folder, {"NIGHTSCAN_IMAGE": ours, "NIGHTSCAN_SERVERS_IMAGE": servers})
    try:
        with _alone(tmp_path_factory):
            for service in ("worker-fast", "postgres"):
                site.compose("build", service, seconds=_BUILD_SECONDS)
        _refuse_another_machine(engine, ours, folder)
        yield Images(engine, ours, servers, site)
    finally:
        for image in (servers, ours):
            engine.docker("rmi", "--no-prune", image, check=False)


@pytest.fixture(scope="session")
def give_keys(engine: Engine, gpg_home: Path) -> Callable[[Site], None]:
    """Put a pair of keys into a site's secrets."""

    def give(site: Site) -> None:
        folder = site.folder / "compose/secrets"
        for name, option in (("backup-public", "--export"), ("backup-private", "--export-secret-keys")):
            exported = run(["gpg", "--homedir", str(gpg_home), "--batch", "--armor", option,
                             "backup@nightscan.com"], site.environ).stdout
            (folder / f"{name}.asc").chmod(0o644)
            (folder / f"{name}.asc").write_text(exported)

    return give


def _composer(environ: Mapping[str, str]) -> tuple[str, ...] | None:
    for command in (("docker", "compose"), ("docker-compose",)):
        with suppress(FileNotFoundError):
            if run([*command, "version"], environ, check=False).returncode == 0:
                return command
    return None


def _at_hand(engine: Engine, image: str) -> bool:
    if engine.docker("image", "inspect", image, check=False).returncode == 0:
        return True
    if image == "nightscan-base":  # made, never pulled
        return False
    try:
        return engine.docker("pull", "--quiet", image, check=False, seconds=_PULL_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _refuse_another_machine(engine: Engine, image: str, folder: Path) -> None:
    """Folders of this machine are mounted: an engine elsewhere would mount empty ones."""
    seen = engine.docker("run", "--rm", "--user", "0", "--volume", f"{folder}:/seen:ro",
                         "--entrypoint", "test", image, "-d", "/seen/checkout", check=False)
    if seen.returncode:
        pytest.skip(f"the Docker engine at {engine.environ['DOCKER_HOST']} does not see this machine's files")


@contextmanager
def _alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One build at a time: the second session of a run then finds it all in the engine's cache."""
    base = tmp_path_factory.getbasetemp()
    place = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (place / "images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]
