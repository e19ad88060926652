"""The alerts of the past: what the looks every six hours noticed of each trouble, and when it was over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from nightscan_tasks.ledger import Ending, Outcome
from nightscan_tasks.ledger.restore_records import Drill
from nightscan_tasks.model import Json, Tier
from nightscan_tasks.watch.alert import Alert
from nightscan_tasks.watch.problem import Kind, Problem, Severity
from nightscan_tasks.world.history.runs import Past

_LOOKS = timedelta(hours=6)
_DAY = timedelta(days=1)
_BEAT_BACK = timedelta(hours=11, minutes=20)  # after the last run that it slept through
_LOOKED_INTO = timedelta(hours=8)


def make_alerts(runs: Sequence[Past], drills: Sequence[Drill], gaps: Sequence[tuple[datetime, datetime]], *,
                now: datetime) -> Iterator[Alert]:
    """An alert for each trouble that was noticed by `now`; those that are not over have no end.

    `gaps` are first and last moments at which a run was due and none began.
    """
    for alert in (*_stale(gaps), *_failed(runs), *_away(runs), *_small(runs), *_drilled(drills)):
        if alert.noticed_at < now:
            yield alert


def _stale(gaps: Sequence[tuple[datetime, datetime]]) -> Iterator[Alert]:
    """Noticed only when the beat was back: nobody looks while it is down."""
    for first, last in gaps:
        yield _alert(Problem(Kind.STALE, "daily@primary", Severity.CRITICAL, first, {
            "tier": "daily", "store": "primary", "components": ["database", "redis", "user_data"],
            "newest_at": (first - _DAY).isoformat(), "oldest_at": (first - _DAY).isoformat(),
            "allowed_seconds": 25 * 3600}), last + _BEAT_BACK, last + _DAY + _LOOKS)


def _failed(runs: Sequence[Past]) -> Iterator[Alert]:
    for tier in (Tier.DAILY, Tier.WEEKLY, Tier.MONTHLY):
        of_tier = [past.outcome for past in runs if past.run.set_id.tier is tier]
        for outcome, following in pairwise([*of_tier, None]):
            if outcome and outcome.ending in {Ending.FAILED, Ending.INCOMPLETE}:
                yield _alert(Problem(Kind.FAILED, tier.value, Severity.CRITICAL, outcome.settled_at, {
                    "tier": tier.value, "run_id": outcome.run_id, "ending": outcome.ending.value,
                    "failures": _failures(outcome), "notes": []}), _next_look(outcome.settled_at),
                    _next_look(following.settled_at) if following else None)


def _failures(outcome: Outcome) -> list[Json]:
    parts: dict[str, list[str]] = {}
    for each in outcome.failures:
        parts.setdefault(each.message, []).append(each.part)
    return [{"parts": ", ".join(named), "message": message} for message, named in parts.items()]


def _away(runs: Sequence[Past]) -> Iterator[Alert]:
    """An offsite store that did not answer, from the first run that could not copy to the next that could."""
    began: Outcome | None = None
    for past in runs:
        outcome = past.outcome
        if outcome.ending is Ending.DEGRADED:
            began = began or outcome
        elif began is not None and outcome.ending is not Ending.FAILED:
            yield _unreachable(began, _next_look(outcome.settled_at))
            began = None
    if began is not None:
        yield _unreachable(began, None)


def _unreachable(outcome: Outcome, closed_at: datetime | None) -> Alert:
    store = outcome.failures[0].part.partition("@")[2]
    return _alert(Problem(Kind.UNREACHABLE, store, Severity.WARNING, outcome.settled_at, {
        "store": store, "url": "", "problem": outcome.failures[0].message}),
        _next_look(outcome.settled_at), closed_at)


def _small(runs: Sequence[Past]) -> Iterator[Alert]:
    for past in runs:
        outcome = past.outcome
        if outcome.suspicious:
            set_id, noticed_at = str(outcome.set_id), _next_look(outcome.settled_at)
            problem = Problem(Kind.SUSPICIOUS, set_id, Severity.CRITICAL, outcome.settled_at, {
                "set_id": set_id, "reasons": list(outcome.suspicious)})
            yield _alert(problem, noticed_at, _next_look(noticed_at + _LOOKED_INTO))


def _drilled(drills: Sequence[Drill]) -> Iterator[Alert]:
    for drill, following in pairwise([*sorted(drills, key=lambda each: each.drilled_at), None]):
        if drill and not drill.passed:
            yield _alert(Problem(Kind.DRILL_FAILED, "drill", Severity.CRITICAL, drill.drilled_at, {
                "drill_id": drill.drill_id, "set_id": str(drill.set_id), "problems": list(drill.problems)}),
                _next_look(drill.drilled_at), _next_look(following.drilled_at) if following else None)


def _alert(problem: Problem, noticed_at: datetime, closed_at: datetime | None) -> Alert:
    return Alert(problem, noticed_at, problem.severity, closed_at=closed_at)


def _next_look(moment: datetime) -> datetime:
    """The next of the looks at six, twelve, eighteen and midnight, UTC."""
    begun = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return begun + _LOOKS * ((moment - begun) // _LOOKS + 1)
