"""The image is built from what it needs, and its scripts do what they say."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose"
SCRIPTS = ["entrypoint", "healthcheck", "make-secrets"]


def run(script: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMPOSE / script, *arguments], check=False, capture_output=True,
                          text=True, env={"PATH": "/usr/bin:/bin", **environ})


def test_everything_that_is_copied_exists_and_is_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines()
               if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (COMPOSE / "Dockerfile").read_text(),
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


def test_the_password_of_flower_goes_from_its_file_into_the_environment(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("operator:pass word\n")
    done = run("entrypoint", "env", FLOWER_BASIC_AUTH_FILE=str(tmp_path / "secret"))
    assert "FLOWER_BASIC_AUTH=operator:pass word" in done.stdout.splitlines()
    assert "FLOWER_BASIC_AUTH_FILE" not in done.stdout


def test_without_its_password_flower_does_not_start(tmp_path: Path) -> None:
    done = run("entrypoint", "echo", "started", FLOWER_BASIC_AUTH_FILE=str(tmp_path / "none"))
    assert done.returncode != 0
    assert "started" not in done.stdout


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
