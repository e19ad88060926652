from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system; it is gone afterwards."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        if Path(folder).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is but one file system")
        yield Path(folder)


@pytest.fixture
def opened() -> Callable[[Path], AbstractContextManager[int]]:
    """A folder as a descriptor, for as long as the context lasts."""
    @contextmanager
    def open_folder(path: Path) -> Iterator[int]:
        descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    return open_folder
