"""Removing, done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nightscan_tasks import backup, rotation, scrub
from nightscan_tasks.backup import Request
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.ledger import Run
from nightscan_tasks.model import MANIFEST_NAME, Days, Plan, SetId, Tier
from nightscan_tasks.system import System
from nightscan_tasks.workflows import RETENTION

FILES = Plan(Tier.DAILY, ("user_data", "system_config"), Days(7))
WEEKLY_AS_DAILY = Plan(Tier.DAILY, ("system_config",), Days(7))
Opened = Callable[[System, Plan], Run]


def taken(site: Any, days: int) -> list[str]:
    sets = []
    for _ in range(days):
        sets.append(str(backup.run_local(site.system(), Request(WEEKLY_AS_DAILY)).set_id))
        site.clock.forward(days=1)
    site.clock.forward(days=-1)
    return sets


def test_old_sets_go_from_every_store(site: Any) -> None:
    sets = taken(site, 9)
    system = site.system()
    for store in system.stores:
        rotation.rotate(system, store, RETENTION)
        assert [str(each) for each in Catalog(store).ids()] == sets[:1:-1]
    assert not list(site.primary.glob(f"{sets[0]}/*"))


def test_a_set_that_a_restore_reads_stays(site: Any) -> None:
    sets = taken(site, 9)
    system = site.system()
    system.leases.acquire(f"restore/{sets[0]}", "a restore")
    assert sets[0] in [str(each) for each in rotation.rotate(system, system.primary, RETENTION).keep]


def test_a_verification_is_of_one_place_and_not_of_whatever_has_its_name_now(site: Any) -> None:
    taken(site, 9)
    site.environ["NIGHTSCAN_OFFSITE"] = f"{site.primary},{site.offsite}"  # offsite is offsite2 now
    system = site.system()
    plan = rotation.plan(system, system.offsites[0], RETENTION)
    assert plan.remove == ()
    assert "not verified" in str(plan.held)


def test_a_dry_run_removes_nothing(site: Any) -> None:
    sets = taken(site, 9)
    system = site.system()
    assert len(rotation.plan(system, system.primary, RETENTION).remove) == 2
    assert len(Catalog(system.primary).ids()) == len(sets)


def test_the_rubbish_of_a_dead_run_is_swept_but_not_what_is_at_work(site: Any, opened: Opened) -> None:
    system = site.system()
    dead = opened(system, FILES)
    backup.dump(system, dead.run_id, "system_config")
    site.clock.forward(days=2)
    assert rotation.sweep(system, system.primary) == []  # still open: somebody may finish it
    backup.settle(system, dead.run_id, final=True)
    Catalog(system.primary).delete(dead.set_id)
    stray = f"{dead.set_id}/database.sql.gz"
    system.primary.put(stray, [b"left over"])
    site.clock.forward(days=8)
    assert rotation.sweep(system, system.primary, RETENTION) == [stray]
    assert system.primary.stat(stray) is None


def test_a_set_that_lost_its_manifest_before_its_time_is_kept_for_a_scrub_to_mend(site: Any) -> None:
    (name,) = taken(site, 1)
    set_id, system = SetId.parse(name), site.system()
    system.primary.delete(set_id.key(MANIFEST_NAME))
    site.clock.forward(days=3)
    assert rotation.sweep(system, system.primary, RETENTION) == []
    scrub.scrub(system, "primary", scrub.Wish(keep=RETENTION))
    assert set_id in Catalog(system.primary).ids()
    site.clock.forward(days=6)
    system.primary.delete(set_id.key(MANIFEST_NAME))
    assert rotation.sweep(system, system.primary, RETENTION) != []
