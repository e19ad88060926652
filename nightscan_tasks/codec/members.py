"""gzip as a row of members, each made of about 1 MiB by itself; `gunzip` reads them as one.

What hardly shrinks (pictures, models, packed sound) becomes *stored* blocks, which cost a checksum and a
copy: some samples of each block tell which it is. Recordings lose a tenth to a half, by how quiet they are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import cycle

from isal import isal_zlib

from nightscan_tasks.model import Buffer

BLOCK_BYTES = 1 << 20
_WHOLE_BYTES = range(BLOCK_BYTES // 2, 2 * BLOCK_BYTES + 1)  # taken as they come, without a copy

_LEVEL = 1  # at the speed of level 0, and a quarter smaller on SQL
_GZIP_WBITS = 31
_SAMPLES, _SAMPLE_BYTES = 8, 4096

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # deflate, no name, no time, unknown system
_STORED_BYTES = 65535  # the most that one stored block holds (RFC 1951, 3.2.4)


def blocks(chunks: Iterable[Buffer], *, in_use: int) -> Iterator[Buffer]:
    """The same bytes in blocks of 0.5 to 2 MiB (the last may be shorter).

    Each may be kept until `in_use` further ones were asked for: they lie in a ring of buffers, since
    allocating a MiB for each costs more than filling it.
    """
    ring = cycle([memoryview(bytearray(BLOCK_BYTES)) for _ in range(in_use + 1)])
    block, filled = next(ring), 0
    for chunk in chunks:
        if not filled and isinstance(chunk, bytes) and len(chunk) in _WHOLE_BYTES:
            yield chunk
            continue
        rest = memoryview(chunk)
        while rest:
            count = min(len(rest), BLOCK_BYTES - filled)
            block[filled:filled + count] = rest[:count]
            rest = rest[count:]
            filled += count
            if filled == BLOCK_BYTES:
                yield block
                block, filled = next(ring), 0
    if filled:
        yield block[:filled]


def compressed(block: Buffer) -> list[Buffer]:
    """One gzip member that holds `block`; it costs a core about a second for a GB."""
    packed: bytes = isal_zlib.compress(block, _LEVEL, _GZIP_WBITS)
    return [packed] if len(packed) < len(block) else stored(block)


def shrinks(block: Buffer, percent: int) -> bool:
    """Whether samples from all over the block lose so much of their size, or more."""
    if len(block) <= _SAMPLES * _SAMPLE_BYTES:
        return True  # small enough to find out
    step = (len(block) - _SAMPLE_BYTES) // (_SAMPLES - 1)
    sample = b"".join(block[at:at + _SAMPLE_BYTES]
                      for at in range(0, _SAMPLES * step, step))
    # At the level that the block would get: level 0 sees repetition alone, and finds none in sound.
    return len(isal_zlib.compress(sample, _LEVEL)) * 100 <= (100 - percent) * len(sample)


def stored(block: Buffer) -> list[Buffer]:
    """One gzip member that holds `block` as it is: it costs next to nothing.

    It is in pieces, of which the large ones lie in `block` itself.
    """
    view = memoryview(block)
    pieces: list[Buffer] = []
    starts = range(0, len(view), _STORED_BYTES) or range(1)
    before = _HEADER
    for start in starts:
        piece = view[start:start + _STORED_BYTES]
        last = start == starts[-1]
        pieces += (before + struct.pack("<BHH", last, len(piece), len(piece) ^ 0xFFFF), piece)
        before = b""
    pieces.append(struct.pack("<II", isal_zlib.crc32(block), len(view) & 0xFFFFFFFF))
    return pieces
