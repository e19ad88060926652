"""What a sample will hold: sizes in the proportions of the guide, and each upload by name."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["sound", "picture"]

SPECIES = ("Strix aluco", "Athene noctua", "Tyto alba", "Bubo bubo", "Asio otus", "Vulpes vulpes",
           "Meles meles", "Capreolus capreolus", "Sus scrofa", "Felis silvestris", "Martes martes",
           "Lutra lutra", "Caprimulgus europaeus", "Erinaceus europaeus", "Pipistrellus pipistrellus")
LOG_DAYS = 30

# Of the whole; what is left is the source code, and what every file needs beside its content.
_DATABASE, _REDIS, _SOUND, _PICTURES, _MODELS, _LOGS, _SOURCE = .25, .05, .38, .14, .12, .04, .01
_SOUND_BYTES, _PICTURE_BYTES = 90_000, 45_000
_FEWEST = 12
_HISTORY_DAYS = 500
_SITES = ("orsay", "vercors", "camargue", "morvan", "étang-de-berre", "queyras")


@dataclass(frozen=True)
class Upload:
    """One uploaded file, and the prediction that names it. `path` is below `uploads/`."""

    path: str
    kind: Kind
    size_bytes: int
    uploaded_at: datetime
    prediction_id: uuid.UUID
    species: str
    confidence: float


@dataclass(frozen=True)
class Plan:
    """All that a sample will hold. Sizes in bytes; `database_bytes` is about the size as SQL."""

    seed: int
    now: datetime
    uploads: tuple[Upload, ...]
    users: int
    database_bytes: int
    redis_bytes: int
    models_bytes: int
    logs_bytes: int
    source_bytes: int

    def random(self, purpose: str) -> random.Random:
        """Random numbers of one purpose's own: writing side by side does not change them."""
        return random.Random(f"{self.seed}/{purpose}")

    @property
    def pictures(self) -> tuple[Upload, ...]:
        """The uploads that are pictures."""
        return tuple(upload for upload in self.uploads if upload.kind == "picture")


def plan_sample(total_bytes: int, *, seed: int, now: datetime) -> Plan:
    """Decide what a sample of about `total_bytes` holds. The smallest useful one is about 1 MB."""
    rng = random.Random(seed)
    uploads = (*_uploads(rng, "sound", int(total_bytes * _SOUND), now),
               *_uploads(rng, "picture", int(total_bytes * _PICTURES), now))
    return Plan(seed=seed, now=now, uploads=uploads, users=max(20, len(uploads) // 40),
                database_bytes=int(total_bytes * _DATABASE), redis_bytes=int(total_bytes * _REDIS),
                models_bytes=int(total_bytes * _MODELS), logs_bytes=int(total_bytes * _LOGS),
                source_bytes=int(total_bytes * _SOURCE))


def _uploads(rng: random.Random, kind: Kind, total_bytes: int, now: datetime) -> Iterator[Upload]:
    usual = _SOUND_BYTES if kind == "sound" else _PICTURE_BYTES
    mean = min(usual, total_bytes // _FEWEST)
    left = total_bytes
    while left > mean // 2:
        size = 2 * int(mean / 2 * min(4, rng.lognormvariate(-0.1, 0.45)))  # 16-bit samples: even
        uploaded_at = now - timedelta(seconds=rng.uniform(60, _HISTORY_DAYS * 86400))
        uploaded_at = uploaded_at.replace(microsecond=0)
        number = uuid.UUID(int=rng.getrandbits(128), version=4)
        yield Upload(path=_path(rng, kind, uploaded_at, number), kind=kind, size_bytes=size,
                     uploaded_at=uploaded_at, prediction_id=number, species=rng.choice(SPECIES),
                     confidence=round(rng.betavariate(6, 2), 4))
        left -= size


def _path(rng: random.Random, kind: Kind, at: datetime, number: uuid.UUID) -> str:
    site, short = rng.choice(_SITES), number.hex[:12]
    name = f"{site}_{at:%Y%m%d_%H%M%S}_{short}.wav" if kind == "sound" else f"{site}-{short}.jpg"
    return f"{at:%Y/%m}/{name}"
