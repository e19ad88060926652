"""What lies beside recordings: pictures and calls that are compressed already, models, results as YAML."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from statistics import NormalDist

from benchmarks.data.noise import Noise

_JPEG_START = (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x02\x00\x00\x48\x00\x48\x00\x00"
               b"\xff\xdb\x00\x43\x00" + bytes(range(1, 65)) + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00")
_JPEG_END = b"\xff\xd9"
_MP3_HEADER = b"\xff\xfb\x90\x64"
_MP3_FRAME_BYTES = 417  # 128 kbit/s at 44,100 Hz
_BLOCK_WEIGHTS = 1 << 18
_EXPONENT = 0x3D  # weights between a hundredth and a tenth, for the most part
_SPECIES = ("Strix aluco", "Athene noctua", "Tyto alba", "Bubo bubo", "Asio otus", "Vulpes vulpes",
            "Meles meles", "Capreolus capreolus", "Sus scrofa", "Lutra lutra", "Pipistrellus pipistrellus")


def jpeg(noise: Noise, size_bytes: int) -> Iterator[bytes]:
    """A picture: what an encoder leaves has nothing left to squeeze."""
    body = max(0, size_bytes - len(_JPEG_START) - len(_JPEG_END))
    yield _JPEG_START + noise.take(body).replace(b"\xff", b"\xfe") + _JPEG_END


def mp3(noise: Noise, size_bytes: int) -> Iterator[bytes]:
    """A call, compressed: frame after frame, each with its header."""
    body = _MP3_FRAME_BYTES - len(_MP3_HEADER)
    frames = max(1, size_bytes // _MP3_FRAME_BYTES)
    sound = noise.take(frames * body)
    yield b"".join(_MP3_HEADER + sound[at:at + body] for at in range(0, len(sound), body))


def model(noise: Noise, size_bytes: int) -> Iterator[bytes]:
    """Weights as 32-bit floats: three bytes of noise, and one that says how large."""
    weights = size_bytes // 4
    while weights > 0:
        count = min(weights, _BLOCK_WEIGHTS)
        block = bytearray(4 * count)
        for place in range(3):
            block[place::4] = noise.take(count)
        block[3::4] = noise.take(count).translate(_exponents())
        yield bytes(block)
        weights -= count


def results(noise: Noise, size_bytes: int) -> Iterator[bytes]:
    """What a model said of one recording, as YAML; whole entries, so about that size."""
    lines = [f"recording: {noise.take(8).hex()}\nmodel: efficientnet_birds_v4\ndetections:\n"]
    length = len(lines[0])
    while length < size_bytes:
        species, digits = _SPECIES[noise.below(len(_SPECIES))], noise.take(6)
        start = int.from_bytes(digits[:2], "little") / 100
        lines.append(f"  - species: {species}\n    starts_at_seconds: {start:.2f}\n"
                     f"    ends_at_seconds: {start + 3:.2f}\n"
                     f"    confidence: 0.{int.from_bytes(digits[2:5], 'little') % 10_000:04}\n")
        length += len(lines[-1])
    yield "".join(lines).encode()


@functools.cache
def _exponents() -> bytes:
    curve = NormalDist(_EXPONENT, 1.2)
    signs = (0x80 * (place % 2) for place in range(256))
    return bytes(math.floor(curve.inv_cdf((place + 0.5) / 256)) & 0x7F | sign
                 for place, sign in enumerate(signs))
