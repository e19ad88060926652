"""Files past the page cache: O_DIRECT where a file system has it, and the same without where it has not.

What is read so comes from the disk and not from memory, the application keeps its own pages in the cache, and
a core is spared copies, and pages that are made only to be given back: half of what a file would cost.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from mmap import mmap

BLOCK_BYTES = 1 << 20
SECTOR_BYTES = 4096  # of whole ones is what goes past the cache: a disk's are no larger


def block() -> memoryview:
    """`BLOCK_BYTES` that begin with a page."""
    return memoryview(mmap(-1, BLOCK_BYTES))


def switch(fd: int, *, on: bool) -> bool:
    """Turn O_DIRECT on or off; whether that was possible."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_DIRECT if on else flags & ~os.O_DIRECT)
    except OSError:
        return False
    return True


def either(fd: int, action: Callable[[], int]) -> int:
    """Do it, and where a file system only promised O_DIRECT, without."""
    try:
        return action()
    except OSError as exc:
        if exc.errno != errno.EINVAL or not switch(fd, on=False):
            raise
        return action()


def write_soon(fd: int) -> None:
    """Let the disk begin with what was written to a file; nobody waits for that.

    Left to itself the system begins when a tenth of the memory is full of such pages, or after half a minute,
    and whoever wants all of it on the disk at the end finds the disk idle until then.
    """
    with suppress(OSError):  # advice: where none is taken the disk begins later, and nothing else changes
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


class Past:
    """Writes a file from an offset on past the cache, what fills no sector at its end excepted."""

    def __init__(self, fd: int, offset: int, room: memoryview) -> None:
        self._fd = fd
        self._offset = offset
        self._room = room
        self._filled = 0
        self._direct = switch(fd, on=True)

    def add(self, data: memoryview) -> None:
        """Write the next bytes, now or with those that follow."""
        while data:
            count = min(len(data), len(self._room) - self._filled)
            self._room[self._filled:self._filled + count] = data[:count]
            self._filled += count
            data = data[count:]
            if self._filled == len(self._room):
                self._write(self._room)
                self._filled = 0

    def end(self) -> None:
        """Write what is left; the file is as any other then."""
        whole = self._filled - self._filled % SECTOR_BYTES
        self._write(self._room[:whole])
        self._usual()
        self._write(self._room[whole:self._filled])
        self._filled = 0

    def _write(self, data: memoryview) -> None:
        while data:
            written = either(self._fd, partial(os.pwrite, self._fd, data, self._offset))
            self._offset += written
            data = data[written:]
            if written % SECTOR_BYTES:  # the disk took less than it was given: it is full, or nearly
                self._usual()

    def _usual(self) -> None:
        self._direct = self._direct and not switch(self._fd, on=False)
