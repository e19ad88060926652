"""Whoever lost its lease, and wakes up later, changes nothing that counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from nightscan_tasks import backup
from nightscan_tasks.errors import Busy, LeaseLost, Locked
from nightscan_tasks.ledger import Ending, Run
from nightscan_tasks.model import MANIFEST_NAME, Buffer, Days, Plan, Stored, Tier
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import System
from nightscan_tasks.verification import verify_set

WEEKLY = Plan(Tier.WEEKLY, ("system_config",), Days(28))
DAILY = Plan(Tier.DAILY, ("system_config",), Days(7))
Opened = Callable[[System, Plan], Run]


class Sleepy:
    """A store whose user falls asleep before the object of one name becomes visible."""

    def __init__(self, store: Store, name: str, asleep: Callable[[], object]) -> None:
        self._store, self._name, self._asleep = store, name, asleep

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, key: str, chunks: Iterable[Buffer], **how: Any) -> Stored:
        if key.endswith(self._name):
            asleep, self._asleep = self._asleep, lambda: None
            asleep()
        return self._store.put(key, chunks, **how)


def sleepy(system: System, name: str, asleep: Callable[[], object]) -> System:
    vars(system)["primary"] = Sleepy(system.primary, name, asleep)
    return system


def overtake(site: Any, run: Run) -> None:
    """Another run takes the lease, and the first is given up for good."""
    other = site.system()
    site.clock.forward(seconds=other.settings.lease_seconds + 1)
    later = backup.open_run(other, backup.Request(DAILY)).run
    held = other.leases.acquire(backup.opening.LEASE, later.run_id)
    assert held.beat.holder == later.run_id
    outcome = backup.settle(other, run.run_id, final=True)
    assert outcome is not None
    assert outcome.ending is Ending.FAILED


def test_a_manifest_that_comes_too_late_is_taken_back(system: System, site: Any, opened: Opened) -> None:
    run = opened(system, WEEKLY)
    backup.dump(system, run.run_id, "system_config")
    late = sleepy(site.system(), MANIFEST_NAME, lambda: overtake(site, run))
    outcome = backup.settle(late, run.run_id, final=True)
    assert outcome is not None
    assert outcome.ending is Ending.FAILED
    assert all(system.catalog(store.name).ids() == [] for store in system.stores)


def test_a_run_that_published_before_it_lost_its_lease_is_no_failed_one(
        system: System, site: Any, opened: Opened) -> None:
    run = opened(system, WEEKLY)
    backup.dump(system, run.run_id, "system_config")

    class Died(Exception):
        pass

    def die(_outcome: object) -> None:
        raise Died

    dying = site.system()
    dying.ledger.settle = die
    with pytest.raises(Died):
        backup.settle(dying, run.run_id, final=True)
    site.clock.forward(seconds=system.settings.lease_seconds + 1)
    system.leases.acquire(backup.opening.LEASE, "another run")
    outcome = backup.settle(system, run.run_id, final=True)
    assert outcome is not None
    assert outcome.ending is not Ending.FAILED
    manifest = system.catalog().get(run.set_id)
    assert verify_set(system.catalog(), manifest, clock=system.clock).problems == ()


def test_a_try_that_wakes_up_later_replaces_nothing(system: System, site: Any, opened: Opened) -> None:
    run = opened(system, WEEKLY)

    def another_saves_it() -> None:
        site.clock.forward(seconds=system.settings.lease_seconds + 1)
        backup.dump(system, run.run_id, "system_config")

    late = sleepy(site.system(), ".tar.gz", another_saves_it)
    with pytest.raises((Busy, LeaseLost)):
        backup.dump(late, run.run_id, "system_config")
    record = system.ledger.part(run.run_id, "system_config")
    assert record is not None
    assert backup.dumping.unchanged(system, run, record)


def go_on(check: Callable[[], None]) -> None:
    while True:
        check()
        time.sleep(0.05)


def test_who_stood_still_looks_at_its_lease_before_it_goes_on(system: System, site: Any) -> None:
    leases = site.system(NIGHTSCAN_LEASE_SECONDS="1").leases
    held = leases.acquire("bench", "the one that stands still")
    with leases.kept([held], dict) as check:
        leases.renew = lambda *_words: (_ for _ in ()).throw(Busy("its heart stands still too"))
        site.clock.forward(seconds=2)
        system.leases.acquire("bench", "the next")
        with pytest.raises(LeaseLost):
            go_on(check)


def test_where_nothing_may_be_deleted_what_a_dead_try_left_is_covered(
        system: System, site: Any, opened: Opened) -> None:
    run = opened(system, WEEKLY)
    writer = site.system()
    refusing = Sleepy(writer.primary, "", lambda: None)
    vars(refusing)["delete"] = refuse
    vars(writer)["primary"] = refusing
    writer.primary.put(run.set_id.key("system_config.tar.gz"), [b"left by a try that died"])
    record = backup.dump(writer, run.run_id, "system_config")
    assert backup.dumping.unchanged(system, run, record)


def refuse(key: str) -> None:
    if "/system_config.tar.gz" in key:
        raise Locked(f"{key} stays until tomorrow")
