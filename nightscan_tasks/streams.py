"""Streams that count and hash what passes through them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from nightscan_tasks.model import Buffer, Chunks


@dataclass
class Tally:
    """Bytes and SHA-256 of what passed so far; `seen` is told the running total, in bytes."""

    seen: Callable[[int], None] | None = None
    total_bytes: int = 0
    _sha256: hashlib._Hash = field(default_factory=hashlib.sha256)

    def add(self, chunk: Buffer) -> None:
        """Count and hash one buffer."""
        self._sha256.update(chunk)
        self.total_bytes += len(chunk)
        if self.seen is not None:
            self.seen(self.total_bytes)

    @property
    def sha256(self) -> str:
        """The digest so far, lower-case hex."""
        return self._sha256.hexdigest()

    def through(self, chunks: Iterable[Buffer]) -> Chunks:
        """The same stream, tallied."""
        for chunk in chunks:
            self.add(chunk)
            yield chunk


def tally(chunks: Iterable[Buffer]) -> Tally:
    """Read a stream to its end, keeping only its length and digest."""
    result = Tally()
    for chunk in chunks:
        result.add(chunk)
    return result
