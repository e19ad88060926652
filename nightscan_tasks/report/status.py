"""The status as JSON: the guide's keys, and everything else that is known."""

from __future__ import annotations

from collections import Counter
from typing import Any

from nightscan_tasks import wire
from nightscan_tasks.language import Language
from nightscan_tasks.ledger import Ending, Outcome
from nightscan_tasks.model import Tier
from nightscan_tasks.report.rule import plan_rule
from nightscan_tasks.watch.overview import Overview, RunSeen, SetSeen
from nightscan_tasks.watch.problem import Problem
from nightscan_tasks.watch.under_way import RunningSeen
from nightscan_tasks.watch.words import describe


def as_json(overview: Overview, language: Language) -> dict[str, Any]:
    """Everything at a glance as dicts, lists, texts and numbers; times as ISO 8601, what is unknown null.

    The guide's keys: `last_backup` is when the newest whole set was taken, in seconds since 1970;
    `backup_sizes` the stored bytes of each component in its newest set; `backup_counts` the sets of each
    tier in the primary store; `health` good, warning, critical or unknown.
    """
    newest = next((each for each in overview.sets if each.complete), None)
    return {
        "last_backup": newest.set_id.taken_at.timestamp() if newest else None,
        "backup_sizes": _sizes(overview),
        "backup_counts": dict(Counter(each.set_id.tier.value for each in overview.sets
                                      if any(copy.store == "primary" for copy in each.copies))),
        "health": overview.health.value,
        "site": overview.site, "now": overview.now.isoformat(),
        "problems": [_problem(each, overview, language) for each in overview.problems],
        "alerts": [wire.plain(each) for each in overview.alerts],
        "under_way": [_running(each) for each in overview.running],
        "restoring": list(overview.restoring),
        "last": {run.set_id.tier.value: _run(run, outcome, overview) for run, outcome in last_runs(overview)},
        "rule_3_2_1": wire.plain(plan_rule(overview)),
        "stores": [wire.plain(each) for each in overview.stores],
        "freshness": [wire.plain(each) for each in overview.freshness],
        "next": [{"task": each.task, "at": each.at.isoformat()} for each in overview.due],
        "recovery": None if overview.recovery is None else {
            **wire.plain(overview.recovery), "expected_seconds": overview.recovery.expected_seconds,
            "objective_loss_seconds": overview.objective_loss_seconds},
        "drills": [wire.plain(each) for each in overview.drills[:5]],
        "restores": [wire.plain(each) for each in overview.restores],
        "queues": None if overview.queues is None else [wire.plain(each) for each in overview.queues],
        "frozen": dict(overview.frozen),
        "held": {str(each.set_id): each.held for each in overview.sets if each.held},
        "trusted": [str(each.set_id) for each in overview.sets if each.trusted],
    }


def last_runs(overview: Overview) -> tuple[tuple[RunSeen, Outcome], ...]:
    """The newest ended run of each tier, and how it ended, in the order of the tiers."""
    newest: dict[Tier, tuple[RunSeen, Outcome]] = {}
    for run in overview.runs:
        if run.outcome:
            newest.setdefault(run.set_id.tier, (run, run.outcome))
    return tuple(newest[tier] for tier in overview.tiers if tier in newest)


def last_set(overview: Overview, run: RunSeen) -> SetSeen | None:
    """The set of a run, where any store has it still."""
    return next((each for each in overview.sets if each.set_id == run.set_id), None)


def _sizes(overview: Overview) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for each in overview.sets:
        for component, seen in each.components.items():
            sizes.setdefault(component, seen.stored_bytes)
    return sizes


def _problem(problem: Problem, overview: Overview, language: Language) -> dict[str, Any]:
    words = describe(problem, language, now=overview.now)
    return {**wire.plain(problem), "key": problem.key, "title": words.title, "meaning": words.meaning,
            "commands": words.command.splitlines()}


def _running(running: RunningSeen) -> dict[str, Any]:
    return {"run_id": running.run_id, "works": [
        {"name": work.name, "phase": work.phase.value, "doing": work.doing, "bytes": work.done_bytes,
         "of_bytes": work.of_bytes, "bytes_per_second": work.bytes_per_second,
         "stored_bytes": work.stored_bytes,
         "problem": work.message if work.phase.value == "failed" else None} for work in running.works]}


def _run(run: RunSeen, outcome: Outcome, overview: Overview) -> dict[str, Any]:
    seen = last_set(overview, run)
    return {**wire.plain(outcome), "good": outcome.ending is Ending.GOOD,
            "copies": [wire.plain(each) for each in seen.copies] if seen else []}
