"""The calendar: which days went well, and on which nothing ran although it was due."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from nightscan_tasks.ledger import Ending, Outcome
from nightscan_tasks.model import SetId, Tier
from nightscan_tasks.report.days import State, plan_calendar
from nightscan_tasks.watch.overview import Overview, RunSeen
from nightscan_tasks.watch.problem import Health

PARIS = ZoneInfo("Europe/Paris")
NOW = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)  # a Monday
BEGUN = datetime(2026, 11, 9, 1, 0, tzinfo=UTC)


def at(day: int, hour: int = 1) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def ran(tier: Tier, moment: datetime, ending: Ending | None = Ending.GOOD, *,
        suspicious: bool = False) -> RunSeen:
    set_id = SetId(tier, moment)
    outcome = Outcome(set_id.run_id, set_id, ending, moment + timedelta(minutes=5), 300.0,
                      suspicious=("far smaller",) if suspicious else ()) if ending else None
    return RunSeen(set_id.run_id, set_id, outcome)


def seen(*runs: RunSeen, daily: Iterable[datetime] = (), weekly: Iterable[datetime] = ()) -> Overview:
    return Overview("test", NOW, (), Health.GOOD, runs=tuple(sorted(runs, key=lambda run: run.opened_at,
                                                                    reverse=True)),
                    expected_at={Tier.DAILY: tuple(daily), Tier.WEEKLY: tuple(weekly)}, begun_at=BEGUN)


def states(overview: Overview, tier: Tier = Tier.DAILY) -> dict[date, State]:
    return {cell.day: cell.state for row in plan_calendar(overview, PARIS).rows if row.tier is tier
            for cell in row.cells}


def test_a_day_on_which_something_was_due_and_nothing_ran_is_a_hole() -> None:
    found = states(seen(ran(Tier.DAILY, at(9)), ran(Tier.DAILY, at(11)), daily=map(at, range(9, 12))))
    assert [found[date(2026, 11, day)] for day in (9, 10, 11)] == [State.GOOD, State.MISSING, State.GOOD]


def test_nothing_is_missing_before_the_first_run_nor_in_the_future() -> None:
    found = states(seen(ran(Tier.DAILY, at(9)), daily=map(at, range(1, 24))))
    assert found[date(2026, 11, 8)] is State.OUTSIDE
    assert found[date(2026, 11, 24)] is State.OUTSIDE
    assert found[date(2026, 11, 10)] is State.MISSING


def test_what_was_due_a_moment_ago_is_not_missing_yet() -> None:
    overview = seen(ran(Tier.DAILY, at(9)), daily=[at(9), NOW - timedelta(minutes=1)])
    assert states(overview)[NOW.date()] is State.IDLE
    assert states(replace(overview, now=NOW + timedelta(hours=2)))[NOW.date()] is State.MISSING


@pytest.mark.parametrize(("ending", "state"), [
    (Ending.GOOD, State.GOOD), (Ending.DEGRADED, State.DEGRADED), (Ending.INCOMPLETE, State.INCOMPLETE),
    (Ending.FAILED, State.FAILED), (None, State.RUNNING)])
def test_every_ending_is_a_state_of_its_own(ending: Ending | None, state: State) -> None:
    assert states(seen(ran(Tier.DAILY, at(12), ending), daily=[at(12)]))[date(2026, 11, 12)] is state


def test_a_suspicious_set_is_not_good() -> None:
    found = states(seen(ran(Tier.DAILY, at(12), suspicious=True), daily=[at(12)]))
    assert found[date(2026, 11, 12)] is State.SUSPICIOUS


def test_a_run_that_failed_and_was_made_up_for_on_the_same_day_is_well() -> None:
    overview = seen(ran(Tier.DAILY, at(12), Ending.FAILED), ran(Tier.DAILY, at(12, 9)), daily=[at(12)])
    assert states(overview)[date(2026, 11, 12)] is State.GOOD


def test_days_are_those_of_the_timetables_zone() -> None:
    late = datetime(2026, 11, 12, 23, 30, tzinfo=UTC)  # half past midnight in Paris
    assert states(seen(ran(Tier.DAILY, late)))[date(2026, 11, 13)] is State.GOOD


def test_a_week_of_a_weekly_tier_is_as_bad_as_its_worst_day() -> None:
    overview = seen(ran(Tier.DAILY, at(9)), ran(Tier.WEEKLY, at(15)), weekly=[at(15), at(22)])
    found = states(overview, Tier.WEEKLY)
    assert (found[date(2026, 11, 9)], found[date(2026, 11, 16)]) == (State.GOOD, State.MISSING)
    assert found[date(2026, 11, 23)] is State.IDLE  # its day is still to come


def test_days_that_were_not_well_are_told_the_newest_first() -> None:
    overview = seen(ran(Tier.DAILY, at(9)), ran(Tier.DAILY, at(10), Ending.FAILED),
                    daily=[at(9), at(10), at(11)])
    told = plan_calendar(overview, PARIS).troubles
    assert [(each.day.day, each.state) for each in told] == [(11, State.MISSING), (10, State.FAILED)]


def test_a_year_is_shown_and_no_more_and_thirteen_weeks_at_least() -> None:
    assert len(plan_calendar(seen(), PARIS).weeks) == 13
    long_ago = replace(seen(), begun_at=NOW - timedelta(days=900))
    assert len(plan_calendar(long_ago, PARIS).weeks) == 53
