"""What is wrong with the proof that a restore works, in time: drills, forecasts, restores cut off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from nightscan_tasks.settings import Settings
from nightscan_tasks.watch.overview import Overview
from nightscan_tasks.watch.problem import Kind, Problem, Severity


def problems(overview: Overview, settings: Settings) -> Iterator[Problem]:
    """Of the drills, the forecast of a recovery, and restores."""
    yield from _drills(overview, settings)
    if overview.recovery is not None:
        for each in overview.recovery.components:
            if not each.met:
                yield Problem(Kind.TOO_SLOW, each.component, Severity.WARNING, None, {
                    "component": each.component, "expected_seconds": each.expected_seconds,
                    "objective_seconds": each.objective_seconds, "measured": each.measured})
    for state in overview.restores:
        if state.outcome is None and not _is_live(overview, str(state.run.set_id)):
            yield Problem(Kind.UNFINISHED, state.run.run_id, Severity.CRITICAL, state.run.opened_at,
                          {"run_id": state.run.run_id, "set_id": str(state.run.set_id)})


def _drills(overview: Overview, settings: Settings) -> Iterator[Problem]:
    last = next(iter(overview.drills), None)
    passed = next((each for each in overview.drills if each.passed), None)
    if last is not None and not last.passed:
        yield Problem(Kind.DRILL_FAILED, "drill", Severity.CRITICAL, last.drilled_at, {
            "drill_id": last.drill_id, "set_id": str(last.set_id) if last.set_id else "",
            "problems": [each.partition("\n")[0] for each in last.problems]})
    since = passed.drilled_at if passed else overview.begun_at
    late = timedelta(days=settings.drill_days)
    if since is not None and overview.now - since > late:
        yield Problem(Kind.UNDRILLED, "drill", Severity.WARNING, since + late, {
            "passed_at": passed.drilled_at.isoformat() if passed else None, "days": settings.drill_days})


def _is_live(overview: Overview, set_id: str) -> bool:
    """Whether somebody restores it at this moment."""
    return set_id in overview.restoring
