"""The index of an archive: each entry's line and content hash, made while the archive is read.

It is done in the reading thread, though the hash costs that one more than all the rest: a thread of
its own was slower, because the two then hand the interpreter's lock to each other for every file.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from isal import igzip, isal_zlib

from nightscan_tasks.components.entry import Entry, Indexed, Kind, carried, index_line, read_index_line
from nightscan_tasks.components.files_cache import CacheWriter
from nightscan_tasks.components.treeprint import Fingerprint
from nightscan_tasks.model import Buffer, Chunks

_ZEROS = memoryview(bytes(1 << 20))
_SPOOL_BYTES = 8 << 20
_MEMBER_BYTES = 256 << 10
_GZIP_WBITS = 31


class Index:
    """Hashes an archive's entries; holds their lines, compressed, and the fingerprint.

    What is compressed lies in memory up to 8 MiB, then in an unnamed file in `temp_dir`. A `cache` is told
    each entry, and the `line` of the list that it was read for, as sets after `set_id` will have it.
    `fingerprint` is that of the earlier set whose entries are carried or dropped, if there is one.
    """

    def __init__(self, temp_dir: Path | None = None, *, cache: CacheWriter | None = None,
                 set_id: str = "", fingerprint: Fingerprint | None = None) -> None:
        self.fingerprint = fingerprint or Fingerprint()
        self.line = b""
        self._cache = cache
        self._set_id = set_id
        self._spool = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - `__exit__` closes it
            _SPOOL_BYTES, dir=None if temp_dir is None else str(temp_dir))
        self._lines: list[bytes] = []
        self._lines_bytes = 0
        self._sha256 = hashlib.sha256()
        self._linked: dict[bytes, str] = {}

    def content(self, data: Buffer) -> None:
        """Hash the next bytes of the file that is being read."""
        self._sha256.update(data)

    def hole(self, length: int) -> None:
        """The same for `length` bytes that are zero and not stored."""
        for start in range(0, length, len(_ZEROS)):
            self._sha256.update(_ZEROS[:length - start])

    def add(self, entry: Entry, *, inode: bytes = b"", problem: str = "",
            counts: bool = True) -> None:
        """An entry has ended. `inode` names a file that has several names.

        `counts` is false for a folder that another archive of the set counts.
        """
        sha256 = ""
        if entry.kind is Kind.FILE:
            sha256 = self._sha256.hexdigest()
            self._sha256 = hashlib.sha256()
            if inode:
                self._linked[inode] = sha256
        elif entry.kind is Kind.HARD_LINK:
            sha256 = self._linked[inode]
        if counts:
            self.fingerprint.add(entry, sha256)
        line = index_line(Indexed(entry, sha256, problem))
        self._write(line)
        if self._cache:
            self._cache.add(carried(line, self._set_id), self.line)

    def carry(self, line: bytes) -> None:
        """An entry that an earlier set has: its line in that set's index, as a later one has it.

        It is in the fingerprint already, so it need not be read: of very many files few change in a day.
        """
        self._write(line)
        if self._cache:
            self._cache.add(line, self.line)

    def drop(self, line: bytes) -> None:
        """An entry that the earlier set has, by its line there, and this one has otherwise, or no more."""
        indexed = read_index_line(line)
        self.fingerprint.remove(indexed.entry, indexed.sha256)

    def chunks(self) -> Chunks:
        """The index from its start: JSON lines. Call it after the last entry."""
        self._flush()
        self._spool.seek(0)
        reader = igzip.IGzipFile(fileobj=self._spool, mode="rb")
        whole = hashlib.sha256()
        while chunk := reader.read(_MEMBER_BYTES):
            whole.update(chunk)
            yield chunk
        if self._cache:
            self._cache.keep(whole.hexdigest(), self.fingerprint.as_json())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._spool.close()

    def _write(self, line: bytes) -> None:
        self._lines.append(line)
        self._lines_bytes += len(line)
        if self._lines_bytes >= _MEMBER_BYTES:
            self._flush()

    def _flush(self) -> None:
        lines, self._lines, self._lines_bytes = b"".join(self._lines), [], 0
        self._spool.write(isal_zlib.compress(lines, 1, _GZIP_WBITS))
