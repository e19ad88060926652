"""`make test` installs a browser where one is root, and goes on without one where that cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def browser(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tools.browser"], cwd=ROOT, check=False, text=True,
                          capture_output=True, env={**os.environ, "PATH": str(path)})


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_where_there_is_a_browser_nothing_is_done_or_said(tmp_path: Path, name: str) -> None:
    program(tmp_path, name, "exit 1")
    program(tmp_path, "apt-get", "exit 1")
    done = browser(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_root_gets_one_and_others_are_told_what_to_do(tmp_path: Path) -> None:
    program(tmp_path, "apt-get", f'echo "$*" >> {tmp_path}/calls')
    done = browser(tmp_path)
    assert done.returncode == 0
    if os.geteuid() == 0:
        calls = (tmp_path / "calls").read_text()
        assert "install --yes --no-install-recommends chromium fonts-liberation\n" in calls
        assert len(done.stdout.splitlines()) == 1
    else:
        assert not (tmp_path / "calls").exists()
        assert "as root: apt-get install" in done.stderr


def test_where_it_cannot_be_installed_the_tests_go_on_and_are_told_why(tmp_path: Path) -> None:
    program(tmp_path, "apt-get", "echo no network >&2; exit 100")
    done = browser(tmp_path)
    assert done.returncode == 0
    assert "tests of pages are skipped" in done.stderr
    assert os.geteuid() != 0 or "no network" in done.stderr


def test_installing_and_the_demo_need_no_browser() -> None:
    makefile = (ROOT / "Makefile").read_text()
    users = [line.split(":")[0] for line in makefile.split("\n\n") if "tools.browser" in line]
    assert set(users) == {"test", "screenshots"}
