"""The files cache: what the last set has of each file, on the host that has the files.

Sets are encrypted for a key that this host need not have, so what is in them is remembered here: for each
entry of an archive its line in the index, and the line of the list of files that it was read for. A cache
belongs to one index, by whose SHA-256 it is called: so it tells of exactly the set that lists that index, or
of none. It is private, since names of files are in it. Lost, or not to be read, it costs one archive in full.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, cast

from isal import igzip, isal_zlib

from nightscan_tasks.errors import TransientError
from nightscan_tasks.model import Json

_HEAD = b"nightscan files cache 1 "
_TRAILER = b"fingerprint "
_MEMBER_BYTES = 256 << 10
_GZIP_WBITS = 31
_KEPT = 4  # of one part: the newest, since tiers may build on different sets
_LONGEST_TRAILER_BYTES = 64 << 10


class CacheDamaged(TransientError):
    """The cache is not what was written: it is removed, and the next try saves all in full."""


class Cached(NamedTuple):
    """An entry's line in the index, newline included, and its line in the list, without."""

    indexed: bytes
    line: bytes


class CacheWriter:
    """Writes the cache of one part; it can be found once `keep` was told which index it belongs to.

    A cache that cannot be written is none, and `problem` says why: no backup fails for it.
    """

    def __init__(self, folder: Path, part: str, rules: str) -> None:
        self.problem = ""
        self._folder = folder / part
        self._lines = [_HEAD + rules.encode() + b"\n"]
        self._lines_bytes = 0
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=".new.", dir=self._folder)
        except OSError as exc:
            self._give_up(exc)
        else:
            self._path = Path(name)
            self._file = os.fdopen(descriptor, "wb")

    def add(self, indexed: bytes, line: bytes) -> None:
        """Remember one entry, in the order of the list."""
        if self.problem:
            return
        self._lines += (indexed[:-1], b"\t", line, b"\n")
        self._lines_bytes += len(indexed) + len(line) + 1
        if self._lines_bytes >= _MEMBER_BYTES:
            self._write()

    def keep(self, index_sha256: str, fingerprint: Mapping[str, Json]) -> None:
        """The index is written, and all that it tells of is this."""
        if self.problem:
            return
        self._lines.append(_TRAILER + json.dumps(dict(fingerprint)).encode() + b"\n")
        self._write()
        try:
            self._file.close()
            self._path.replace(self._folder / index_sha256)
        except OSError as exc:
            self._give_up(exc)
        self._forget()

    def close(self) -> None:
        """Remove what nobody asked to keep."""
        if not self.problem:
            self._file.close()
            self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        packed = isal_zlib.compress(b"".join(self._lines), 1, _GZIP_WBITS)
        self._lines, self._lines_bytes = [], 0
        try:
            self._file.write(packed)
        except OSError as exc:
            self._give_up(exc)

    def _give_up(self, error: OSError) -> None:
        self.problem = (f"what was saved could not be remembered in {self._folder} ({error.strerror}), so "
                        f"the next set is in full: set NIGHTSCAN_STATE_DIR to where there is room")
        if hasattr(self, "_file"):
            with suppress(OSError):
                self._file.close()
            self._path.unlink(missing_ok=True)

    def _forget(self) -> None:
        """Remove all but the newest, and what processes that were killed left."""
        with suppress(OSError):
            found = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
            for path in found[_KEPT:]:
                path.unlink(missing_ok=True)


class Cache:
    """The cache that belongs to an index. `rules` say by which settings files were chosen and sorted."""

    def __init__(self, folder: Path, part: str, *, index_sha256: str, rules: str) -> None:
        self._path = folder / part / index_sha256
        self._rules = rules
        self._last = b""

    def there(self) -> bool:
        """Whether there is one, made by these rules."""
        try:
            with self._path.open("rb") as file:
                first: bytes = igzip.IGzipFile(fileobj=file, mode="rb").readline()
                return first == _HEAD + self._rules.encode() + b"\n"
        except (OSError, EOFError, isal_zlib.error):  # type: ignore[misc]  # its stub is wrong
            return False

    def used(self) -> None:
        """It is the newest again."""
        with suppress(OSError):
            os.utime(self._path)

    def forget(self) -> None:
        """Remove it."""
        self._path.unlink(missing_ok=True)

    def entries(self) -> Iterator[Cached]:
        """What was remembered, in the order of the list. `CacheDamaged` where it cannot be read."""
        for line in self._read():
            if not line.startswith(_TRAILER):
                indexed, _, listed = line.partition(b"\t")
                yield Cached(indexed + b"\n", listed)

    def lines(self) -> Iterator[bytes]:
        """The entries' lines in the list alone. `CacheDamaged` as above."""
        for line in self._read():
            if not line.startswith(_TRAILER):
                yield line.partition(b"\t")[2]

    def fingerprint(self) -> Mapping[str, Json]:
        """Of all its entries. `CacheDamaged` as above."""
        if not self._last:
            for _ in self._read():
                pass
        return cast("Mapping[str, Json]", json.loads(self._last.removeprefix(_TRAILER)))

    def _read(self) -> Iterator[bytes]:
        """The lines after the first, to the last, without their ends."""
        line = b""
        try:
            with self._path.open("rb") as file:
                reader = igzip.IGzipFile(fileobj=file, mode="rb")
                reader.readline()
                rest = b""
                while chunk := reader.read(_MEMBER_BYTES):
                    *whole, rest = (rest + chunk).split(b"\n")
                    for line in whole:
                        yield line
        except (OSError, EOFError, isal_zlib.error) as exc:  # type: ignore[misc]  # its stub is wrong
            raise CacheDamaged(f"{self._path}: {exc}") from exc
        if not line.startswith(_TRAILER):
            raise CacheDamaged(f"{self._path} is cut short")
        self._last = line


def rules_digest(*rules: object) -> str:
    """A short name for the settings that a list of files was made by."""
    return hashlib.sha256(json.dumps([str(rule) for rule in rules]).encode()).hexdigest()[:32]
