"""Large files past the page cache, reading and writing in a thread of their own (see `uncached`)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import cycle
from types import TracebackType
from typing import Self

from nightscan_tasks import uncached
from nightscan_tasks.model import Buffer, Chunks
from nightscan_tasks.streams import Abandoned, Channel, ReadAhead
from nightscan_tasks.uncached import BLOCK_BYTES

_AHEAD = 4  # blocks that wait between the two threads


def read(fd: int) -> Chunks:
    """The bytes of an open file from its beginning, in blocks that are valid until the next is asked for."""
    with ReadAhead(_read(fd), depth=_AHEAD, name="disk") as blocks:
        yield from blocks


def blocks(chunks: Iterable[Buffer]) -> Iterator[memoryview]:
    """The same bytes in aligned blocks of 1 MiB, the last shorter, in a ring that `Writer` outlives."""
    ring = _ring()
    block, filled = next(ring), 0
    for chunk in chunks:
        rest = memoryview(chunk).cast("B")
        while rest:
            count = min(len(rest), BLOCK_BYTES - filled)
            block[filled:filled + count] = rest[:count]
            rest, filled = rest[count:], filled + count
            if filled == BLOCK_BYTES:
                yield block
                block, filled = next(ring), 0
    yield block[:filled]


class Writer:
    """Writes blocks to an open file in a thread of its own; leaving the context waits for the last one.

    `put` and leaving raise the disk's error, as `explain` words it. Only the last block may be short.
    """

    def __init__(self, fd: int, explain: Callable[[OSError], Exception]) -> None:
        self._fd = fd
        self._explain = explain
        self._direct = uncached.switch(fd, on=True)
        self._channel: Channel[memoryview] = Channel(_AHEAD)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="disk", daemon=True)

    def put(self, block: memoryview) -> None:
        """Hand over a block; it must stay as it is until `_AHEAD` further ones were handed over."""
        try:
            self._channel.put(block)
        except Abandoned:
            self._thread.join()
            raise self._error or Abandoned from None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is not None:
            self._channel.abandon()
        self._channel.end()
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error

    def _run(self) -> None:
        try:
            for block in self._channel:
                self._write(block)
        except OSError as exc:
            self._error = self._explain(exc)
            self._error.__cause__ = exc
            self._channel.abandon()

    def _write(self, block: memoryview) -> None:
        if self._direct and len(block) % BLOCK_BYTES:
            # A short one has no place in whole sectors.
            self._direct = not uncached.switch(self._fd, on=False)
        while block:
            written = uncached.either(self._fd, partial(os.write, self._fd, block))
            block = block[written:]
            if block and self._direct:  # the disk took less than it was given: it is full, or nearly
                self._direct = not uncached.switch(self._fd, on=False)


def _read(fd: int) -> Iterator[memoryview]:
    uncached.switch(fd, on=True)
    at, size = 0, os.fstat(fd).st_size
    for block in _ring():
        count = uncached.either(fd, partial(os.preadv, fd, [block], at))
        if not count:
            return
        yield block[:count]
        at += count
        if at >= size:
            return
        if count < BLOCK_BYTES:
            uncached.switch(fd, on=False)


def _ring() -> Iterator[memoryview]:
    """Page-aligned blocks, for ever: so many that none is written to while another thread has it."""
    return cycle([uncached.block() for _ in range(_AHEAD + 2)])
