"""Hashing what goes into an archive, beside the thread that reads it, and the index that comes of it."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from isal import igzip, isal_zlib

from nightscan_tasks.components.entry import Entry, Indexed, Kind, index_line
from nightscan_tasks.components.treeprint import Fingerprint
from nightscan_tasks.model import Chunks
from nightscan_tasks.streams import Abandoned, Channel

ZEROS = bytes(1 << 20)
_SPOOL_BYTES = 8 << 20
_MEMBER_BYTES = 256 << 10
_GZIP_WBITS = 31
AHEAD = 4  # batches that wait for the hash


class Done(NamedTuple):
    """The end of an entry's content. `inode` names a file that has several names; else it is empty.

    `counts` is false for a folder that belongs to another archive of the set, though it is in this one.
    """

    entry: Entry
    inode: bytes = b""
    problem: str = ""
    counts: bool = True


Work = memoryview | int | Done
"""Content (valid until AHEAD further batches are handed over), a number of zero bytes (a hole), or the
end of an entry."""


class Index:
    """Hashes an archive's entries in a thread of its own; holds the index, compressed, and the sum.

    Batches are bounded to what fills a few blocks. The compressed index lies in memory up to 8 MiB,
    then in an unnamed file in `temp_dir`.
    """

    def __init__(self, temp_dir: Path | None = None) -> None:
        self.fingerprint = Fingerprint()
        self._spool = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - `__exit__` closes it
            _SPOOL_BYTES, dir=None if temp_dir is None else str(temp_dir))
        self._lines: list[bytes] = []
        self._lines_bytes = 0
        self._sha256 = hashlib.sha256()
        self._linked: dict[bytes, str] = {}
        self._batches: Channel[Sequence[Work]] = Channel(AHEAD)
        self._thread = threading.Thread(target=self._run, name="index", daemon=True)
        self._error: BaseException | None = None

    def put(self, batch: Sequence[Work]) -> None:
        """Hand over what comes next; waits while the hash is a few batches behind."""
        try:
            self._batches.put(batch)
        except Abandoned:
            self.finish()
            raise

    def finish(self) -> None:
        """Wait until everything is hashed; raises what went wrong in doing it."""
        self._batches.end()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def chunks(self) -> Chunks:
        """The index from its start: JSON lines. Call it after `finish`."""
        self._spool.seek(0)
        reader = igzip.IGzipFile(fileobj=self._spool, mode="rb")
        while chunk := reader.read(_MEMBER_BYTES):
            yield chunk

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._batches.abandon()
        self._thread.join()
        self._spool.close()

    def _run(self) -> None:
        try:
            for batch in self._batches:
                for work in batch:
                    self._take(work)
            self._flush()
        except BaseException as exc:  # noqa: BLE001 - `finish` and `put` raise it in the reading thread
            self._error = exc
            self._batches.abandon()

    def _take(self, work: Work) -> None:
        if isinstance(work, memoryview):
            self._sha256.update(work)
        elif isinstance(work, int):
            for start in range(0, work, len(ZEROS)):
                self._sha256.update(memoryview(ZEROS)[:work - start])
        else:
            self._add(work)

    def _add(self, done: Done) -> None:
        sha256 = ""
        if done.entry.kind is Kind.FILE:
            sha256 = self._sha256.hexdigest()
            self._sha256 = hashlib.sha256()
            if done.inode:
                self._linked[done.inode] = sha256
        elif done.entry.kind is Kind.HARD_LINK:
            sha256 = self._linked[done.inode]
        if done.counts:
            self.fingerprint.add(done.entry, sha256)
        line = index_line(Indexed(done.entry, sha256, done.problem))
        self._lines.append(line)
        self._lines_bytes += len(line)
        if self._lines_bytes >= _MEMBER_BYTES:
            self._flush()

    def _flush(self) -> None:
        lines, self._lines, self._lines_bytes = b"".join(self._lines), [], 0
        self._spool.write(isal_zlib.compress(lines, 1, _GZIP_WBITS))
