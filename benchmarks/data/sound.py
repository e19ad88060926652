"""Recordings that compress as real ones do: a noise floor, and calls in it that rise and fall.

A sample is 16 bits. Its low byte is noise; its high byte is the loudness of the noise floor, which follows a
bell curve as wide as the place is loud, and during a call the call itself. So gzip finds something in every
second byte and nothing in the others, as it does in the field; and no two stretches of sound are equal, so
that nobody saves one of them for two.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Iterator
from statistics import NormalDist

from benchmarks.data.noise import Noise

HEADER_BYTES = 44
_RATE = 48_000
_BLOCK_SAMPLES = 1 << 18
_LOUDNESS = (0.25, 0.5, 2.0, 6.0)  # the bell curve's width, in units of the high byte: from still to windy
_CALLS = 12
_CALL_SAMPLES = 6_000
_SAMPLES_A_CALL = 48_000  # one call a second, on the average


def wav(noise: Noise, size_bytes: int) -> Iterator[bytes]:
    """A recording of about `size_bytes`, 16 bits mono; never fewer bytes than its header has."""
    samples = max(0, size_bytes - HEADER_BYTES) // 2
    yield struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 2 * samples + HEADER_BYTES - 8, b"WAVE", b"fmt ", 16,
                      1, 1, _RATE, 2 * _RATE, 2, 16, b"data", 2 * samples)
    floor = _bell(_LOUDNESS[noise.below(len(_LOUDNESS))])
    while samples > 0:
        count = min(samples, _BLOCK_SAMPLES)
        yield _block(noise, floor, count)
        samples -= count


def _block(noise: Noise, floor: bytes, count: int) -> bytes:
    high = bytearray(noise.take(count).translate(floor))
    for _ in range(count // _SAMPLES_A_CALL):
        call, at = _call(noise.below(_CALLS)), noise.below(count - _CALL_SAMPLES)
        high[at:at + _CALL_SAMPLES] = call
    block = bytearray(2 * count)
    block[0::2] = noise.take(count)
    block[1::2] = high
    return bytes(block)


@functools.cache
def _bell(width: float) -> bytes:
    """What makes evenly spread bytes fall as a bell curve does, around zero and minus one."""
    curve = NormalDist(0, width)
    return bytes(math.floor(curve.inv_cdf((place + 0.5) / 256)) & 0xFF for place in range(256))


@functools.cache
def _call(number: int) -> bytes:
    """The high bytes of one call: a tone that slides, swelling and fading; some higher, some louder."""
    begin, end = 800 + 350 * number, 1_600 + 500 * (number * 5 % _CALLS)  # in Hz
    loudest = 30 + 7 * (number * 7 % _CALLS)
    values, phase = bytearray(), 0.0
    for sample in range(_CALL_SAMPLES):
        part = sample / _CALL_SAMPLES
        phase += 2 * math.pi * (begin + (end - begin) * part) / _RATE
        values.append(math.floor(loudest * math.sin(math.pi * part) * math.sin(phase)) & 0xFF)
    return bytes(values)
