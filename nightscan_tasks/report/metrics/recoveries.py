"""What a recovery would take: as drills measured it, and as it is forecast."""

from __future__ import annotations

from collections.abc import Iterator

from nightscan_tasks.ledger.restore_records import Drill
from nightscan_tasks.report.metrics.metric import Metric, Row, metric, moments
from nightscan_tasks.watch.overview import Overview


@metric("drill_last_timestamp_seconds", "when the last drill was, whether it held or not", "kind")
def last_drill(overview: Overview) -> Iterator[Row]:
    """Of the kinds of drills that there were."""
    yield from moments(*((_kind(each), each.drilled_at) for each in _last(overview)))


@metric("drill_last_passed", "whether everything held in the last drill", "kind")
def passed(overview: Overview) -> Iterator[Row]:
    """Of the kinds of drills that there were."""
    yield from ((_kind(each), float(each.passed)) for each in _last(overview))


@metric("drill_last_success_timestamp_seconds", "when the last drill was that held", "kind")
def last_passed(overview: Overview) -> Iterator[Row]:
    """Of the kinds of which one did."""
    yield from moments(*((_kind(each), each.drilled_at) for each in _last(overview, only_passed=True)))


@metric("drill_duration_seconds", "how long the last drill took in all", "kind")
def duration(overview: Overview) -> Iterator[Row]:
    """Of the kinds of drills that there were."""
    yield from ((_kind(each), each.elapsed_seconds) for each in _last(overview))


@metric("drill_loss_seconds", "how old the data was that a loss at the last drill would have left", "kind")
def loss(overview: Overview) -> Iterator[Row]:
    """Of the drills that know it."""
    yield from ((_kind(each), each.loss_seconds) for each in _last(overview) if each.loss_seconds is not None)


@metric("drill_recovery_seconds",
        "how long the component took to recover in the last drill", "kind", "component")
def recovery(overview: Overview) -> Iterator[Row]:
    """Of the components that were restored."""
    for drill in _last(overview):
        for each in drill.components:
            yield (*_kind(drill), each.component), each.elapsed_seconds


@metric("recovery_expected_seconds",
        "how long the component should take to recover today, from earlier restores and drills", "component")
def expected(overview: Overview) -> Iterator[Row]:
    """While there is a set to recover from."""
    if overview.recovery:
        yield from (((each.component,), each.expected_seconds) for each in overview.recovery.components)


@metric("recovery_objective_seconds", "how long the component may take to recover", "component")
def objective(overview: Overview) -> Iterator[Row]:
    """Of what is forecast, or else of what was drilled last."""
    found: dict[str, float] = {}
    for drill in _last(overview):
        found |= {each.component: each.objective_seconds for each in drill.components}
    if overview.recovery:
        found |= {each.component: each.objective_seconds for each in overview.recovery.components}
    yield from (((component,), seconds) for component, seconds in found.items())


@metric("recovery_lost_since_timestamp_seconds", "from when on data would be lost, if it were lost now")
def lost_since(overview: Overview) -> Iterator[Row]:
    """While there is a set to recover from."""
    yield from moments(((), overview.recovery.lost_since if overview.recovery else None))


@metric("recovery_loss_objective_seconds", "of how much time data may be lost")
def loss_objective(overview: Overview) -> Iterator[Row]:
    """Always known."""
    yield (), overview.objective_loss_seconds


def _last(overview: Overview, *, only_passed: bool = False) -> Iterator[Drill]:
    """The last one of each kind."""
    found: dict[str, Drill] = {}
    for each in sorted(overview.drills, key=lambda drill: drill.drilled_at, reverse=True):
        if each.passed or not only_passed:
            found.setdefault(each.kind, each)
    return iter(found.values())


def _kind(drill: Drill) -> tuple[str]:
    """`routine`, `simulated_loss`."""
    return (drill.kind.replace(" ", "_"),)


METRICS: tuple[Metric, ...] = (last_drill, passed, last_passed, duration, loss, recovery, expected, objective,
                               lost_since, loss_objective)
