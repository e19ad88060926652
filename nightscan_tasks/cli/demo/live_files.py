"""What is in folders now: every file with its hash, mode, owner, mtime, links and attributes."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path

from nightscan_tasks.cli.demo.proof import Thing

_LOG_DAYS = 7
_LEFT_OUT = ("*.tmp", "*.log.gz")  # by the guide; and folders called cache


def read_files(root: Path, folders: Iterable[str]) -> dict[str, Thing]:
    """Everything below these folders of `root`, by its path."""
    found = {}
    for folder in folders:
        for path in _walk(root / folder):
            name = os.fsdecode(os.path.relpath(os.fsencode(path), os.fsencode(root)))
            found[name] = _look(folder, path)
    return found


def left_out(name: str, thing: Thing, *, now: datetime) -> bool:
    """Whether the guide's rules leave a path out of user data: older logs, temporary files, caches."""
    parts = name.split("/")
    if "cache" in parts[:-1] or (parts[-1] == "cache" and thing.facts["kind"] == "directory"):
        return True
    if any(fnmatch(parts[-1], pattern) for pattern in _LEFT_OUT) and thing.facts["kind"] != "directory":
        return True
    oldest_ns = (now - timedelta(days=_LOG_DAYS)).timestamp() * 1e9
    mtime_ns = thing.facts["mtime_ns"]
    return (parts[0] == "logs" and thing.facts["kind"] != "directory"
            and isinstance(mtime_ns, int) and mtime_ns < oldest_ns)


def _walk(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    yield folder
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry)
        else:
            yield entry


def _look(group: str, path: Path) -> Thing:
    found = path.lstat()
    facts: dict[str, object] = {"mode": f"{stat.S_IMODE(found.st_mode):04o}", "mtime_ns": found.st_mtime_ns,
                                "owner": (found.st_uid, found.st_gid), "attributes": _attributes(path)}
    if stat.S_ISLNK(found.st_mode):
        return Thing(group, {**facts, "kind": "link", "to": str(path.readlink())})
    if stat.S_ISDIR(found.st_mode):
        return Thing(group, {**facts, "kind": "directory"}, count=0)
    if not stat.S_ISREG(found.st_mode):
        return Thing(group, {**facts, "kind": f"special {stat.S_IFMT(found.st_mode):o}"})
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return Thing(group, {**facts, "kind": "file", "content": content, "bytes": found.st_size,
                         "names": found.st_nlink}, size_bytes=found.st_size)


def _attributes(path: Path) -> tuple[tuple[str, bytes], ...]:
    with suppress(OSError):  # a file system without them
        names = sorted(os.listxattr(path, follow_symlinks=False))
        return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)
    return ()
