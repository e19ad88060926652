"""A run of the timetable that never came about is made up, once, and no other is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.schedules import crontab

from nightscan_tasks import backup
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import Tier
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.tasks.making_up import Heard, plan_missed
from nightscan_tasks.workflows import DAILY

LATE = timedelta(hours=1)
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
AT_TWO, NOTHING = MONDAY.replace(hour=2), {Tier.WEEKLY: (), Tier.MONTHLY: ()}


@pytest.fixture
def timetable() -> Iterator[dict[str, Any]]:
    app = Celery(set_as_current=False)
    yield {
        "daily": {"task": "nightscan.backup_daily", "schedule": crontab(hour="2", minute="0", app=app)},
        "weekly": {"task": "nightscan.backup_weekly",
                   "schedule": crontab(hour="2", minute="0", day_of_week="sunday", app=app)},
        "reap": {"task": "nightscan.reap", "schedule": timedelta(minutes=1)}}
    app.close()


def missed(timetable: dict[str, Any], now: datetime, *runs: Heard) -> list[Tier]:
    return plan_missed(timetable, {Tier.DAILY: runs, **NOTHING}, late=LATE, now=now)


def good(at: datetime) -> Heard:
    return Heard(at, Ending.GOOD)


def test_a_daily_that_beat_never_sent_is_missed_once_it_is_late(timetable: dict[str, Any]) -> None:
    yesterday = good(AT_TWO - timedelta(days=1))
    assert missed(timetable, AT_TWO - timedelta(minutes=1), yesterday) == []
    assert missed(timetable, AT_TWO + LATE - timedelta(minutes=1), yesterday) == []
    assert missed(timetable, AT_TWO + LATE + timedelta(minutes=1), yesterday) == [Tier.DAILY]


@pytest.mark.parametrize("ending", [Ending.GOOD, Ending.DEGRADED, None])
def test_a_run_that_ended_well_or_goes_on_is_not_made_up(
        timetable: dict[str, Any], ending: Ending | None) -> None:
    runs = (good(AT_TWO - timedelta(days=1)), Heard(AT_TWO + timedelta(seconds=1), ending))
    assert missed(timetable, AT_TWO + timedelta(hours=20), *runs) == []


def test_one_that_failed_is_tried_once_more_and_not_for_ever(timetable: dict[str, Any]) -> None:
    runs = [good(AT_TWO - timedelta(days=1)), Heard(AT_TWO, Ending.INCOMPLETE)]
    assert missed(timetable, AT_TWO + timedelta(minutes=50), *runs) == []
    assert missed(timetable, AT_TWO + timedelta(minutes=70), *runs) == [Tier.DAILY]
    runs.append(Heard(AT_TWO + timedelta(minutes=70), Ending.FAILED))
    assert missed(timetable, AT_TWO + timedelta(hours=20), *runs) == []
    assert missed(timetable, AT_TWO + timedelta(hours=26), *runs) == [Tier.DAILY]  # the next day's, if missed


def test_after_a_week_without_beat_each_tier_is_made_up_once(timetable: dict[str, Any]) -> None:
    last = good(AT_TWO - timedelta(days=8))
    assert missed(timetable, AT_TWO + timedelta(hours=3), last) == [Tier.DAILY, Tier.WEEKLY]


def test_where_nothing_was_ever_saved_nothing_was_missed(timetable: dict[str, Any]) -> None:
    assert missed(timetable, AT_TWO + timedelta(days=9)) == []


def test_a_run_that_a_wrong_clock_opened_in_the_future_hides_no_missed_one(timetable: dict[str, Any]) -> None:
    runs = (good(AT_TWO - timedelta(days=1)), good(AT_TWO + timedelta(days=30)))
    assert missed(timetable, AT_TWO + timedelta(hours=2), *runs) == [Tier.DAILY]


def test_the_ledger_tells_the_last_runs_of_a_tier(tmp_path: Path) -> None:
    system = System(load({"NIGHTSCAN_BACKUP_DIR": str(tmp_path / "b"), "NIGHTSCAN_ROOT": str(tmp_path)}))
    first = backup.open_run(system, backup.Request(DAILY)).run
    second = backup.open_run(system, backup.Request(DAILY, tag="other")).run
    assert system.ledger.newest(Tier.DAILY, count=2) == [second.run_id, first.run_id]
    assert system.ledger.newest(Tier.DAILY, count=1) == [second.run_id]
    assert system.ledger.newest(Tier.WEEKLY, count=5) == []
