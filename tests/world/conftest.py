"""Looking at processes from outside, and a folder that an ordinary user may enter."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest


@pytest.fixture
def living_in() -> Callable[[Path], dict[int, str]]:
    """The running processes whose working folder is below a folder, and what they are."""
    return _living_in


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter and write; pytest's own is closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="nightscan-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def _living_in(folder: Path) -> dict[int, str]:
    found = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            inside = (entry / "cwd").readlink().is_relative_to(folder)
            if entry.name.isdigit() and inside and "\nState:\tZ" not in _status(entry):
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
    return found


def _status(entry: Path) -> str:
    return (entry / "status").read_text()
