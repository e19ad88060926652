"""Large files past the page cache: with O_DIRECT, reading and writing in a thread of their own.

Three things at once: what is read back comes from the disk and not from memory; the application keeps
its own pages in the cache; and a core is spared the copies, which is half of what a file would cost.
Where a file system has no O_DIRECT, the same happens by way of the cache.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import cycle
from mmap import mmap
from types import TracebackType
from typing import Self

from nightscan_tasks.model import Buffer, Chunks
from nightscan_tasks.streams import Abandoned, Channel, ReadAhead

BLOCK_BYTES = 1 << 20
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
        self._direct = _switch(fd, on=True)
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
            self._direct = not _switch(self._fd, on=False)  # a short one has no place in whole sectors
        while block:
            written = _either(self._fd, partial(os.write, self._fd, block))
            block = block[written:]
            if block and self._direct:  # the disk took less than it was given: it is full, or nearly
                self._direct = not _switch(self._fd, on=False)


def _read(fd: int) -> Iterator[memoryview]:
    _switch(fd, on=True)
    at, size = 0, os.fstat(fd).st_size
    for block in _ring():
        count = _either(fd, partial(os.preadv, fd, [block], at))
        if not count:
            return
        yield block[:count]
        at += count
        if at >= size:
            return
        if count < BLOCK_BYTES:
            _switch(fd, on=False)


def _either(fd: int, action: Callable[[], int]) -> int:
    """Do it, and where a file system only promised O_DIRECT, without."""
    try:
        return action()
    except OSError as exc:
        if exc.errno != errno.EINVAL or not _switch(fd, on=False):
            raise
        return action()


def _ring() -> Iterator[memoryview]:
    """Page-aligned blocks, for ever: so many that none is written to while another thread has it."""
    return cycle([memoryview(mmap(-1, BLOCK_BYTES)) for _ in range(_AHEAD + 2)])


def _switch(fd: int, *, on: bool) -> bool:
    """Turn O_DIRECT on or off; whether that was possible."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_DIRECT if on else flags & ~os.O_DIRECT)
    except OSError:
        return False
    return True
