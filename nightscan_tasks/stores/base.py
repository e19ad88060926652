"""The narrow port that every store is: a directory, a bucket, and whatever wraps one.

One contract suite (`tests/stores/test_contract.py`) holds for every store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from nightscan_tasks.model import Buffer, Chunks, Stored

FOR_EVER = datetime.max.replace(tzinfo=UTC)
"""Until when a legal hold keeps an object: until somebody takes it away."""


@dataclass(frozen=True)
class Entry:
    """One line of a store's listing."""

    key: str
    stored_bytes: int
    modified_at: datetime
    version: str


@dataclass(frozen=True)
class Past:
    """What a bucket keeps of what was replaced or deleted. None: it could not be asked.

    `default_days` is for how long everything is locked that comes without a lock of its own; `expires` is
    whether a lifecycle rule ends old versions.
    """

    versioned: bool | None
    locks: bool | None
    default_days: int
    expires: bool | None


@dataclass(frozen=True)
class StoreHealth:
    """What a probe of a store found: it wrote, read back and deleted a small object.

    `free_bytes` is None where a store has no limit that can be asked for, `past` where it never has one.
    """

    url: str
    server: str
    free_bytes: int | None
    past: Past | None = None


class Store(Protocol):
    """A place where sets live. Keys are relative, `/`-separated, without `..`.

    Errors: `StoreError` where another try may help, `StoreRefused` where it will not.
    """

    @property
    def name(self) -> str:
        """What people call it: `primary`, `offsite`, …."""

    @property
    def url(self) -> str:
        """Where it is, for people: a path or `s3://bucket/prefix`; never a secret."""

    def put(self, key: str, chunks: Iterable[Buffer], *, if_absent: bool = False) -> Stored:
        """Store the whole stream or nothing: no reader ever sees a part of it.

        Memory does not grow with the stream, whose length is unknown. An error from `chunks` passes
        through, and leaves nothing. An existing object is replaced in one step, or with `if_absent`
        left alone: `AlreadyExists`. When it returns, the object has survived a power cut.
        """

    def open(self, key: str) -> AbstractContextManager[Chunks]:
        """The object's bytes, in buffers of at most 1 MiB, each valid until the next is asked for.

        They come from where they lie, not from a cache of this machine. `NotFound` if there is none.
        """

    def stat(self, key: str) -> Entry | None:
        """What a listing would say of one object, or None; it is current, never cached."""

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Every object whose key starts with `prefix`, sorted by key; nothing half-written."""

    def delete(self, key: str) -> None:
        """Remove one object, and whatever the store kept of its past. One that is not there is no error.

        `Locked` where an object lock keeps it: then nothing was changed, and it is as visible as before.
        """

    def locked_until(self, key: str) -> datetime | None:
        """Until when nobody can delete the object; None where nothing keeps it, or it is not there.

        The latest moment of all that the store keeps of it; `FOR_EVER` under a legal hold.
        """

    def lock_as(self, key: str, like: str) -> None:
        """Keep an object that is there locked for at least as long as one that is stored now at `like`.

        Where no such object is locked, nothing happens; no lock is ever shortened.
        """

    def sweep(self, older_than: datetime) -> Sequence[str]:
        """Remove what crashed writes left behind before `older_than`, and say what it was."""

    def probe(self) -> StoreHealth:
        """Write, read and delete a small object, to find out now what a run would find later."""

    def link_latest(self, links: dict[str, str]) -> None:
        """Point `latest_…` names at keys, where a store has links; elsewhere nothing happens."""
