"""gzip as a row of members, each made of about 1 MiB by itself; `gunzip` reads them as one.

What hardly shrinks (sound, pictures, models) becomes *stored* blocks, which cost a checksum and a
copy: some samples of each block tell which it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from isal import isal_zlib

from nightscan_tasks.model import Buffer

BLOCK_BYTES = 1 << 20
_WHOLE_BYTES = range(BLOCK_BYTES // 2, 2 * BLOCK_BYTES + 1)  # taken as they come, without a copy

_LEVEL = 1  # at the speed of level 0, and a quarter smaller on SQL
_GZIP_WBITS = 31
_WORTHWHILE = 0.9  # what keeps more than this of its size is stored
_SAMPLES, _SAMPLE_BYTES = 8, 4096

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # deflate, no name, no time, unknown system
_STORED_BYTES = 65535  # the most that one stored block holds (RFC 1951, 3.2.4)


def blocks(chunks: Iterable[Buffer]) -> Iterator[bytes]:
    """The same bytes in blocks of 0.5 to 2 MiB (the last may be shorter) that may be kept."""
    waiting: list[bytes] = []
    size = 0
    for chunk in chunks:
        if not waiting and isinstance(chunk, bytes) and len(chunk) in _WHOLE_BYTES:
            yield chunk
            continue
        for start in range(0, len(chunk), BLOCK_BYTES):
            # A copy: the source may use its buffer again. Slicing a whole `bytes` copies nothing.
            part = bytes(memoryview(chunk)[start:start + BLOCK_BYTES]
                         if len(chunk) > BLOCK_BYTES else chunk)
            waiting.append(part)
            size += len(part)
            if size >= BLOCK_BYTES:
                yield b"".join(waiting)
                waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def member(block: bytes) -> bytes:
    """One gzip member that holds `block`."""
    if _shrinks(block):
        packed: bytes = isal_zlib.compress(block, _LEVEL, _GZIP_WBITS)
        if len(packed) < len(block):
            return packed
    return _stored(block)


def _shrinks(block: bytes) -> bool:
    """Whether samples from all over the block lose a tenth of their size or more."""
    if len(block) <= _SAMPLES * _SAMPLE_BYTES:
        return True  # small enough to find out
    step = (len(block) - _SAMPLE_BYTES) // (_SAMPLES - 1)
    sample = b"".join(block[at:at + _SAMPLE_BYTES]
                      for at in range(0, _SAMPLES * step, step))
    return len(isal_zlib.compress(sample, 0)) < _WORTHWHILE * len(sample)


def _stored(block: bytes) -> bytes:
    view = memoryview(block)
    parts: list[Buffer] = [_HEADER]
    starts = range(0, len(block), _STORED_BYTES) or range(1)
    for start in starts:
        piece = view[start:start + _STORED_BYTES]
        last = start == starts[-1]
        parts += (struct.pack("<BHH", last, len(piece), len(piece) ^ 0xFFFF), piece)
    parts.append(struct.pack("<II", isal_zlib.crc32(block), len(block) & 0xFFFFFFFF))
    return b"".join(parts)
