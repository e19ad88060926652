"""One host's records in a store: each created exclusively, each with the hash of the one before it.

`audit/<host>/000000000001.json` … are never changed and never removed. `audit/<host>/head.json` has the
number and the hash of the last, and is replaced after each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256

from nightscan_tasks import wire
from nightscan_tasks.audit.records import Head, Record
from nightscan_tasks.errors import AlreadyExists, Busy, ManifestInvalid, NotFound
from nightscan_tasks.stores.base import Store

PREFIX = "audit"
_HEAD = "head.json"
_NUMBER = re.compile(r"(\d{12})\.json")
_ODD = re.compile(r"[^A-Za-z0-9._-]")
_TRIES = 1000  # each is lost to another process that recorded something


class Chain:
    """The records of one host. Any number of processes may append at once."""

    def __init__(self, store: Store, host: str) -> None:
        self._store = store
        self.folder = folder_of(host)

    def append(self, record: Record) -> tuple[str, str]:
        """Add a record behind the last; its key, and the sha256 of its bytes."""
        for _ in range(_TRIES):
            last = self._last()
            number = last.number + 1
            data = wire.encode(replace(record, number=number, before=last.sha256))
            try:
                self._store.put(self.key(number), [data], if_absent=True)
            except AlreadyExists:
                if self.read(number) != data:  # another was first; else a first try had come through
                    continue
            digest = sha256(data).hexdigest()
            self._point(Head(number, digest))
            return self.key(number), digest
        raise Busy(f"{self.folder} is written to by too many at once")

    def key(self, number: int) -> str:
        """The key of a record."""
        return f"{self.folder}/{number:012d}.json"

    def read(self, number: int) -> bytes | None:
        """The bytes of a record, or None."""
        return self._read(self.key(number))

    def head(self) -> Head | None:
        """The head marker; None where there is none. `ManifestInvalid` where it is no marker."""
        data = self._read(f"{self.folder}/{_HEAD}")
        return None if data is None else wire.decode(Head, data, source=f"{self.folder}/{_HEAD}")

    def names(self) -> Iterator[tuple[str, int | None]]:
        """Every key there is but the head's, in order, each with its number; None for what is no record's."""
        for entry in self._store.list(f"{self.folder}/"):
            name = entry.key.removeprefix(f"{self.folder}/")
            match = _NUMBER.fullmatch(name)
            if name != _HEAD:
                yield entry.key, int(match[1]) if match else None

    def _last(self) -> Head:
        """The last record: what the head names, or what came behind it since."""
        try:
            last = self.head()
        except ManifestInvalid:  # `check` tells of it
            last = None
        if last is None:
            number = max((number for _, number in self.names() if number), default=0)
            last = Head(number, _digest(self.read(number)))
        while (data := self.read(last.number + 1)) is not None:
            last = Head(last.number + 1, _digest(data))
        return last

    def _point(self, head: Head) -> None:
        """Move the head forward, and never back: another may have been quicker."""
        try:
            there = self.head()
        except ManifestInvalid:
            there = None
        if there is None or there.number < head.number:
            self._store.put(f"{self.folder}/{_HEAD}", [wire.encode(head)])

    def _read(self, key: str) -> bytes | None:
        try:
            with self._store.open(key) as chunks:
                return b"".join(map(bytes, chunks))
        except NotFound:
            return None


def folder_of(host: str) -> str:
    """Where a host's records lie. What cannot be in a key becomes `_`."""
    return f"{PREFIX}/{_ODD.sub('_', host).strip('.') or '_'}"


def hosts(store: Store) -> list[str]:
    """The hosts that have records in a store."""
    return sorted({entry.key.split("/")[1] for entry in store.list(f"{PREFIX}/")
                   if entry.key.count("/") > 1})


def _digest(data: bytes | None) -> str:
    return "" if data is None else sha256(data).hexdigest()
