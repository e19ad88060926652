"""A folder for a scratch server or a drill, which goes with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_YOUNG_SECONDS = 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def private_folder(parent: Path | None, prefix: str) -> Iterator[Path]:
    """A new folder below `parent` (None: the system's), gone afterwards.

    Those of the same prefix whose processes were killed go too: a lock on each says whose is alive.
    """
    parent = parent or Path(tempfile.gettempdir())
    sweep_folders(parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    lock = os.open(folder, _FOLDER)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep_folders(parent: Path, prefix: str) -> None:
    """Remove those whose processes were killed."""
    for folder in parent.glob(f"{prefix}*"):
        with suppress(OSError):  # somebody else's, locked, or gone meanwhile
            _remove_dead(folder)


def _remove_dead(folder: Path) -> None:
    lock = os.open(folder, _FOLDER)
    try:
        # One that was just made may not be locked yet.
        if os.fstat(lock).st_mtime < time.time() - _YOUNG_SECONDS:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
    finally:
        os.close(lock)
