"""Memory that is given back: a worker moves gigabytes through buffers of a megabyte, for months.

glibc keeps what threads free, in an arena for each, and learns to keep ever larger buffers. Measured on
one upload of 140 MB: 142 MB resident with its defaults, 100 MB with these two settings, and as fast.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h
_BUFFER_BYTES = 256 * 1024
_ARENAS = 2


def give_back() -> None:
    """Let large buffers go back to the system as soon as they are free. Elsewhere than on glibc: nothing."""
    with suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, _ARENAS)
        libc.mallopt(_M_MMAP_THRESHOLD, _BUFFER_BYTES)
