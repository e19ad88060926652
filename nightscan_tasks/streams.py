"""Streams that count and hash what passes through them, and streams that are read ahead.

The hash of a stream can be taken at the end of each of its blocks as well, in the same pass: then each block
is known to be whole before the next is read, and nobody has to take in bytes that nobody has compared.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from mmap import mmap
from types import TracebackType
from typing import Generic, Self, TypeVar

from nightscan_tasks.errors import DigestMismatch
from nightscan_tasks.model import Buffer, Chunks

T = TypeVar("T")
_LEAVE_AFTER_SECONDS = 5


@dataclass
class Tally:
    """Bytes and SHA-256 of what passed so far; `seen` is told the running total, in bytes.

    Unless `hashed`, bytes are only counted. With `block_bytes` the digest at each multiple of it is kept.
    """

    seen: Callable[[int], None] | None = None
    total_bytes: int = 0
    hashed: bool = True
    block_bytes: int = 0
    _sha256: hashlib._Hash = field(default_factory=hashlib.sha256)
    _whole: list[str] = field(default_factory=list)

    def add(self, chunk: Buffer) -> None:
        """Count and hash one buffer, of any size."""
        if self.block_bytes:
            self._hash_blocks(memoryview(chunk))
        elif self.hashed:
            self._sha256.update(chunk)
        self.total_bytes += len(chunk)
        if self.seen is not None:
            self.seen(self.total_bytes)

    def _hash_blocks(self, chunk: memoryview) -> None:
        missing = self.block_bytes - self.total_bytes % self.block_bytes
        while len(chunk) >= missing:
            self._sha256.update(chunk[:missing])
            self._whole.append(self.sha256)
            chunk, missing = chunk[missing:], self.block_bytes
        self._sha256.update(chunk)

    @property
    def sha256(self) -> str:
        """The digest so far, lower-case hex."""
        return self._sha256.hexdigest()

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The digests of the first block, of the first two, and so on; the last is of all that has come."""
        return (*self._whole, self.sha256) if self.total_bytes % self.block_bytes else tuple(self._whole)

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


@contextmanager
def compared_blocks(chunks: Iterable[Buffer], prefixes: Sequence[str], *, block_bytes: int,
                    name: str) -> Iterator[Chunks]:
    """The same stream, of which no byte is given before its whole block was compared.

    `prefixes` are a `Tally`'s: the digests of the stream up to the end of each block.

    Blocks are collected and compared while the one before them is used: three are in memory at most.
    `DigestMismatch` names the first block that differs, is missing, or is too many; what was given until
    then is in order.
    """
    compared = _compared(chunks, prefixes, block_bytes, name)
    with ReadAhead(compared, depth=1, name="compare") as ahead:
        yield iter(ahead)


def _compared(chunks: Iterable[Buffer], prefixes: Sequence[str], block_bytes: int, name: str) -> Chunks:
    count, sha256 = 0, hashlib.sha256()
    for count, block in enumerate(_collected(chunks, block_bytes), start=1):
        begin = (count - 1) * block_bytes
        if count > len(prefixes):
            raise DigestMismatch(f"{name} is damaged: it has more than the {begin:,} bytes that it had")
        sha256.update(block)
        found, expected = sha256.hexdigest(), prefixes[count - 1]
        if found != expected:
            raise DigestMismatch(f"{name} is damaged between bytes {begin:,} and {begin + len(block):,}: "
                                 f"sha256 expected {expected[:12]}…, read {found[:12]}…")
        yield block
    if count < len(prefixes):
        raise DigestMismatch(f"{name} is damaged: it is cut short at or before byte {count * block_bytes:,}")


def _collected(chunks: Iterable[Buffer], block_bytes: int) -> Iterator[memoryview]:
    """The stream in blocks of that size; the last may be shorter."""
    # One is filled, one waits, one is used.
    # Memory that is taken as it is filled: much of what is read is shorter than a block.
    ring = cycle([memoryview(mmap(-1, block_bytes)) for _ in range(3)])
    block, filled = next(ring), 0
    for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            piece = rest[:block_bytes - filled]
            block[filled:filled + len(piece)] = piece
            filled, rest = filled + len(piece), rest[len(piece):]
            if filled == block_bytes:
                yield block
                block, filled = next(ring), 0
    if filled:
        yield block[:filled]


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
