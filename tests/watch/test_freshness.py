"""Per tier, component and store: fresh, then a warning, then critical."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from nightscan_tasks.model import SetId, Tier
from nightscan_tasks.settings import Settings, load
from nightscan_tasks.watch.freshness import plan_freshness
from nightscan_tasks.watch.overview import ComponentSeen, CopySeen, Freshness, SetSeen
from nightscan_tasks.watch.problem import Severity
from nightscan_tasks.workflows import PLANS

NOW = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def seen(tier: Tier, age: timedelta, *, components: tuple[str, ...] = (),
         stores: tuple[str, ...] = ("primary", "offsite"), complete: bool = True) -> SetSeen:
    names = components or PLANS[tier].components
    return SetSeen(SetId.at(tier, NOW - age), complete, {name: ComponentSeen(2, 1) for name in names},
                   tuple(CopySeen(store) for store in stores))


def judge(*sets: SetSeen, settings: Settings | None = None,
          begun_at: datetime | None = NOW - 5 * HOUR) -> dict[tuple[str, str, str], Freshness]:
    found = plan_freshness(sets, plans=PLANS, stores=("primary", "offsite"), now=NOW, begun_at=begun_at,
                           settings=settings or load({}))
    return {(each.tier.value, each.component, each.store): each for each in found}


@pytest.mark.parametrize(("tier", "warning", "critical"), [
    (Tier.DAILY, 25 * HOUR, 48 * HOUR), (Tier.WEEKLY, 169 * HOUR, 192 * HOUR),
    (Tier.MONTHLY, 745 * HOUR, 792 * HOUR)])
@pytest.mark.parametrize("store", ["primary", "offsite"])
def test_every_tier_component_and_store_is_fresh_then_warns_then_is_critical(
        tier: Tier, warning: timedelta, critical: timedelta, store: str) -> None:
    for age, level in ((warning - SECOND, None), (warning, Severity.WARNING),
                       (critical - SECOND, Severity.WARNING), (critical, Severity.CRITICAL)):
        found = judge(seen(tier, age))
        for component in PLANS[tier].components:
            assert found[tier.value, component, store].level is level, (age, component)


def test_the_hours_can_be_set() -> None:
    settings = load({"NIGHTSCAN_STALE_WARNING_HOURS": "daily=2", "NIGHTSCAN_STALE_CRITICAL_HOURS": "daily=4"})
    found = judge(seen(Tier.DAILY, 3 * HOUR), settings=settings)
    assert found["daily", "database", "primary"].level is Severity.WARNING
    assert judge(seen(Tier.DAILY, 5 * HOUR), settings=settings)[
        "daily", "redis", "offsite"].level is Severity.CRITICAL
    assert not [key for key in found if key[0] == "weekly"]  # it is not named, and may be as old as it likes


def test_one_component_in_one_store_may_be_stale_alone() -> None:
    old, new = seen(Tier.DAILY, 30 * HOUR), seen(Tier.DAILY, 6 * HOUR, components=("database", "redis"),
                                                 complete=False)
    found = judge(new, old, seen(Tier.WEEKLY, HOUR), seen(Tier.MONTHLY, HOUR))
    assert found["daily", "database", "primary"].level is None  # it was saved, whatever else failed
    assert found["daily", "user_data", "primary"].level is Severity.WARNING
    here = replace(new, copies=(CopySeen("primary"),))
    assert judge(here, old)["daily", "database", "offsite"].level is Severity.WARNING
    assert judge(here, old)["daily", "database", "primary"].level is None


def test_what_was_never_saved_is_stale_from_the_first_run_on() -> None:
    assert judge(begun_at=NOW - HOUR)["daily", "database", "primary"].level is None
    assert judge(begun_at=NOW - 26 * HOUR)["daily", "database", "primary"].level is Severity.WARNING
    nothing = judge(begun_at=None)["daily", "database", "primary"]
    assert (nothing.level, nothing.newest_at) == (Severity.CRITICAL, None)


def test_a_set_from_the_future_is_no_proof_of_freshness() -> None:
    found = judge(seen(Tier.DAILY, timedelta(days=-1)), seen(Tier.DAILY, 50 * HOUR))
    assert found["daily", "database", "primary"].level is Severity.CRITICAL
