"""Streams that count and hash what passes through them, and streams that are read ahead."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, Self, TypeVar

from nightscan_tasks.model import Buffer, Chunks

T = TypeVar("T")
_LEAVE_AFTER_SECONDS = 5


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


class Abandoned(Exception):
    """Nobody will read what is put any more."""


class Channel(Generic[T]):
    """Items handed from one thread to another, in order, at most `depth` waiting."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = self._abandoned = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Wait for room and hand over; `Abandoned` once the reader has left."""
        with self._changed:
            while len(self._items) >= self._depth and not self._abandoned:
                self._changed.wait()
            if self._abandoned:
                raise Abandoned
            self._items.append(item)
            self._changed.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """No more items; the reader gets the waiting ones, and then `error` if there is one."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def abandon(self) -> None:
        """Stop both sides: the writer raises `Abandoned`, a reader that waits sees the end."""
        with self._changed:
            self._abandoned = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                while not (self._items or self._ended or self._abandoned):
                    self._changed.wait()
                if not self._items:
                    break
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
        if self._error is not None:
            raise self._error


class ReadAhead(Generic[T]):
    """An iterator that runs in a thread of its own, at most `depth` items ahead of its reader.

    Its error reaches the reader in its place. Leaving the context ends the thread at the source's
    next item; a source that gives none for 5 seconds is left behind, and ends when what it reads from
    does, since whoever opened that closes it next.
    """

    def __init__(self, items: Iterable[T], *, depth: int, name: str) -> None:
        self._items = items
        self._channel: Channel[T] = Channel(depth)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __iter__(self) -> Iterator[T]:
        return iter(self._channel)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._channel.abandon()
        self._thread.join(_LEAVE_AFTER_SECONDS)

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                self._channel.put(item)
        except Abandoned:
            self._close()
        except BaseException as exc:  # noqa: BLE001 - whatever it is, the reader raises it
            error = exc
        self._channel.end(error)

    def _close(self) -> None:
        """Let a generator that is left in the middle clean up, in the thread that ran it."""
        close = getattr(self._items, "close", None)
        if close is not None:
            close()
