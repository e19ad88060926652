"""Where a contest works: a folder on a disk, with room enough, gone at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nightscan_tasks.wording import count, size

_IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs")


class NoRoom(Exception):
    """Why a contest cannot be held there, and where else."""


@dataclass(frozen=True)
class Need:
    """What a contest takes of a disk, at its fullest."""

    disk_bytes: int
    files: int


@contextmanager
def scratch(parent: Path, need: Need, *, keep: Path | None = None) -> Iterator[Path]:
    """A new folder in `parent`, removed at the end; or `keep`, which stays.

    `NoRoom` where it would be held in memory, or where there is less free than it needs.
    """
    place = (keep or parent).absolute()
    place.mkdir(parents=True, exist_ok=True)
    check(place, need)
    if keep is not None:
        if any(place.iterdir()):
            raise NoRoom(f"{place} is not empty: name a new folder to keep")
        yield place
        return
    folder = Path(tempfile.mkdtemp(prefix="nightscan-bench-", dir=place))
    folder.chmod(0o711)  # PostgreSQL, where we are root, is somebody else who has to pass through
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check(place: Path, need: Need) -> None:
    """`NoRoom` unless the place is on a disk, and has room."""
    kind = filesystem(place)
    if kind in _IN_MEMORY:
        raise NoRoom(f"{place} is in memory ({kind}), and a backup goes to a disk: name another place with "
                     f"--scratch DIR")
    found = os.statvfs(place)
    free_bytes, free_files = found.f_bavail * found.f_frsize, found.f_favail
    if free_bytes < need.disk_bytes:
        raise NoRoom(f"{place} has {size(free_bytes)} free, and {size(need.disk_bytes)} are needed: name "
                     f"another place with --scratch DIR")
    if found.f_files and free_files < need.files:  # some file systems do not count them
        raise NoRoom(f"{place} has room for {count(free_files, 'file')}, and {need.files:,} are needed: name "
                     f"another place with --scratch DIR")


def filesystem(place: Path) -> str:
    """Its kind, as `stat` names it: `ext2/ext3`, `xfs`, `tmpfs`."""
    stat = shutil.which("stat") or "/usr/bin/stat"
    asked = subprocess.run([stat, "--file-system", "--format=%T", place], capture_output=True, text=True,
                           check=True)
    return asked.stdout.strip()


def bytes_below(folder: Path) -> int:
    """The sizes of all files below it, together; 0 where there is no such folder."""
    total = 0
    for parent, _, names in os.walk(folder):
        total += sum(os.lstat(f"{parent}/{name}").st_size for name in names)
    return total


def put_away(folder: Path) -> None:
    """Take a folder away, and its bytes, but leave its files, empty, until the end.

    ext4 gives out no inode again for minutes after its file was removed, and looks past each of them whenever
    a file is made: the next restore would pay for it, and whoever makes most files pays most.
    """
    if not folder.exists():
        return
    away = folder.with_name(f"{folder.name}.away")
    away.mkdir(exist_ok=True)
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            if not path.is_symlink():
                os.truncate(path, 0)
    folder.rename(away / str(len(list(away.iterdir()))))


def empty(folder: Path) -> Path:
    """The folder, with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
