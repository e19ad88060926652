"""Bytes to and from a disk, past the page cache, and what a disk's refusals mean."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from nightscan_tasks import uncached
from nightscan_tasks.errors import NightscanError, StoreError, StoreRefused
from nightscan_tasks.model import BLOCK_BYTES, Buffer, Chunks
from nightscan_tasks.stores import direct
from nightscan_tasks.streams import Tally

READ_BYTES = 1 << 20
_LARGE_BYTES = 8 << 20

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
        tally = Tally(block_bytes=BLOCK_BYTES)
        blocks = direct.blocks(tally.through(chunks))
        first = next(blocks)
        if len(first) == uncached.BLOCK_BYTES:
            with direct.Writer(fd, lambda exc: self.explain(exc, key, tally.total_bytes)) as writer:
                writer.put(first)
                for block in blocks:
                    writer.put(block)
        try:
            if len(first) < uncached.BLOCK_BYTES:
                _write_all(fd, first)
            os.fsync(fd)
        except OSError as exc:
            raise self.explain(exc, key, tally.total_bytes) from exc
        return tally

    def read(self, fd: int, key: str) -> Chunks:
        """The bytes of an open file: of a large one from the disk rather than from the page cache."""
        try:
            if os.fstat(fd).st_size > _LARGE_BYTES:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                yield from direct.read(fd)
                return
            while chunk := os.read(fd, READ_BYTES):
                yield chunk
        except OSError as exc:
            raise self.explain(exc, key) from exc

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
