"""How long a restore should take, from how fast earlier restores and drills were."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nightscan_tasks.ledger.restore_records import RestoredComponent
from nightscan_tasks.settings import Settings

_SAMPLES = 5  # the newest ones: data and machines change
# Measured on two cores (docs/PERFORMANCE.md), halved: a promise that is kept is worth more than a bold one.
_ASSUMED_BYTES_PER_SECOND = {"database": 25e6, "redis": 10e6, "user_data": 60e6, "system_config": 5e6,
                             "source_code": 30e6}
_OVERHEAD_SECONDS = 2.0


@dataclass(frozen=True)
class Forecast:
    """How long one component should take; `measured` says whether this system has done it before."""

    component: str
    plain_bytes: int
    expected_seconds: float
    objective_seconds: int
    measured: bool

    @property
    def met(self) -> bool:
        """Whether it should be as fast as it has to be."""
        return self.expected_seconds <= self.objective_seconds


def forecast(sizes: Mapping[str, int], timed: Iterable[RestoredComponent],
             settings: Settings) -> tuple[Forecast, ...]:
    """For each component with so many plain bytes, from components as they were timed, newest first."""
    seen = [each for each in timed if each.bytes_per_second]
    return tuple(_forecast(component, plain_bytes, [each for each in seen if each.component == component],
                           settings) for component, plain_bytes in sizes.items())


def objective_seconds(settings: Settings, component: str) -> int:
    """How long a component may take to recover."""
    objectives = {"database": settings.objective_database_seconds, "redis": settings.objective_redis_seconds,
                  "user_data": settings.objective_user_data_seconds}
    return objectives.get(component, settings.objective_application_seconds)


def _forecast(component: str, plain_bytes: int, timed: list[RestoredComponent],
              settings: Settings) -> Forecast:
    if timed:
        # What is small takes its time whatever its size: a rate alone would make it nothing.
        newest = timed[:_SAMPLES]
        rate = statistics.median(each.bytes_per_second for each in newest)
        least = min(each.elapsed_seconds for each in newest if each.plain_bytes <= plain_bytes) \
            if any(each.plain_bytes <= plain_bytes for each in newest) else 0.0
        expected = max(plain_bytes / rate, least)
    else:
        expected = plain_bytes / _ASSUMED_BYTES_PER_SECOND[component] + _OVERHEAD_SECONDS
    return Forecast(component, plain_bytes, expected, objective_seconds(settings, component), bool(timed))
