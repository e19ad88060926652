"""What is wrong with runs: a tier that is stale, or was never saved, one that failed, one that is stuck."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from nightscan_tasks.ledger import Ending, Outcome
from nightscan_tasks.model import Json, Tier
from nightscan_tasks.settings import Settings
from nightscan_tasks.system import PRIMARY
from nightscan_tasks.watch.overview import Freshness, Overview, RunSeen
from nightscan_tasks.watch.problem import Kind, Problem, Severity

_LASTING_DAYS = 14  # a pre_deploy or manual run that failed long ago is history


def problems(overview: Overview, settings: Settings) -> Iterator[Problem]:
    """Of every tier its staleness and its last run; and of every run that is open whether it is stuck."""
    for tier in overview.tiers:
        yield from _stale(overview, tier, settings)
        yield from _last(overview, tier)
    for run in overview.running:
        if run.deadline_at and overview.now > run.deadline_at:
            yield Problem(Kind.STUCK, run.run_id, Severity.CRITICAL, run.deadline_at, {"run_id": run.run_id})


def _stale(overview: Overview, tier: Tier, settings: Settings) -> Iterator[Problem]:
    """What of the tier is too old in the primary store; that others lack copies is their own problem."""
    stale = [each for each in overview.freshness
             if each.tier is tier and each.store == PRIMARY and each.level is not None]
    limits = settings.stale_seconds(tier)
    if stale and limits:
        yield _staleness(overview, stale, limits)


def _staleness(overview: Overview, stale: list[Freshness], limits: tuple[int, int]) -> Problem:
    tier = stale[0].tier
    known = [each.newest_at for each in stale if each.newest_at]
    oldest = min(known) if len(known) == len(stale) else None
    severity = max((each.level for each in stale if each.level), key=list(Severity).index)
    return Problem(Kind.STALE if known else Kind.NEVER, tier.value, severity,
                   _due_since(overview, tier, oldest), {
        "tier": tier.value, "components": [each.component for each in stale],
        "newest_at": max(known).isoformat() if known else None,
        "oldest_at": oldest.isoformat() if oldest else None, "allowed_seconds": limits[0]})


def _due_since(overview: Overview, tier: Tier, newest: datetime | None) -> datetime | None:
    """When the run that did not come was due: the first of the timetable after the newest set, or at all."""
    since = newest or overview.begun_at
    if since is None:
        return None
    return min((each for each in overview.expected_at.get(tier, ()) if each > since), default=since)


def _last(overview: Overview, tier: Tier) -> Iterator[Problem]:
    run = next((each for each in overview.runs if each.set_id.tier is tier and each.outcome), None)
    if run is None or run.outcome is None or _is_history(overview, run):
        return
    outcome = run.outcome
    facts: dict[str, Json] = {"tier": tier.value, "run_id": run.run_id, "ending": outcome.ending.value,
                              "failures": _failures(outcome)}
    match outcome.ending:
        case Ending.FAILED | Ending.INCOMPLETE:
            yield Problem(Kind.FAILED, tier.value, Severity.CRITICAL, _since(overview, tier, run), facts)
        case Ending.DEGRADED if unsigned := [note for note in outcome.notes if "not signed" in note]:
            yield Problem(Kind.DEGRADED, tier.value, Severity.WARNING, outcome.settled_at,
                          {**facts, "notes": [note.partition("\n")[0] for note in unsigned]})


def _failures(outcome: Outcome) -> list[Json]:
    """What failed, and why: parts that failed for the same reason together."""
    parts: dict[str, list[str]] = {}
    for each in outcome.failures:
        parts.setdefault(each.message.partition("\n")[0], []).append(each.part)
    return [{"parts": ", ".join(named), "message": message} for message, named in parts.items()]


def _is_history(overview: Overview, run: RunSeen) -> bool:
    """Whether nobody expects a next one: then what failed long ago is not told for ever."""
    return (run.set_id.tier not in overview.expected_at
            and (overview.now - run.opened_at).days >= _LASTING_DAYS)


def _since(overview: Overview, tier: Tier, last: RunSeen) -> datetime:
    """When the first of the bad runs in a row ended."""
    since = last.outcome.settled_at if last.outcome else last.opened_at
    for run in overview.runs:
        if run.set_id.tier is not tier or run.outcome is None:
            continue
        if run.outcome.ending in {Ending.GOOD, Ending.DEGRADED}:
            break
        since = run.outcome.settled_at
    return since
