"""Models, configuration and logs, and what lies beside them that no backup should take."""

from __future__ import annotations

import gzip
import os
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from nightscan_tasks.world.sample.plan import LOG_DAYS, Plan

_CHUNK_BYTES = 8 << 20
_LOG_BLOCK_LINES = 4000
_SMALLEST_LOG_BYTES = 2000
_MODELS = {"efficientnet_birds_v4.pt": .45, "mammals_v2.pt": .25, "audio_quantised.onnx": .2,
           "archive/birds_v3.onnx": .1}
_CONFIG = {
    "production.yaml": "database:\n  pool_size: 20\nuploads:\n  max_bytes: 104857600\n"
                       "models:\n  audio: efficientnet_birds_v4.pt\n  photo: mammals_v2.pt\n",
    "uwsgi.ini": "[uwsgi]\nmodule = web.app:application\nprocesses = 4\nbuffer-size = 32768\n",
    "nightscan.env": "FLASK_ENV=production\nSECRET_KEY=only-an-example\nMAIL_FROM=a@example.org\n",
    "alerts/rules.yml": "groups:\n  - name: nightscan\n    rules:\n      - alert: QueueIsLong\n",
}
_ACTIONS = ("POST /upload 202", "GET /api/v1/predictions 200", "predict done", "login ok",
            "GET /api/v1/detections 200", "rate limit reached", "cache hit", "cache miss")


def write_application(root: Path, plan: Plan) -> None:
    """Write `models`, `config` and `logs` below the application's folder."""
    _write_models(root / "models", plan)
    for name, text in _CONFIG.items():
        _write_text(root / "config" / name, text)
    (root / "config/nightscan.env").chmod(0o600)
    _write_logs(root / "logs", plan)
    _write_left_out(root, plan)


def _write_models(folder: Path, plan: Plan) -> None:
    rng = plan.random("models")
    for name, share in _MODELS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for chunk in _noise(rng, int(plan.models_bytes * share)):
                file.write(chunk)


def _write_logs(folder: Path, plan: Plan) -> None:
    """One log a day, each as old as its last line; the oldest half are compressed as well."""
    folder.mkdir(parents=True, exist_ok=True)
    block = _log_block(plan.random("logs"))
    for days in range(LOG_DAYS):
        day = plan.now - timedelta(days=days)
        text = _log_of(day, block, max(_SMALLEST_LOG_BYTES, plan.logs_bytes // LOG_DAYS))
        path = folder / ("nightscan.log" if days == 0 else f"nightscan-{day:%Y%m%d}.log")
        path.write_bytes(text)
        _as_old_as(path, day)
        if days > LOG_DAYS // 2:
            packed = path.with_suffix(".log.gz")
            packed.write_bytes(gzip.compress(text, compresslevel=1, mtime=0))
            _as_old_as(packed, day)


def _log_block(rng: random.Random) -> bytes:
    lines = (f"DAYDAYDAYD {rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02} INFO "
             f"request={rng.getrandbits(64):016x} user={rng.randrange(5000)} "
             f"ms={rng.randrange(900)} {rng.choice(_ACTIONS)}\n" for _ in range(_LOG_BLOCK_LINES))
    return "".join(lines).encode()


def _log_of(day: datetime, block: bytes, size_bytes: int) -> bytes:
    text = block.replace(b"DAYDAYDAYD", f"{day:%Y-%m-%d}".encode())
    return (text * (size_bytes // len(text) + 1))[:size_bytes].rpartition(b"\n")[0] + b"\n"


def _write_left_out(root: Path, plan: Plan) -> None:
    """What the guide's exclusions are there for."""
    rng = plan.random("left out")
    for number in range(8):
        _write(root / f"uploads/cache/thumbnails/{number:04}.jpg", rng.randbytes(2000))
    _write(root / "uploads/incoming/part-7f3a.tmp", rng.randbytes(5000))
    _write(root / "models/cache/compiled.bin", rng.randbytes(4000))
    _write(root / "logs/rotate.tmp", b"half a log\n")


def _write_text(path: Path, text: str) -> None:
    _write(path, text.encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _noise(rng: random.Random, size_bytes: int) -> Iterator[bytes]:
    while size_bytes > 0:
        chunk = rng.randbytes(min(size_bytes, _CHUNK_BYTES))
        yield chunk
        size_bytes -= len(chunk)


def _as_old_as(path: Path, moment: datetime) -> None:
    os.utime(path, (moment.timestamp(), moment.timestamp()))
