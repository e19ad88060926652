"""Retention is decided purely, so every promise of it is a few sets and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from nightscan_tasks.catalog import Broken
from nightscan_tasks.ledger import Look
from nightscan_tasks.model import FOREVER, Days, Failure, Keep, Manifest, Months, SetId, Tier, Weeks
from nightscan_tasks.retention import (
    Elsewhere,
    Evidence,
    Policy,
    Rotation,
    Sighting,
    plan_look,
    plan_rotation,
)
from nightscan_tasks.workflows import RETENTION

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def backup_set(days_ago: float, tier: Tier = Tier.DAILY, *, complete: bool = True,
               suspicious: tuple[str, ...] = ()) -> Manifest:
    taken_at = (NOW - timedelta(days=days_ago)).replace(microsecond=0)
    set_id = SetId(tier, taken_at)
    return Manifest(set_id=set_id, run_id=str(set_id).replace("/", "-"), complete=complete,
                    opened_at=taken_at, settled_at=taken_at, encrypted_for=None, host="h", tag=None,
                    components={}, artifacts=(), suspicious=suspicious,
                    failures=() if complete else (Failure("redis", "SourceUnavailable", "down", NOW),))


def ids(*sets: Manifest) -> frozenset[SetId]:
    return frozenset(each.set_id for each in sets)


def rotation(sets: Sequence[Manifest | Broken], *, now: datetime = NOW, minimum: int = 2,
             **evidence: object) -> Rotation:
    """The plan; all sets are verified unless the evidence says otherwise."""
    known = replace(Evidence(verified=frozenset(each.set_id for each in sets)), **evidence)  # type: ignore[arg-type] # any of its fields
    return plan_rotation(sets, store="primary", policy=Policy(RETENTION, minimum), evidence=known, now=now)


def dailies(count: int) -> list[Manifest]:
    return [backup_set(days) for days in range(count)]


def test_daily_sets_go_after_seven_days() -> None:
    sets = dailies(12)
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
    old = [backup_set(900 + days, Tier.MANUAL) for days in range(4)]
    assert rotation([backup_set(0), *old]).remove == ()


@pytest.mark.parametrize("minimum", [1, 2, 3])
def test_the_newest_good_sets_of_a_tier_stay_whatever_their_age(minimum: int) -> None:
    old = [backup_set(50 + 7 * week, Tier.WEEKLY) for week in range(4)]
    plan = rotation([backup_set(0), *old], minimum=minimum)
    assert set(plan.remove) == ids(*old[minimum:])
    assert "stay whatever their age" in plan.reason(old[0].set_id)


def test_where_too_few_are_verified_others_fill_up_and_the_verified_ones_stay_all_the_same() -> None:
    sets = [backup_set(40 + 7 * week, Tier.WEEKLY) for week in range(4)]
    newest, unverified, verified, older = sets
    plan = rotation([backup_set(0), *sets], verified=ids(backup_set(0), newest, verified))
    assert set(plan.remove) == ids(unverified, older)
    plan = rotation([backup_set(0), *sets], verified=ids(backup_set(0), newest))
    assert set(plan.remove) == ids(verified, older)


@pytest.mark.parametrize("evidence", ["incomplete", "damaged", "suspicious"])
def test_what_is_no_good_set_does_not_count_as_one(evidence: str) -> None:
    sets = [backup_set(40 + 7 * week, Tier.WEEKLY) for week in range(4)]
    if evidence == "incomplete":
        sets[1] = replace(sets[1], complete=False)
    if evidence == "suspicious":
        sets[1] = replace(sets[1], suspicious=("database: 1 row",))
    damaged = ids(sets[1]) if evidence == "damaged" else frozenset()
    verified = ids(backup_set(0), *sets) - damaged
    plan = rotation([backup_set(0), *sets], verified=verified, damaged=damaged)
    assert set(plan.remove) == ids(sets[1], sets[3])


def test_nothing_goes_while_the_newest_set_is_unverified() -> None:
    sets = dailies(12)
    plan = rotation(sets, verified=ids(*sets[1:]))
    assert plan.remove == ()
    assert "not verified" in str(plan.held)
    assert f"nightscan verify {sets[0].set_id}" in str(plan.held)


def test_nothing_goes_while_the_newest_set_is_damaged_and_it_is_said_so() -> None:
    sets = dailies(12)
    plan = rotation(sets, verified=ids(*sets[1:]), damaged=ids(sets[0]))
    assert plan.remove == ()
    assert "is damaged in this store" in str(plan.held)


def test_nothing_goes_while_the_newest_set_is_incomplete() -> None:
    plan = rotation([backup_set(0, Tier.MANUAL, complete=False), *dailies(12)[1:]])
    assert plan.remove == ()
    assert "incomplete (redis failed)" in str(plan.held)


def test_nothing_goes_while_the_newest_manifest_cannot_be_read() -> None:
    plan = rotation([Broken(backup_set(0).set_id, "truncated"), *dailies(12)[1:]])
    assert plan.remove == ()
    assert "cannot be read" in str(plan.held)


def test_a_set_whose_manifest_cannot_be_read_is_left_to_a_person() -> None:
    broken = Broken(backup_set(50).set_id, "truncated")
    plan = rotation([*dailies(12), broken])
    assert broken.set_id in plan.keep
    assert "remove its folder by hand" in plan.reason(broken.set_id)


@pytest.mark.parametrize("wrong", ["incomplete", "suspicious", "unverified", "damaged"])
def test_nothing_of_a_tier_goes_while_its_newest_set_is_wrong_but_others_do(wrong: str) -> None:
    weeklies = [backup_set(6 + 7 * week, Tier.WEEKLY, complete=wrong != "incomplete" or week > 0,
                           suspicious=("database: 1 row",) if wrong == "suspicious" and week == 0 else ())
                for week in range(8)]
    bad = ids(weeklies[0]) if wrong in {"unverified", "damaged"} else frozenset()
    sets = [*dailies(9), *weeklies]
    plan = rotation(sets, verified=ids(*sets) - bad, damaged=bad if wrong == "damaged" else frozenset())
    assert plan.held is None
    assert set(plan.frozen) == {Tier.WEEKLY}
    assert {each.tier for each in plan.remove} == {Tier.DAILY}
    assert "nothing of weekly may go" in plan.reason(weeklies[-1].set_id)


def test_a_suspicious_newest_set_stops_every_tier_of_a_store_that_lacks_it_too() -> None:
    sets = dailies(12)
    suspicious = backup_set(0, suspicious=("redis: 1 key",))
    plan = rotation(sets[1:], published=(suspicious, *sets[1:]))
    assert plan.remove == ()
    assert "redis: 1 key" in str(plan.held)


@pytest.mark.parametrize("complete", [True, False])
def test_a_set_that_a_person_trusts_stops_nothing(*, complete: bool) -> None:
    wrong = backup_set(0, complete=complete, suspicious=("database: 1 row",) if complete else ())
    sets = [wrong, *dailies(12)[1:]]
    assert rotation(sets).remove == ()
    assert len(rotation(sets, trusted=ids(wrong)).remove) == 5


def test_a_later_set_of_a_normal_size_lets_rotation_go_on() -> None:
    sets = dailies(12)
    sets[1] = replace(sets[1], suspicious=("database: 1 row",))
    assert len(rotation(sets).remove) == 5


def test_a_hold_wins_over_all_and_tells_why() -> None:
    sets = dailies(12)
    plan = rotation(sets, holds={sets[10].set_id: "held by ana: court case"})
    assert sets[10].set_id in plan.keep
    assert plan.reason(sets[10].set_id) == "held by ana: court case"
    assert len(plan.remove) == 4


def test_a_set_that_a_restore_reads_stays() -> None:
    sets = dailies(12)
    assert set(rotation(sets, reading=ids(sets[11])).remove) == ids(*sets[7:11])


def test_what_an_object_lock_keeps_stays_and_it_is_said_until_when() -> None:
    sets = dailies(12)
    locks = {sets[9].set_id: NOW + 30 * HOUR, sets[10].set_id: NOW - HOUR}
    plan = rotation(sets, locked=locks)
    assert set(plan.remove) == ids(sets[7], sets[8], sets[10], sets[11])
    assert "kept: locked in the bucket until 2026-11-24 09:00 UTC" in plan.reason(sets[9].set_id)


def test_nothing_good_goes_that_another_store_lacks_before_it_has_newer_ones() -> None:
    sets = dailies(12)
    plan = rotation(sets, elsewhere=(Elsewhere("offsite", ids(sets[0], *sets[10:])),))
    assert set(plan.remove) == ids(*sets[10:])  # it has these, and only one that is newer
    assert "no verified copy of it, and 1 newer good daily sets of 2" in plan.reason(sets[8].set_id)
    assert len(rotation(sets, elsewhere=(Elsewhere("offsite", ids(*sets[:2])),)).remove) == 5


def test_what_is_damaged_here_may_go_whatever_another_store_lacks() -> None:
    sets = dailies(12)
    plan = rotation(sets, elsewhere=(Elsewhere("offsite"),), damaged=ids(sets[9]),
                    verified=ids(*sets) - ids(sets[9]))
    assert set(plan.remove) == ids(sets[9])


def test_nothing_good_goes_while_another_store_cannot_be_asked() -> None:
    plan = rotation(dailies(12), elsewhere=(Elsewhere("offsite", problem="connection refused"),))
    assert plan.remove == ()
    assert "not known whether offsite has it: connection refused" in plan.verdicts[-1].reason


def test_nothing_goes_when_backups_have_stopped_or_the_clock_jumped_ahead() -> None:
    plan = rotation(dailies(5), now=NOW + timedelta(days=400))
    assert plan.remove == ()
    assert "clock has jumped" in str(plan.held)


def test_nothing_goes_while_anything_is_from_the_future() -> None:
    sets = [backup_set(-3), *dailies(12)]
    plan = rotation(sets)
    assert plan.remove == ()
    assert f"{sets[0].set_id} is from 2026-11-26 03:00 UTC: check the clock" in str(plan.held)
    plan = rotation(dailies(12), latest=Sighting(NOW + HOUR, "the run daily-x"))
    assert plan.remove == ()
    assert "the run daily-x is from 2026-11-23 04:00 UTC" in str(plan.held)


def test_a_set_from_the_future_that_a_person_trusts_stops_nothing_and_counts_for_nothing() -> None:
    future, sets = backup_set(-300), dailies(12)
    plan = rotation([future, *sets], trusted=ids(future), minimum=8)
    assert set(plan.remove) == ids(*sets[8:])


def test_a_clock_that_went_back_is_noticed_by_when_rotation_looked_last() -> None:
    plan = rotation(dailies(12), look=plan_look(Look(NOW + HOUR), now=NOW))
    assert plan.remove == ()
    assert "it went back" in str(plan.held)
    assert "nightscan trust --clock" in str(plan.held)
    assert len(rotation(dailies(12), look=Look(NOW + HOUR / 60)).remove) == 5  # a minute is no jump


def test_a_pause_as_a_clock_that_jumps_a_day_leaves_it_is_waited_out() -> None:
    look = plan_look(plan_look(None, now=NOW - 30 * HOUR), now=NOW)
    plan = rotation(dailies(12), look=look)
    assert plan.remove == ()
    assert "nothing goes before 2026-11-24 09:00 UTC" in str(plan.held)
    assert rotation(dailies(12), now=NOW + 20 * HOUR, look=plan_look(look, now=NOW + 20 * HOUR)).remove == ()
    later = NOW + 30 * HOUR
    assert rotation(dailies(12), now=later, look=plan_look(look, now=later)).remove != ()


def test_the_timetable_itself_is_no_pause() -> None:
    look, now = None, NOW
    for hours in (6, 18, 0.1, 6, 18, 4, 20, 6, 22):  # at eight, after a run; after long ones
        now += hours * HOUR
        look = plan_look(look, now=now)
        assert look.held_until is None


def test_a_host_that_rotates_once_a_week_is_held_once_and_not_for_ever() -> None:
    look, held = None, []
    for week in range(6):
        look = plan_look(look, now=NOW + week * timedelta(days=7, minutes=week) - HOUR / 60)  # another store
        look = plan_look(look, now=NOW + week * timedelta(days=7, minutes=week))
        fresh = replace(backup_set(0), set_id=SetId(Tier.DAILY, look.looked_at))
        plan = rotation([fresh], now=look.looked_at, look=look)
        held.append(plan.held is not None)
    assert held == [False, True, False, False, False, False]


@pytest.mark.parametrize("since_the_last_look", [0.1, 6, 17])
def test_a_jump_of_a_day_is_noticed_whenever_it_comes(since_the_last_look: float) -> None:
    look = plan_look(plan_look(Look(NOW), now=NOW + 6 * HOUR), now=NOW + 24 * HOUR)
    assert plan_look(look, now=look.looked_at + (since_the_last_look + 24) * HOUR).held_until is not None


def test_the_wait_goes_on_where_rotation_pauses_again_for_longer() -> None:
    first = plan_look(Look(NOW), now=NOW + 30 * HOUR)
    again = plan_look(first, now=NOW + 130 * HOUR)
    assert again.held_until == NOW + 260 * HOUR


def test_a_timetable_that_rotates_once_a_day_is_held_for_its_first_day_and_not_again() -> None:
    look, held = None, []
    for day in range(5):
        look = plan_look(look, now=NOW + day * 24 * HOUR + (-1) ** day * HOUR / 60)
        held.append(bool(look.held_until and look.looked_at < look.held_until - HOUR / 12))
    assert held == [False, True, False, False, False]


def test_every_verdict_has_a_reason() -> None:
    plan = rotation([*dailies(3), backup_set(20), backup_set(900, Tier.MANUAL)])
    assert all(verdict.reason for verdict in plan.verdicts)
    assert next(v.reason for v in plan.verdicts if v.remove) == "20 days old, past its 7 days"


def test_without_a_complete_set_nothing_goes() -> None:
    plan = rotation([backup_set(days, complete=False) for days in range(1, 12)])
    assert plan.remove == ()
    assert plan.held == "there is no complete set"
