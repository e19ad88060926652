"""Bytes to and from a disk, past the page cache, and what a disk's refusals mean."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from nightscan_tasks.errors import NightscanError, StoreError, StoreRefused
from nightscan_tasks.model import Buffer, Chunks
from nightscan_tasks.streams import Tally

READ_BYTES = 1 << 20
_BEHIND_BYTES = 32 << 20

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ELOOP,
            errno.ENAMETOOLONG, errno.EMLINK, errno.EOPNOTSUPP, errno.EXDEV, errno.EEXIST,
            errno.ENOTEMPTY}


class Disk:
    """What one store says when its disk refuses: the store's name, the path, and what to do."""

    def __init__(self, store: str, root: Path) -> None:
        self.store = store
        self.root = root

    def write(self, fd: int, chunks: Iterable[Buffer], key: str) -> Tally:
        """Write a stream to its end and to the disk; errors of `chunks` pass through unchanged."""
        tally = Tally()
        behind = 0
        for chunk in chunks:
            try:
                _write_all(fd, chunk)
                if tally.total_bytes - behind >= _BEHIND_BYTES:
                    _forget(fd, behind, tally.total_bytes - behind)
                    behind = tally.total_bytes
            except OSError as exc:
                raise self.explain(exc, key, tally.total_bytes + len(chunk)) from exc
            tally.add(chunk)
        try:
            os.fsync(fd)
        except OSError as exc:
            raise self.explain(exc, key, tally.total_bytes) from exc
        _forget(fd, 0, 0)
        return tally

    def read(self, fd: int, key: str) -> Chunks:
        """The bytes of an open file, from the disk rather than from the page cache."""
        if os.fstat(fd).st_size > READ_BYTES:
            _forget(fd, 0, 0)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while True:
            try:
                chunk = os.read(fd, READ_BYTES)
            except OSError as exc:
                raise self.explain(exc, key) from exc
            if not chunk:
                break
            yield chunk
        _forget(fd, 0, 0)

    def explain(self, exc: OSError, key: str, needed_bytes: int | None = None) -> NightscanError:
        """The error to raise instead: which store, which path, what happened, what to do."""
        where = f"{self.store} {self.root / key}: {os.strerror(exc.errno or errno.EIO)}"
        if exc.errno in _FULL:
            needed = "" if needed_bytes is None else f", {needed_bytes:,} bytes were needed so far"
            return StoreRefused(
                f"{where}; {self.free_bytes():,} bytes are free{needed}. Make room, raise the "
                f"quota, or move the store: `nightscan rotate --dry-run` says what could go")
        if exc.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            return StoreRefused(
                f"{where}; uid {os.geteuid()} must be able to write there: look at the owner and "
                f"mode of {self.root} and how it is mounted")
        if exc.errno in _REFUSED:
            return StoreRefused(f"{where}; something that is not this store's stands in the way: "
                                "move it elsewhere")
        return StoreError(f"{where}; it is tried again, but look at the disk or mount too")

    def free_bytes(self) -> int:
        """Bytes that may still be written, 0 when the disk cannot even say that."""
        try:
            found = os.statvfs(self.root)
        except OSError:
            return 0
        return found.f_bavail * found.f_frsize


def _write_all(fd: int, chunk: Buffer) -> None:
    written = os.write(fd, chunk)
    if written < len(chunk):
        view = memoryview(chunk)
        while written < len(view):
            written += os.write(fd, view[written:])


def _forget(fd: int, start: int, length_bytes: int) -> None:
    """Start writing these pages out, and drop those that are.

    Three things for one call: no long wait in fsync at the end of a large file; the application
    keeps its own pages in the cache; and reading a copy back reads the disk, which is the point of
    reading it back.
    """
    os.posix_fadvise(fd, start, length_bytes, os.POSIX_FADV_DONTNEED)
