"""One queue, as it was seen. Apart from the rest, for every process that sends a message loads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class QueueSeen:
    """One queue. None is not known: the broker cannot be asked that."""

    name: str
    workers: tuple[str, ...] | None = None
    depth: int | None = None
    oldest_seconds: float | None = None
