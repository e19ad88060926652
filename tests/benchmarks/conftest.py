"""A machine on which nobody installed restic or borg, nor can."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def no_rivals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything else that is on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for place in map(Path, os.get_exec_path()):
        for program in place.glob("*"):
            link = folder / program.name
            if program.name not in {"restic", "borg", "apt-get"} and not link.is_symlink():
                link.symlink_to(program)
    monkeypatch.setenv("PATH", str(folder))
