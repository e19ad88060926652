"""Where a sparse file has data."""

from __future__ import annotations

import errno
import os

from nightscan_tasks.components.tar import Extent

_SECTOR_BYTES = 512
_WORTHWHILE_BYTES = 64 << 10  # smaller holes cost more in headers than they save


def extents_of(descriptor: int, status: os.stat_result) -> list[Extent] | None:
    """The parts of a file that hold data, and an empty one at its end; None if it has no large hole."""
    if status.st_size - status.st_blocks * _SECTOR_BYTES < _WORTHWHILE_BYTES:
        return None
    extents: list[Extent] = []
    position = 0
    while position < status.st_size:
        start = _data_from(descriptor, position)
        if start is None or start >= status.st_size:
            break
        position = min(os.lseek(descriptor, start, os.SEEK_HOLE), status.st_size)
        extents.append((start, position - start))
    if extents == [(0, status.st_size)]:
        return None  # compressed, or stored in its inode
    if position < status.st_size or not extents:
        extents.append((status.st_size, 0))
    return extents


def _data_from(descriptor: int, position: int) -> int | None:
    try:
        return os.lseek(descriptor, position, os.SEEK_DATA)
    except OSError as exc:
        if exc.errno == errno.ENXIO:  # nothing but a hole from here on
            return None
        raise
