"""Recordings and pictures: real headers, content that hardly shrinks, as noise in the night does."""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path

from nightscan_tasks.world.sample.plan import Plan, Upload

_RATE = 22_050
_SAMPLE_BYTES = 2
_WAV_HEADER_BYTES = 44
_JPEG_START = (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x02\x00\x00\x48\x00\x48\x00\x00"
               b"\xff\xdb\x00\x43\x00" + bytes(range(1, 65)))
_JPEG_END = b"\xff\xd9"


def write_uploads(uploads: Path, plan: Plan) -> None:
    """Write each upload where its row says, of the size its row says, as old as its row says."""
    rng = plan.random("uploads")
    for folder in {(uploads / upload.path).parent for upload in plan.uploads}:
        folder.mkdir(parents=True, exist_ok=True)
    for upload in plan.uploads:
        path = uploads / upload.path
        path.write_bytes(_wav(rng, upload) if upload.kind == "sound" else _jpeg(rng, upload))
        stamp = upload.uploaded_at.timestamp()
        os.utime(path, (stamp, stamp))


def _wav(rng: random.Random, upload: Upload) -> bytes:
    """RIFF, 16-bit mono PCM."""
    samples = max(0, upload.size_bytes - _WAV_HEADER_BYTES)
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", samples + _WAV_HEADER_BYTES - 8, b"WAVE",
                         b"fmt ", 16, 1, 1, _RATE, _RATE * _SAMPLE_BYTES, _SAMPLE_BYTES,
                         _SAMPLE_BYTES * 8, b"data", samples)
    return header + rng.randbytes(samples)


def _jpeg(rng: random.Random, upload: Upload) -> bytes:
    """A JFIF header and a quantisation table, noise, and the end marker."""
    body = upload.size_bytes - len(_JPEG_START) - len(_JPEG_END)
    return _JPEG_START + rng.randbytes(max(0, body)) + _JPEG_END
