"""Sizes and times as they went on: from the runs as the ledger has them, long after their sets are gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from nightscan_tasks.ledger.restore_records import Drill
from nightscan_tasks.model import COMPONENTS, Tier
from nightscan_tasks.report.charts import Series
from nightscan_tasks.watch.overview import Overview, RunSeen, SetSeen

Value = Callable[[RunSeen], float | None]


def sizes(overview: Overview, zone: ZoneInfo) -> tuple[Series, ...]:
    """What each component took in each store, in bytes; one point a day."""
    sets = {each.set_id: each for each in overview.sets}
    return _each_component(lambda name: lambda run: _stored_bytes(run, sets.get(run.set_id), name),
                           overview.runs, zone)


def durations(overview: Overview, zone: ZoneInfo) -> tuple[Series, ...]:
    """How long each component took, in seconds; one point a day."""
    return _each_component(lambda name: lambda run: _seconds(run, name), overview.runs, zone)


def total_size(name: str, overview: Overview, zone: ZoneInfo) -> Series:
    """What the daily sets took altogether."""
    return _series(name, _dailies(overview), lambda run: run.outcome.stored_bytes or None
                   if run.outcome else None, zone)


def total_duration(name: str, overview: Overview, zone: ZoneInfo) -> Series:
    """How long the daily runs took, of those that saved anything."""
    return _series(name, _dailies(overview), lambda run: run.outcome.elapsed_seconds
                   if run.outcome and run.outcome.stored_bytes else None, zone)


def recoveries(drills: Sequence[Drill]) -> tuple[Series, ...]:
    """What share of its objective the recovery of each component took, drill by drill."""
    found = []
    for name in COMPONENTS:
        points = [(drill.drilled_at, each.elapsed_seconds / each.objective_seconds)
                  for drill in reversed(drills) for each in drill.components
                  if each.component == name and each.objective_seconds]
        found.append(Series(name, tuple(points)))
    return tuple(each for each in found if each.points)


def _dailies(overview: Overview) -> tuple[RunSeen, ...]:
    return tuple(run for run in overview.runs if run.set_id.tier is Tier.DAILY)


def _each_component(value: Callable[[str], Value], runs: Sequence[RunSeen],
                    zone: ZoneInfo) -> tuple[Series, ...]:
    found = (_series(name, runs, value(name), zone) for name in COMPONENTS)
    return tuple(each for each in found if each.points)


def _series(name: str, runs: Sequence[RunSeen], value: Value, zone: ZoneInfo) -> Series:
    """One point a day, of its last run; runs are given newest first."""
    days: dict[date, tuple[datetime, float]] = {}
    for run in runs:
        found = value(run)
        if found is not None:
            days.setdefault(run.opened_at.astimezone(zone).date(), (run.opened_at, found))
    return Series(name, tuple(days[day] for day in sorted(days)))


def _stored_bytes(run: RunSeen, seen: SetSeen | None, name: str) -> float | None:
    """As the run recorded it; runs of older versions did not, and then the set says it while it is there."""
    if run.outcome and name in run.outcome.components:
        return run.outcome.components[name].stored_bytes
    return seen.components[name].stored_bytes if seen and name in seen.components else None


def _seconds(run: RunSeen, name: str) -> float | None:
    return run.outcome.components[name].elapsed_seconds \
        if run.outcome and name in run.outcome.components else None
