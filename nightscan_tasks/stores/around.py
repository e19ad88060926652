"""A store around a store: what it does not do otherwise, the one inside does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from nightscan_tasks.model import Buffer, Chunks, Stored
from nightscan_tasks.stores.base import Entry, Store, StoreHealth


class Around:
    """`store`, as it is."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def name(self) -> str:
        """What people call it."""
        return self._store.name

    @property
    def url(self) -> str:
        """Where it is."""
        return self._store.url

    def put(self, key: str, chunks: Iterable[Buffer], *, if_absent: bool = False) -> Stored:
        """See `Store.put`."""
        return self._store.put(key, chunks, if_absent=if_absent)

    def open(self, key: str) -> AbstractContextManager[Chunks]:
        """See `Store.open`."""
        return self._store.open(key)

    def stat(self, key: str) -> Entry | None:
        """See `Store.stat`."""
        return self._store.stat(key)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See `Store.list`."""
        return self._store.list(prefix)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self._store.delete(key)

    def lock_as(self, key: str, like: str) -> None:
        """See `Store.lock_as`."""
        self._store.lock_as(key, like)

    def locked_until(self, key: str) -> datetime | None:
        """See `Store.locked_until`."""
        return self._store.locked_until(key)

    def sweep(self, older_than: datetime) -> Sequence[str]:
        """See `Store.sweep`."""
        return self._store.sweep(older_than)

    def probe(self) -> StoreHealth:
        """See `Store.probe`."""
        return self._store.probe()

    def link_latest(self, links: dict[str, str]) -> None:
        """See `Store.link_latest`."""
        self._store.link_latest(links)
