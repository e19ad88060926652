"""How much there is to save on each day, what of it is stored, and how long that takes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from nightscan_tasks.ledger import Saved
from nightscan_tasks.model import COMPONENTS, Json

_FIRST_BYTES = {"database": 1.1e9, "redis": 45e6, "user_data": 8.2e9, "system_config": 1.9e6,
                "source_code": 38e6}
_DAILY_GROWTH = {"database": 0.0013, "redis": 0.0006, "user_data": 0.0011, "system_config": 0.0001,
                 "source_code": 0.0002}
_STORED_SHARE = {"database": 0.19, "redis": 0.41, "user_data": 0.93, "system_config": 0.22,
                 "source_code": 0.31}
_BYTES_PER_SECOND = {"database": 21e6, "redis": 9e6, "user_data": 58e6, "system_config": 1.2e6,
                     "source_code": 17e6}
_RESTORED_PER_SECOND = {"database": 13e6, "redis": 11e6, "user_data": 64e6, "system_config": 2e6,
                        "source_code": 22e6}
_WEEKEND_UPLOADS = 2.4  # walkers have time then
_SATURDAY = 5
_SLOWER_A_DAY = 0.0004  # disks and tables do not get younger
_ROW_BYTES, _KEY_BYTES, _FILE_BYTES = 310, 820, 66_000


@dataclass(frozen=True)
class Day:
    """Plain bytes by component, and how much slower than at the beginning everything is."""

    plain_bytes: Mapping[str, int]
    slower: float


def plan_days(days: int, *, last: date, seed: int) -> Sequence[Day]:
    """The days up to `last`, which is element 0."""
    chance = random.Random(f"{seed}/sizes")
    now, planned = dict(_FIRST_BYTES), []
    for day in range(days - 1, -1, -1):
        weekend = (last - timedelta(days=day)).weekday() >= _SATURDAY
        for component, growth in _DAILY_GROWTH.items():
            busy = (_WEEKEND_UPLOADS if weekend else 0.6) if component == "user_data" else 1.0
            now[component] *= 1 + growth * busy * chance.uniform(0.6, 1.4)
        planned.append(Day({component: round(size) for component, size in now.items()},
                           1 + _SLOWER_A_DAY * (days - day)))
    return planned[::-1]


def saved(component: str, plain_bytes: int, chance: random.Random, *, slower: float = 1.0,
          artifacts: int = 1) -> Saved:
    """What a run saves of a component, and how long that takes."""
    stored = plain_bytes * _STORED_SHARE[component] * chance.uniform(0.99, 1.01)
    took = plain_bytes / _BYTES_PER_SECOND[component] * slower * chance.uniform(0.9, 1.15) + 0.4
    return Saved(plain_bytes, round(stored), round(took, 3), artifacts)


def restored_seconds(component: str, plain_bytes: int, chance: random.Random) -> float:
    """How long a restore of a component takes."""
    return round(plain_bytes / _RESTORED_PER_SECOND[component] * chance.uniform(0.9, 1.1) + 1.5, 3)


def fingerprint(component: str, plain_bytes: int) -> Mapping[str, Json]:
    """What is in so many bytes of a component."""
    match component:
        case "database":
            rows = plain_bytes // _ROW_BYTES
            return {"tables": {"public.prediction": {"rows": rows * 4 // 5},
                               "public.detection": {"rows": rows // 5}, "public.user": {"rows": 240}}}
        case "redis":
            return {"databases": {"0": {"keys": plain_bytes // _KEY_BYTES}}}
    return {"files": max(12, plain_bytes // _FILE_BYTES), "bytes": plain_bytes}


def elapsed_seconds(parts: Mapping[str, Saved]) -> float:
    """How long a run with these components takes: a queue for servers, and one of two for files."""
    fast = sum(each.elapsed_seconds for name, each in parts.items() if name in COMPONENTS[:2])
    heavy = sum(each.elapsed_seconds for name, each in parts.items() if name not in COMPONENTS[:2]) / 2
    return round(1.12 * max(fast, heavy) + 3.5, 3)
