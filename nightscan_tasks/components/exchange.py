"""Two names change places in one step, so that no moment lacks either.

Where the file system cannot do that (NFS), three renames do: what is live steps aside first. Which of
them were done is seen from what lies where.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

_NOREPLACE, _EXCHANGE = 1, 2
_UNKNOWN = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}

FEW = 100
"""So many files, or names, are written to disk one by one."""

Named = tuple[int, bytes]
"""An open folder, and a name in it."""


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def exchange(one: Named, other: Named) -> bool:
    """Let two names change places; False where the file system cannot do it in one step."""
    return _renameat2(one, other, _EXCHANGE)


def move(source: Named, target: Named) -> None:
    """Rename to a name that is free; `FileExistsError` if it is not."""
    if _renameat2(source, target, _NOREPLACE):
        return
    if exists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fsdecode(target[1]))
    os.rename(source[1], target[1], src_dir_fd=source[0], dst_dir_fd=target[0])


def exchange_slowly(stash: Named, live: Named, aside: bytes, *,
                    step: Callable[[], None] | None = None) -> None:
    """The same by three renames; goes on where an earlier try was cut off. `step` comes before each.

    What was live has the name `aside` meanwhile, in the stash, where nobody else looks.
    """
    step = step or _nothing
    middle = stash[0], aside
    if not exists(middle):
        step()
        move(live, middle)
    if exists(stash):
        step()
        move(stash, live)
    step()
    move(middle, stash)


def sync_tree(folder: Path, *, few: bool) -> None:
    """Everything below `folder` is on its disk now.

    A `few` files one by one; for many, the whole file system at once is quicker by far, though it waits for
    what others wrote there too.
    """
    if few:
        with suppress(PermissionError):  # a file that its owner may not open
            for top, _, names, descriptor in os.fwalk(folder):
                for name in names:
                    if (Path(top) / name).is_file() and not (Path(top) / name).is_symlink():
                        _sync_named(name, descriptor)
                os.fsync(descriptor)
            return
    sync(folder)


def sync_name(place: Named) -> None:
    """What was renamed in a folder is on its disk now."""
    _sync_named(b".", place[0])


def _sync_named(name: str | bytes, folder: int) -> None:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync(folder: Path) -> None:
    """Everything that was written to the file system of `folder` is on its disk now."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc().syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


def _renameat2(one: Named, other: Named, flags: int) -> bool:
    if not hasattr(_libc(), "renameat2"):
        return False
    if not _libc().renameat2(one[0], one[1], other[0], other[1], flags):
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), os.fsdecode(other[1]))


def exists(place: Named) -> bool:
    """Whether there is anything of that name."""
    try:
        os.stat(place[1], dir_fd=place[0], follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _nothing() -> None:
    return
