"""A store around a store, that asks again what may be asked again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from itertools import chain
from typing import TypeVar

from nightscan_tasks.errors import StoreError
from nightscan_tasks.model import Buffer, Chunks, Stored
from nightscan_tasks.stores.around import Around
from nightscan_tasks.stores.base import Entry, Store, StoreHealth

T = TypeVar("T")

_FIRST_SECONDS = 0.5
_LONGEST_SECONDS = 30.0


class Retrying(Around):
    """`store`, with up to `attempts` tries at what ends in `StoreError`; `pause` waits in seconds.

    A stream that was read cannot be read again: a put of an iterator is tried once. A put of a list
    or tuple of buffers is repeated, unless it is exclusive: a first try whose answer was lost would
    look like somebody else's. An `open` is repeated until it is open, a `list` until it begins. A sweep is
    tried once: the next one finds what this one left.
    """

    def __init__(self, store: Store, *, attempts: int = 3,
                 pause: Callable[[float], None] = time.sleep) -> None:
        super().__init__(store)
        self._attempts = attempts
        self._pause = pause

    def put(self, key: str, chunks: Iterable[Buffer], *, if_absent: bool = False) -> Stored:
        """See `Store.put`, and above for what is repeated."""
        if if_absent or not isinstance(chunks, (list, tuple)):
            return self._store.put(key, chunks, if_absent=if_absent)
        return self._tried(lambda: self._store.put(key, chunks))

    @contextmanager
    def open(self, key: str) -> Iterator[Chunks]:
        """See `Store.open`."""
        opened, chunks = self._tried(lambda: _entered(self._store, key))
        with opened:
            yield chunks

    def stat(self, key: str) -> Entry | None:
        """See `Store.stat`."""
        return self._tried(lambda: self._store.stat(key))

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See `Store.list`."""
        return self._tried(lambda: _begun(self._store.list(prefix)))

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self._tried(lambda: self._store.delete(key))

    def lock_as(self, key: str, like: str) -> None:
        """See `Store.lock_as`."""
        self._tried(lambda: self._store.lock_as(key, like))

    def locked_until(self, key: str) -> datetime | None:
        """See `Store.locked_until`."""
        return self._tried(lambda: self._store.locked_until(key))

    def probe(self) -> StoreHealth:
        """See `Store.probe`."""
        return self._tried(self._store.probe)

    def link_latest(self, links: dict[str, str]) -> None:
        """See `Store.link_latest`."""
        self._tried(lambda: self._store.link_latest(links))

    def _tried(self, ask: Callable[[], T]) -> T:
        for seconds in plan_pauses(self._attempts):
            try:
                return ask()
            except StoreError:
                # Spread out, so that many workers do not come back in step.
                self._pause(seconds * random.uniform(0.5, 1))  # noqa: S311 - no secret depends on it
        return ask()


def plan_pauses(attempts: int) -> list[float]:
    """Seconds to wait at most after each try but the last: doubling, up to half a minute."""
    return [min(_FIRST_SECONDS * 2 ** number, _LONGEST_SECONDS) for number in range(attempts - 1)]


def _entered(store: Store, key: str) -> tuple[AbstractContextManager[object], Chunks]:
    """An opened object; the first element closes it."""
    stack = ExitStack()
    return stack, stack.enter_context(store.open(key))


def _begun(entries: Iterator[Entry]) -> Iterator[Entry]:
    """The same entries, of which the first was already asked for."""
    first = next(entries, None)
    return iter(()) if first is None else chain([first], entries)
