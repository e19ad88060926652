"""How long a restore should take, from how fast earlier restores and drills were."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from nightscan_tasks.errors import NotFound
from nightscan_tasks.ledger.restore_records import RestoredComponent
from nightscan_tasks.restore.choosing import Choice, choose
from nightscan_tasks.restore.request import LIVE
from nightscan_tasks.settings import Settings
from nightscan_tasks.system import System

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
        newest = timed[:_SAMPLES]
        rate = statistics.median(each.bytes_per_second for each in newest)
        # What is small takes its time whatever its size: a rate alone would make it nothing.
        least = min((each.elapsed_seconds for each in newest if each.plain_bytes <= plain_bytes), default=0.0)
        expected = max(plain_bytes / rate, least)
    else:
        expected = plain_bytes / _ASSUMED_BYTES_PER_SECOND[component] + _OVERHEAD_SECONDS
    return Forecast(component, plain_bytes, expected, objective_seconds(settings, component), bool(timed))


@dataclass(frozen=True)
class Recovery:
    """What a loss at this moment would cost: the data since `lost_since`, and the time of each component."""

    set_id: str
    lost_since: datetime
    components: tuple[Forecast, ...]

    @property
    def expected_seconds(self) -> float:
        """How long all of it should take, one after the other."""
        return sum(each.expected_seconds for each in self.components)


def forecast_recovery(system: System) -> Recovery | None:
    """Today's recovery, from the newest complete set and the speed of earlier ones; None without a set."""
    try:
        _, manifest = choose(system, Choice(), LIVE)
    except NotFound:
        return None
    sizes = {component: sum(artifact.plain_bytes for artifact in manifest.of(component))
             for component in LIVE}
    return Recovery(str(manifest.set_id), manifest.opened_at,
                    forecast(sizes, system.restores.timed(), system.settings))
