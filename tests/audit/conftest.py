"""A NightScan of files alone: it needs no server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nightscan_tasks.settings import load
from nightscan_tasks.system import System


@pytest.fixture
def small(tmp_path: Path) -> dict[str, str]:
    """Settings of an application that has only its folder and its store."""
    for name in ("root", "etc", "temp"):
        (tmp_path / name).mkdir()
    (tmp_path / "etc/crontab").write_text("# nothing\n")
    return {"NIGHTSCAN_ROOT": str(tmp_path / "root"), "NIGHTSCAN_ETC": str(tmp_path / "etc"),
            "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), "NIGHTSCAN_TEMP_DIR": str(tmp_path / "temp")}


@pytest.fixture
def system(small: dict[str, str]) -> System:
    return System(load(small))


@pytest.fixture
def child() -> Callable[..., subprocess.Popen[str]]:
    """Start Python code in a process of its own, with just these settings: `child(code, small, …)`."""

    def start(code: str, env: dict[str, str], *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", code, *words], env={**env, "PATH": "/usr/bin:/bin"},
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start
