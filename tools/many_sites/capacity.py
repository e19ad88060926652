"""What would be full first: each thing that a night needs, by how much of what it can do is asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tools.many_sites.fleet import DAY_SECONDS, Fleet
from tools.many_sites.requests import Steps, a_day, beats_a_day, per_second, times_a_day

PUTS_A_SECOND, GETS_A_SECOND = 3500, 5500
"""What S3 takes at once below one prefix, before it has split it further."""
MESSAGES_A_SECOND = 1000
"""What one Redis with persistence passes on with ease."""
_PART_BYTES = 16 << 20
_ROUND_TRIP_SECONDS = 0.03
BUSY_SETS = 2.0
"""Full sets in the busiest night of a week: the weekly one, and the daily one when it falls on a Sunday."""


@dataclass(frozen=True)
class Load:
    """One thing, and how full it is: 1.0 is all that it can do in its time."""

    name: str
    share: float

    def __str__(self) -> str:
        return f"{self.name}, {100 * self.share:.0f} %"


def loads(fleet: Fleet, steps: Steps) -> list[Load]:
    """The busiest night of a week, the fullest thing first."""
    window = fleet.window_hours * 3600
    largest, total = fleet.stocks()[-1], fleet.sites * fleet.stock_bytes
    scrub = fleet.scrubbed_bytes_a_day
    read = BUSY_SETS * fleet.reads
    found = [
        Load("the largest site's line up", BUSY_SETS * largest / fleet.uplink / window),
        Load("the largest site's compressing and encrypting",
             BUSY_SETS * largest / fleet.archive_bytes_per_second / window),
        Load("the largest site's line down",
             (read * largest + scrub * largest / total) / fleet.downlink / DAY_SECONDS),
        Load("the shared line up", BUSY_SETS * total / fleet.shared / window),
        Load("the shared line down", (read * total + scrub) / fleet.shared / DAY_SECONDS),
        *_requests(fleet, steps)]
    return sorted(found, key=lambda each: -each.share)


def _requests(fleet: Fleet, steps: Steps) -> list[Load]:
    day = a_day(fleet, steps)
    everywhere = {kind: fleet.sites * per_second(sum(step.get(kind, 0) for step in day.values()))
                  for kind in ("PUT", "LIST", "GET")}
    sending = min(fleet.sites * min(fleet.uplink, fleet.archive_bytes_per_second), fleet.shared)
    beats = fleet.sites * 2 * fleet.jobs / fleet.beat_seconds if beats_a_day(fleet) else 0.0
    asked = sum(sum(step.values()) for step in day.values())
    return [Load("S3's PUTs a second, were all sites one prefix",
                 (everywhere["PUT"] + sending / _PART_BYTES + beats) / PUTS_A_SECOND),
            Load("S3's GETs and LISTs a second, were all sites one prefix",
                 (everywhere["GET"] + everywhere["LIST"] + beats) / GETS_A_SECOND),
            Load("a broker, were there one for all sites", _messages(fleet) / MESSAGES_A_SECOND),
            Load("a site's control worker, waiting for small requests",
                 asked * _ROUND_TRIP_SECONDS / DAY_SECONDS)]


def _messages(fleet: Fleet) -> float:
    """What a broker passes on in a second: a task, that it is taken, that it is done, and its answer."""
    tasks = sum(times for step, times in times_a_day(fleet).items() if step != "beat")
    return fleet.sites * per_second(4 * tasks)


def most(day: Mapping[str, Mapping[str, float]]) -> list[tuple[str, float]]:
    """Which steps ask most, the most first."""
    return sorted(((step, sum(asked.values())) for step, asked in day.items()), key=lambda each: -each[1])
