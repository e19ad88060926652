"""What a tree of files is, in a few numbers: equal for equal trees, however they are split.

`digest` is the sum, modulo 2^256, of one SHA-256 for each entry, over its type, mode, mtime and
content. So the sum over the archives of a set is that of the whole, in any number and order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from nightscan_tasks.components.entry import Entry, Kind
from nightscan_tasks.model import Json

_MODULUS = 1 << 256
_COUNTS = {Kind.FILE: "files", Kind.DIRECTORY: "directories", Kind.SYMLINK: "links",
           Kind.HARD_LINK: "hard_links", Kind.FIFO: "fifos"}


@dataclass
class Fingerprint:
    """Counts, content bytes and digest of the entries added so far.

    `hard_links` are further names of a file that is counted already: they add no bytes, but each name
    is in the digest, and in the same way whichever of them came first.
    """

    files: int = 0
    directories: int = 0
    links: int = 0
    hard_links: int = 0
    fifos: int = 0
    content_bytes: int = 0
    _digest: int = 0

    @classmethod
    def of(cls, facts: Mapping[str, Json]) -> Self:
        """From the form that reports and manifests hold."""
        counts = {name: int(str(facts.get(name, 0))) for name in _COUNTS.values()}
        return cls(**counts, content_bytes=int(str(facts.get("bytes", 0))),
                   _digest=int(str(facts.get("digest", "0")), 16))

    def add(self, entry: Entry, sha256: str) -> None:
        """Count an entry; `sha256` is of a file's content, empty for what has none."""
        self._count(entry, sha256, 1)

    def remove(self, entry: Entry, sha256: str) -> None:
        """Count an entry no more, which was added."""
        self._count(entry, sha256, -1)

    def _count(self, entry: Entry, sha256: str, sign: int) -> None:
        count = _COUNTS[entry.kind]
        setattr(self, count, getattr(self, count) + sign)
        kind, content = entry.kind, entry.target
        if kind is Kind.FILE:
            self.content_bytes += sign * entry.content_bytes
        if kind is Kind.FILE or kind is Kind.HARD_LINK:
            kind, content = Kind.FILE, sha256.encode()
        # No name and no target holds a NUL byte.
        facts = b"%s\0%o\0%d\0%s\0%s" % (
            kind.encode(), entry.mode, entry.mtime_ns, content, entry.path)
        self._digest = (self._digest + sign * int.from_bytes(hashlib.sha256(facts).digest())) % _MODULUS

    def as_json(self) -> dict[str, Json]:
        """The form that reports and manifests hold."""
        return {"files": self.files, "directories": self.directories, "links": self.links,
                "hard_links": self.hard_links, "fifos": self.fifos, "bytes": self.content_bytes,
                "digest": f"{self._digest:064x}"}


def combine(fingerprints: Iterable[Mapping[str, Json]]) -> dict[str, Json]:
    """The fingerprint of the whole from those of its archives."""
    total = Fingerprint().as_json()
    for fingerprint in fingerprints:
        for key, value in fingerprint.items():
            total[key] = _sum(key, total.get(key, 0), value)
    return total


def _sum(key: str, one: Json, other: Json) -> Json:
    if key == "digest":
        return f"{(int(str(one), 16) + int(str(other), 16)) % _MODULUS:064x}"
    return int(str(one)) + int(str(other))
