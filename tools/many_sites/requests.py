"""How many requests a site's day is, from what each step was measured to ask."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nightscan_tasks.stores.parts import plan_part_bytes
from tools.many_sites.fleet import DAY_SECONDS, MONTH_DAYS, Fleet

KINDS = ("PUT", "LIST", "GET", "DELETE")
FIGURES = Path(__file__).with_name("measured.json")
_OTHER_PARTS = 2  # the database and Redis
_RUNS_A_DAY = 1 + 1 / 7 + 1 / MONTH_DAYS


@dataclass(frozen=True)
class Steps:
    """Requests of each step, at a catalog of `sets` sets, and what each further set adds."""

    base: Mapping[str, Mapping[str, float]]
    a_set: Mapping[str, Mapping[str, float]]
    sets: int

    @classmethod
    def load(cls, path: Path = FIGURES) -> Steps:
        """As they were measured last: `python -m tools.many_sites --measure`."""
        figures = json.loads(path.read_text(encoding="utf-8"))
        return cls(figures["base"], figures["a_set"], figures["sets"])

    def of(self, step: str, sets: float) -> dict[str, float]:
        """What one such step asks, where the catalog has so many sets."""
        more = self.a_set.get(step, {})
        return {kind: self.base[step].get(kind, 0) + more.get(kind, 0) * (sets - self.sets) for kind in KINDS}


def times_a_day(fleet: Fleet) -> dict[str, float]:
    """How often a site does each step."""
    parts = fleet.archives + _OTHER_PARTS
    return {"open": _RUNS_A_DAY, "start": _RUNS_A_DAY, "part": _RUNS_A_DAY * parts,
            "settle": _RUNS_A_DAY * (parts + 1),  # it looks after each, and ends with the last
            "verify": _RUNS_A_DAY, "rotate": _RUNS_A_DAY + 1, "scrub": 1, "reap": 1440, "reap_restores": 288,
            "make_up": 144, "replicate": 24, "look": fleet.looks_a_day + _RUNS_A_DAY,
            "beat": beats_a_day(fleet)}


def beats_a_day(fleet: Fleet) -> float:
    """Heartbeats: each job keeps its own lease and its run's, while it saves and reads back."""
    sent = fleet.sent_bytes_a_day / fleet.sites
    seconds = sent / min(fleet.uplink, fleet.archive_bytes_per_second) + sent / fleet.downlink
    return 2 * fleet.jobs * seconds / fleet.beat_seconds


def a_day(fleet: Fleet, steps: Steps) -> dict[str, dict[str, float]]:
    """Requests of a site and day by step; parts that are sent, and artifacts that are read, are not in it."""
    return {step: {kind: number * times for kind, number in steps.of(step, fleet.kept_sets).items()}
            for step, times in times_a_day(fleet).items()}


def parts_a_day(fleet: Fleet) -> float:
    """PUTs of the parts of artifacts, of all sites: of 16 MiB at first, then larger and larger."""
    archive = fleet.stock_bytes / fleet.archives
    return fleet.sent_bytes_a_day / archive * part_count(archive)


def part_count(stored_bytes: float) -> int:
    """How many parts an upload of so many bytes has."""
    number, done = 0, 0.0
    while done < stored_bytes:
        number += 1
        done += plan_part_bytes(number)
    return max(number, 1)


def per_second(requests_a_day: float) -> float:
    """On average."""
    return requests_a_day / DAY_SECONDS
