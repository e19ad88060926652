"""Runs of the timetable that never came about are made up: beat was down, or its message was lost.

Beat makes up for one missed run itself, if its schedule file survived and its clock was right. The ledger
knows better: a tier that was due, and of which nothing has been heard since, is asked for now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from celery import Task, shared_task
from celery.schedules import crontab

from nightscan_tasks.backup import Request
from nightscan_tasks.ledger import Ending, Ledger
from nightscan_tasks.model import Json, Tier
from nightscan_tasks.system import System
from nightscan_tasks.tasks.running import begin
from nightscan_tasks.workflows import PLANS

_TASKS = {f"nightscan.backup_{tier}": tier for tier in (Tier.DAILY, Tier.WEEKLY, Tier.MONTHLY)}
_TRIES = 2  # one that failed is tried once more, an hour later: a database may have been down at two
_KNOWN = 10  # of the last runs: enough to see past those that a wrong clock opened


@dataclass(frozen=True)
class Heard:
    """What the ledger knows of the runs of a tier: when each was opened, and how it ended, if it did."""

    opened_at: datetime
    ending: Ending | None


@shared_task(name="nightscan.make_up", bind=True)
def make_up(self: Task) -> list[Json]:
    """Begin the runs that were due, and did not come about."""
    system = System.from_env()
    late = timedelta(seconds=system.settings.late_seconds)
    heard = {tier: tuple(_heard(system.ledger, tier)) for tier in _TASKS.values()}
    missed = plan_missed(self.app.conf.beat_schedule, heard, late=late, now=system.clock())
    return [{"missed": str(tier), **begin(system, Request(PLANS[tier]))} for tier in missed]


def plan_missed(timetable: Mapping[str, Mapping[str, Any]], heard: Mapping[Tier, tuple[Heard, ...]], *,
                late: timedelta, now: datetime) -> list[Tier]:
    """The tiers that were due more than `late` ago, and have had no run since that ended well or goes on.

    Where nothing was ever saved, nothing was missed: an installation begins with its first run. A run
    from the future, which a wrong clock opened, counts for nothing.
    """
    past = [each.opened_at for runs in heard.values() for each in runs if each.opened_at <= now]
    if not past:
        return []
    return [tier for tier, when in _timetable(timetable)
            if _is_missed(when, [each for each in heard[tier] if each.opened_at <= now], min(past),
                          late=late, now=now)]


def _timetable(timetable: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[Tier, crontab]]:
    for entry in timetable.values():
        tier, when = _TASKS.get(entry["task"]), entry["schedule"]
        if tier is not None and isinstance(when, crontab):
            yield tier, when


def _is_missed(when: crontab, runs: list[Heard], begun: datetime, *, late: timedelta, now: datetime) -> bool:
    """Whether a moment at which a run was due has passed since the last that counts."""
    well = [run.opened_at for run in runs if run.ending not in {Ending.INCOMPLETE, Ending.FAILED}]
    since = max(well, default=begun)
    if not _due_between(when, since, now - late):
        return False
    failed = [run.opened_at for run in runs if run.opened_at > since]
    tries = [opened_at for opened_at in failed if not _due_between(when, opened_at, now - late)]
    return len(tries) < _TRIES and all(now - opened_at > late for opened_at in tries)


def _due_between(when: crontab, since: datetime, until: datetime) -> bool:
    """Whether beat would have sent it after `since`, and no later than at `until`."""
    asked = copy(when)
    asked.nowfun = lambda: until
    return bool(since < until and asked.is_due(since).is_due)


def _heard(ledger: Ledger, tier: Tier) -> Iterator[Heard]:
    """The runs of a tier, from the names and records of the last few."""
    for run_id in ledger.newest(tier, count=_KNOWN):
        outcome = ledger.outcome(run_id)
        yield Heard(ledger.opened(run_id).opened_at, outcome.ending if outcome else None)
