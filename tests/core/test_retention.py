"""Retention is decided purely, so every promise of it is a table of sets and a verdict."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightscan_tasks.model import FOREVER, Days, Keep, Manifest, Months, SetId, Tier, Weeks
from nightscan_tasks.retention import Evidence, Rotation, plan_rotation
from nightscan_tasks.workflows import RETENTION

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def backup_set(days_ago: float, tier: Tier = Tier.DAILY, *, complete: bool = True) -> Manifest:
    taken_at = (NOW - timedelta(days=days_ago)).replace(microsecond=0)
    set_id = SetId(tier, taken_at)
    return Manifest(set_id=set_id, run_id=str(set_id).replace("/", "-"), complete=complete,
                    opened_at=taken_at, settled_at=taken_at, encrypted_for=None, host="h", tag=None,
                    components={}, artifacts=())


def rotation(sets: list[Manifest], *, verified: list[Manifest] | None = None, now: datetime = NOW,
             reading: list[Manifest] | None = None, last_seen: datetime | None = None) -> Rotation:
    evidence = Evidence(
        verified=frozenset(each.set_id for each in (sets if verified is None else verified)),
        reading=frozenset(each.set_id for each in reading or []), last_seen=last_seen)
    return plan_rotation(sets, store="primary", keep=RETENTION, evidence=evidence, now=now)


def test_daily_sets_go_after_seven_days() -> None:
    sets = [backup_set(days) for days in range(12)]
    assert rotation(sets).keep == tuple(each.set_id for each in sets[:7])


@pytest.mark.parametrize(("keep", "kept_days", "gone_days"), [
    (Days(7), 6.99, 7), (Weeks(4), 27.9, 28), (Months(12), 364, 366), (Days(30), 29.9, 30)])
def test_a_period_ends_to_the_day(keep: Keep, kept_days: float, gone_days: float) -> None:
    assert not keep.expired(NOW - timedelta(days=kept_days), now=NOW)
    assert keep.expired(NOW - timedelta(days=gone_days), now=NOW)


def test_a_month_later_than_the_31st_is_the_last_of_the_month() -> None:
    taken = datetime(2026, 1, 31, tzinfo=UTC)
    assert not Months(1).expired(taken, now=datetime(2026, 2, 27, 23, tzinfo=UTC))
    assert Months(1).expired(taken, now=datetime(2026, 2, 28, tzinfo=UTC))


def test_what_is_kept_for_ever_never_goes() -> None:
    assert not FOREVER.expired(NOW - timedelta(days=10_000), now=NOW)
    assert rotation([backup_set(0), backup_set(900, Tier.MANUAL)]).remove == ()


def test_the_last_good_set_of_a_tier_stays_whatever_its_age() -> None:
    old = [backup_set(50, Tier.WEEKLY), backup_set(57, Tier.WEEKLY)]
    assert rotation([backup_set(0), *old]).remove == (old[1].set_id,)


def test_an_incomplete_set_is_never_the_last_good_one() -> None:
    good, broken = backup_set(40, Tier.WEEKLY), backup_set(33, Tier.WEEKLY, complete=False)
    assert rotation([backup_set(0), good, broken]).remove == (broken.set_id,)


def test_an_unverified_set_is_not_the_last_good_one_while_a_verified_one_is_there() -> None:
    newest, unverified, verified = backup_set(0), backup_set(40, Tier.WEEKLY), backup_set(47, Tier.WEEKLY)
    assert verified.set_id in rotation([newest, unverified, verified], verified=[newest, verified]).keep


def test_nothing_goes_while_the_newest_set_is_unverified() -> None:
    sets = [backup_set(days) for days in range(12)]
    plan = rotation(sets, verified=sets[1:])
    assert plan.remove == ()
    assert plan.held is not None
    assert "not verified" in plan.held


def test_nothing_goes_when_backups_have_stopped_or_the_clock_jumped_ahead() -> None:
    sets = [backup_set(days) for days in range(5)]
    plan = rotation(sets, now=NOW + timedelta(days=400))
    assert plan.remove == ()
    assert "clock has jumped" in str(plan.held)


def test_nothing_goes_when_the_clock_jumped_back() -> None:
    sets = [backup_set(0), backup_set(20), backup_set(30)]
    plan = rotation(sets, last_seen=NOW + timedelta(days=3))
    assert plan.remove == ()
    assert "check the clock" in str(plan.held)


def test_a_set_that_a_restore_reads_stays() -> None:
    newest, read = backup_set(0), backup_set(20)
    assert rotation([newest, read], reading=[read]).remove == ()


def test_every_verdict_has_a_reason() -> None:
    plan = rotation([backup_set(0), backup_set(20), backup_set(900, Tier.MANUAL)])
    assert all(verdict.reason for verdict in plan.verdicts)
    assert next(v.reason for v in plan.verdicts if v.remove) == "20 days old, kept 7 days"


@given(ages=st.lists(st.tuples(st.floats(0, 800), st.sampled_from(list(Tier)), st.booleans(), st.booleans()),
                     max_size=30))
def test_whatever_the_sets_a_tier_that_had_a_good_one_keeps_one(
        ages: list[tuple[float, Tier, bool, bool]]) -> None:
    sets = list({(m := backup_set(age, tier, complete=complete)).set_id: (m, verified)
                 for age, tier, complete, verified in ages}.values())
    plan = rotation([m for m, _ in sets], verified=[m for m, verified in sets if verified])
    for tier in Tier:
        complete = {m.set_id for m, _ in sets if m.set_id.tier == tier and m.complete}
        verified = {m.set_id for m, is_verified in sets if is_verified} & complete
        assert not complete or complete & set(plan.keep)
        assert not verified or verified & set(plan.keep)
