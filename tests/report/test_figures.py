"""Figures of a month, from a ledger that is small enough to compute by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from nightscan_tasks.ledger import Ending, Outcome, Saved, Verified
from nightscan_tasks.ledger.restore_records import Drill, RestoredComponent
from nightscan_tasks.model import Failure, SetId, Tier
from nightscan_tasks.report.monthly import Month, MonthlyReport
from nightscan_tasks.report.monthly_computing import NO_DRILL, NOT_SAVED_BEFORE, compute
from nightscan_tasks.report.monthly_reading import Records
from nightscan_tasks.watch.alert import Alert
from nightscan_tasks.watch.overview import Overview, RunSeen, StoreSeen
from nightscan_tasks.watch.problem import Health, Kind, Problem, Severity

PARIS = ZoneInfo("Europe/Paris")
OCTOBER = Month(2026, 10)
NOW = datetime(2026, 11, 10, 9, 0, tzinfo=UTC)
STORES = (StoreSeen("primary", "/backups"), StoreSeen("offsite", "/offsite"))


def at(month: int, day: int, hour: int = 2, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=PARIS).astimezone(UTC)


def ran(moment: datetime, ending: Ending = Ending.GOOD, *, stored: int = 100, seconds: float = 10.0,
        error: str = "", suspicious: tuple[str, ...] = ()) -> RunSeen:
    set_id = SetId.at(Tier.DAILY, moment)
    stores = {Ending.GOOD: ("primary", "offsite"), Ending.FAILED: ()}.get(ending, ("primary",))
    saved = {} if ending is Ending.FAILED else {"database": Saved(2 * stored, stored, seconds)}
    failures = (Failure("redis", error, f"{error} happened", moment),) if error else ()
    return RunSeen(set_id.run_id, set_id, Outcome(
        set_id.run_id, set_id, ending, moment + timedelta(seconds=seconds), seconds, 2 * stored, stored,
        stores, failures, suspicious=suspicious, components=saved))


RUNS = (
    ran(at(9, 30), stored=100, seconds=10),
    ran(at(10, 1), stored=100, seconds=10),
    ran(at(10, 2), Ending.DEGRADED, stored=300, seconds=30),
    ran(at(10, 3), Ending.INCOMPLETE, stored=200, seconds=500, error="SourceUnavailable"),
    ran(at(10, 4), Ending.FAILED, error="StoreRefused", seconds=900),
    ran(at(11, 1), stored=900, seconds=90),
)
EXPECTED = {Tier.DAILY: (at(9, 30), *(at(10, day) for day in range(1, 6)), at(11, 1))}
DRILLS = (
    Drill("d2", None, "primary", "routine", at(10, 20, 10), 120.0,
          (RestoredComponent("database", 10, 110.0, 100),), None, 7200.0,
          ("database took 1 min 50 s, and may take 1 min 40 s",)),
    Drill("d1", None, "primary", "routine", at(10, 15, 10), 60.0,
          (RestoredComponent("database", 10, 50.0, 100),), None, 3600.0),
)


def overview(**more: object) -> Overview:
    facts: dict[str, object] = {
        "site": "here", "now": NOW, "problems": (), "health": Health.GOOD, "runs": tuple(reversed(RUNS)),
        "stores": STORES, "drills": DRILLS, "expected_at": EXPECTED, "begun_at": at(9, 30)}
    return Overview(**{**facts, **more})  # type: ignore[arg-type]  # by name, as each test wants them


def report(records: Records | None = None, month: Month = OCTOBER, **more: object) -> MonthlyReport:
    return compute(month, overview(**more), records or Records(), zone=PARIS)


def test_a_run_that_never_began_counts_as_one_that_failed() -> None:
    october = report()
    assert october.success_rate.value == pytest.approx(2 / 5)  # good, degraded of these, two bad, one missed
    assert october.success_rate.before == pytest.approx(1.0)
    (daily,) = october.tiers
    assert (daily.good, daily.degraded, daily.incomplete, daily.failed) == (1, 1, 1, 1)
    assert daily.missed_at == (at(10, 5),)
    assert daily.wanted == 5


def test_a_run_that_was_made_up_for_later_is_not_missed_nor_is_one_that_is_due_just_now() -> None:
    late = ran(at(10, 5, 14))
    assert report(runs=(*RUNS, late)).tiers[0].missed_at == ()
    now = at(10, 5, 2, 30)
    assert report(now=now, runs=RUNS[:-1]).tiers[0].missed_at == ()


def test_what_was_due_before_there_was_any_run_is_not_missed() -> None:
    assert report(begun_at=at(10, 3), runs=RUNS[3:]).tiers[0].missed_at == (at(10, 5),)
    assert report(begun_at=at(10, 3), runs=RUNS[3:]).recorded_since == at(10, 3)


def test_averages_are_over_complete_sets() -> None:
    october = report()
    assert october.average_bytes.value == pytest.approx(200)
    assert october.average_bytes.before == pytest.approx(100)
    assert october.average_seconds.value == pytest.approx(20)


def test_growth_compares_medians_of_the_last_sets() -> None:
    october = report()
    (database,) = [each for each in october.components if each.component == "database"]
    assert database.stored_bytes.value == pytest.approx(200)  # of 100, 300, 200: the last is whole of it
    assert database.plain_bytes.value == pytest.approx(400)
    assert database.growth.value == pytest.approx(1.0)
    assert october.growth.value == pytest.approx(1.0)
    assert report(month=Month(2026, 9)).growth.value is None
    assert report(month=Month(2026, 9)).growth.why == NOT_SAVED_BEFORE
    (redis,) = [each for each in october.components if each.component == "redis"]
    assert (redis.saved, redis.failed) == (0, 2)


def test_a_suspicious_set_says_nothing_of_growth_unless_it_is_trusted() -> None:
    tiny = ran(at(10, 6), stored=1, suspicious=("database: 1 row",))
    plain = report(runs=(*RUNS[:3], tiny))
    assert plain.components[0].stored_bytes.value == pytest.approx(200)
    trusted = report(Records(trusted=frozenset({tiny.set_id})), runs=(*RUNS[:3], tiny))
    assert trusted.components[0].stored_bytes.value == pytest.approx(100)


def test_drills_count_and_their_times_are_averaged() -> None:
    october = report()
    assert (october.drills_performed, october.drills_passed) == (2, 1)
    assert october.recovery.value == pytest.approx(90)
    (database,) = october.recovery_times
    assert database.longest_seconds == pytest.approx(110)
    assert database.share == pytest.approx(1.1)
    assert [each.drilled_at for each in october.drills] == [at(10, 15, 10), at(10, 20, 10)]
    without = report(drills=())
    assert without.recovery.value is None
    assert without.recovery.why == NO_DRILL


def alert(since: datetime | None, noticed: datetime, closed: datetime | None = None) -> Alert:
    return Alert(Problem(Kind.FAILED, "daily", Severity.CRITICAL, since), noticed, Severity.CRITICAL,
                 closed_at=closed)


def test_detection_is_from_the_beginning_until_somebody_noticed() -> None:
    alerts = (alert(at(10, 3), at(10, 3, 8), at(10, 4, 2)), alert(at(10, 4), at(10, 4, 4)),
              alert(None, at(10, 9, 9), at(10, 9, 15)),             # nobody knows when it began
              alert(at(9, 1), at(9, 2), at(9, 3)), alert(at(11, 1), at(11, 2)))  # of other months
    october = report(Records(alerts, alerts_known=True))
    assert [each.detection_seconds for each in october.incidents] == [6 * 3600, 2 * 3600, None]
    assert [each.lasted_seconds for each in october.incidents] == [86400, None, 6 * 3600]
    assert october.detection.value == pytest.approx(4 * 3600)


def test_an_incident_that_began_before_and_goes_on_is_told_and_is_no_detection_of_this_month() -> None:
    october = report(Records((alert(at(9, 1), at(9, 30)),), alerts_known=True))
    assert len(october.incidents) == 1
    assert october.detection.value is None


def test_stores_tell_what_came_late_and_what_was_read_back() -> None:
    good, degraded = RUNS[1], RUNS[2]
    records = Records(verified={
        (good.run_id, "primary"): Verified(good.set_id, "primary", NOW, 1, (), "/backups"),
        (degraded.run_id, "primary"): Verified(degraded.set_id, "primary", NOW, 1, ("a bit",), "/backups"),
        (good.run_id, "offsite"): Verified(good.set_id, "offsite", NOW, 1, (), "/another/place")})
    primary, offsite = report(records).stores
    assert (primary.wanted, primary.late, primary.verified, primary.damaged) == (2, 0, 2, 1)
    assert (offsite.wanted, offsite.late, offsite.verified, offsite.damaged) == (2, 1, 0, 0)


def test_a_month_is_that_of_the_timetables_zone() -> None:
    evening = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)  # half past midnight in Paris, on the 1st
    runs = (ran(evening),)
    assert report(runs=runs, expected_at={}).runs == ()
    assert len(report(runs=runs, expected_at={}, month=Month(2026, 11)).runs) == 1
    assert len(compute(OCTOBER, overview(runs=runs, expected_at={}), Records(),
                       zone=ZoneInfo("UTC")).runs) == 1
    assert OCTOBER.ends_at(PARIS) == datetime(2026, 10, 31, 23, 0, tzinfo=UTC)  # winter time began


def test_a_month_that_is_not_over_says_so() -> None:
    assert not report(now=at(10, 20)).is_over
    assert report().is_over


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "october", "0000-01", "2026-10-01"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected for example 2026-10"):
        Month.parse(text)


def test_months_follow_one_another() -> None:
    assert Month(2026, 1).before == Month(2025, 12)
    assert Month(2026, 12).after == Month(2027, 1)
    assert str(Month.parse(" 2026-10 ")) == "2026-10"
