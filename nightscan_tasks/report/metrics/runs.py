"""How runs went, and what is next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta

from nightscan_tasks.ledger import Ending, Outcome
from nightscan_tasks.report.metrics.metric import Metric, Row, metric, moments
from nightscan_tasks.watch.overview import Overview, RunSeen

_RECENT = timedelta(days=30)


@metric("run_last_timestamp_seconds", "when the last run of the tier ended, however it did", "tier")
def last_ended(overview: Overview) -> Iterator[Row]:
    """Of every tier that has runs."""
    yield from moments(*(((tier,), each.settled_at) for tier, each in _last(overview).items()))


@metric("run_last_duration_seconds",
        "how long the last run of the tier took, from when it was opened", "tier")
def last_duration(overview: Overview) -> Iterator[Row]:
    """Of every tier that has runs."""
    yield from (((tier,), each.elapsed_seconds) for tier, each in _last(overview).items())


@metric("run_last_ending",
        "1 for how the last run ended, 0 for the other ways: good, degraded, incomplete, failed",
        "tier", "ending")
def last_ending(overview: Overview) -> Iterator[Row]:
    """Of every tier that has runs."""
    for tier, each in _last(overview).items():
        yield from (((tier, ending), float(each.ending is ending)) for ending in Ending)


@metric("backup_duration_seconds",
        "how long the component's parts took in the last run that saved it, one after the other",
        "tier", "component")
def component_duration(overview: Overview) -> Iterator[Row]:
    """Of what was saved since versions record it."""
    found: dict[tuple[str, ...], float] = {}
    for each in _outcomes(overview.runs):
        for component, saved in each.components.items():
            found.setdefault((each.set_id.tier, component), saved.elapsed_seconds)
    return iter(found.items())


@metric("runs", "how many runs are on record, which goes back 400 days, by how they ended",
        "tier", "ending")
def runs(overview: Overview) -> Iterator[Row]:
    """Of every tier that has runs."""
    return _counted(overview.runs)


@metric("recent_runs", "how many runs of the last 30 days ended so", "tier", "ending")
def recent_runs(overview: Overview) -> Iterator[Row]:
    """Of every tier that has runs in them."""
    return _counted([run for run in overview.runs if run.opened_at >= overview.now - _RECENT])


@metric("runs_under_way", "how many runs are open: at work, or waiting for their turn", "tier")
def under_way(overview: Overview) -> Iterator[Row]:
    """Of every tier that has runs or sets."""
    if not _is_blind(overview):
        counted = Counter(each.set_id.tier for each in overview.running)
        yield from (((tier,), counted[tier]) for tier in overview.tiers)


@metric("restores_under_way", "how many sets are being read by a restore or a drill")
def restoring(overview: Overview) -> Iterator[Row]:
    """Known while the primary store answers."""
    if not _is_blind(overview):
        yield (), len(overview.restoring)


@metric("next_timestamp_seconds", "when the timetable sends the task next", "task")
def due(overview: Overview) -> Iterator[Row]:
    """The first of each task."""
    found: dict[str, float] = {}
    for each in overview.due:
        found[each.task] = min(found.get(each.task, each.at.timestamp()), each.at.timestamp())
    yield from (((task,), at) for task, at in found.items())


def _last(overview: Overview) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    for each in _outcomes(overview.runs):
        found.setdefault(each.set_id.tier, each)
    return found


def _counted(seen: Iterable[RunSeen]) -> Iterator[Row]:
    """Ways in which no run ended are there with 0."""
    counted = Counter((each.set_id.tier, each.ending) for each in _outcomes(seen))
    for tier in dict.fromkeys(tier for tier, _ in counted):
        yield from (((tier, ending), counted[tier, ending]) for ending in Ending)


def _outcomes(seen: Iterable[RunSeen]) -> Iterator[Outcome]:
    return (run.outcome for run in seen if run.outcome is not None)


def _is_blind(overview: Overview) -> bool:
    """Nothing of the ledger could be read."""
    return "*" in overview.blind


METRICS: tuple[Metric, ...] = (last_ended, last_duration, last_ending, component_duration, runs, recent_runs,
                               under_way, restoring, due)
