"""Removing, done: holds, locks, refusals, and what the ledger knows, in real stores."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks import rotation
from nightscan_tasks.audit import Action
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import Busy, Locked, NotFound, StoreRefused
from nightscan_tasks.ledger import Verified
from nightscan_tasks.model import Buffer, Chunks, SetId, Stored
from nightscan_tasks.retention import Rotation
from nightscan_tasks.stores.base import Entry, Store
from nightscan_tasks.system import System
from nightscan_tasks.verification import verify_set
from nightscan_tasks.workflows import RETENTION


@dataclass
class Watched:
    """A store around a store, which locks and refuses what it is told to, and tells before it deletes."""

    store: Store
    locks: dict[str, datetime] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    before_delete: Callable[[str], object] = str
    error: type[StoreRefused] = StoreRefused

    @property
    def name(self) -> str:
        return self.store.name

    @property
    def url(self) -> str:
        return self.store.url

    def put(self, key: str, chunks: Iterable[Buffer], *, if_absent: bool = False) -> Stored:
        return self.store.put(key, chunks, if_absent=if_absent)

    def open(self, key: str) -> AbstractContextManager[Chunks]:
        return self.store.open(key)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        return self.store.list(prefix)

    def stat(self, key: str) -> Entry | None:
        return self.store.stat(key)

    def locked_until(self, key: str) -> datetime | None:
        return self.locks.get(key)

    def sweep(self, older_than: datetime) -> Sequence[str]:
        return self.store.sweep(older_than)

    def delete(self, key: str) -> None:
        self.before_delete(key)
        if key in self.refused or key in self.locks:
            raise self.error(f"{key} is not given away")
        self.store.delete(key)


def rotated(system: System, store: Any = None) -> Rotation:
    return rotation.rotate(system, store or system.primary, RETENTION)


def objects(site: Any, set_id: SetId) -> list[str]:
    return sorted(path.name for path in Path(site.environ["NIGHTSCAN_BACKUP_DIR"], str(set_id)).glob("*"))


def test_each_deletion_is_in_the_audit_record_with_its_store_and_reason(site: Any) -> None:
    sets = site.days(9)
    system = site.system()
    for store in system.stores:
        assert rotated(system, store).remove == tuple(sets[:2])
    records = [each for each in system.audit.records().records if each.action == Action.DELETE]
    assert [(each.subject, each.facts["store"]) for each in records] == [
        (str(set_id), store) for store in ("primary", "offsite") for set_id in sets[:2]]
    assert records[0].facts["why"] == "8 days old, past its 7 days"


def test_a_held_set_stays_in_every_store_until_it_is_released(site: Any) -> None:
    sets = site.days(9)
    system = site.system()
    assert rotation.hold(system, sets[0], why="court case").stores == ("primary", "offsite")
    for store in system.stores:
        assert rotated(system, store).remove == (sets[1],)
        assert sets[0] in Catalog(store).ids()
    assert len(rotation.release(system, sets[0])) == 1
    assert rotated(system).remove == (sets[0],)
    actions = [each.action for each in system.audit.records().records]
    assert actions == ["hold", "delete", "delete", "release", "delete"]


def test_a_hold_until_a_day_ends_by_itself(site: Any) -> None:
    sets = site.days(9)
    system = site.system()
    rotation.hold(system, sets[0], why="audit", until=site.clock.now + timedelta(hours=2))
    assert sets[0] in rotated(system).keep
    site.forward(hours=3)
    assert rotated(system).remove == (sets[0],)


def test_a_set_that_is_nowhere_cannot_be_held_and_one_that_nobody_holds_not_released(site: Any) -> None:
    (newest,) = site.days(1)
    system = site.system()
    with pytest.raises(NotFound, match="no store has daily/2020"):
        rotation.hold(system, SetId.parse("daily/20200101T020000Z"), why="x")
    with pytest.raises(NotFound, match="nobody holds"):
        rotation.release(system, newest)


def test_a_set_that_only_an_offsite_store_has_can_be_held(site: Any) -> None:
    (newest,) = site.days(1)
    system = site.system()
    Catalog(system.primary).delete(newest)
    assert rotation.hold(system, newest, why="the last copy").stores == ("offsite",)


def test_a_hold_that_comes_while_rotation_is_at_work_wins(site: Any) -> None:
    sets = site.days(9)
    system = site.system()

    def hold_the_next(key: str) -> None:
        if key == sets[0].key("manifest.json"):
            rotation.hold(site.system(), sets[1], why="just in time")

    done = rotated(system, Watched(system.primary, before_delete=hold_the_next))
    assert done.remove == (sets[0],)
    assert sets[1] in Catalog(system.primary).ids()
    assert "just in time" in done.reason(sets[1])


def test_a_hold_on_the_set_that_is_going_at_that_moment_waits_and_tells_that_it_is_gone(site: Any) -> None:
    sets = site.days(9)
    system, told = site.system(), []
    Catalog(system.offsites[0]).delete(sets[0])
    rotation.hold(system, sets[1], why="not this one")

    def hold_it(key: str) -> None:
        if key == sets[0].key("manifest.json"):
            def wait(_seconds: float) -> None:  # meanwhile the rotation goes on
                told.append(1)
                system.primary.delete(key)
                system.leases.forget(f"removing/{sets[0]}/")

            with pytest.raises(NotFound, match="being removed at this moment"):
                rotation.hold(site.system(), sets[0], why="too late", sleep=wait)

    without_offsite = site.system(NIGHTSCAN_OFFSITE="")
    rotated(without_offsite, Watched(system.primary, before_delete=hold_it))
    assert told == [1]
    assert [each.set_id for each in system.ledger.decisions.holds()] == [sets[1]]


def test_a_restore_that_begins_while_rotation_is_at_work_keeps_its_set(site: Any) -> None:
    sets = site.days(9)
    system = site.system()

    def restore_the_next(key: str) -> None:
        if key == sets[0].key("manifest.json"):
            system.leases.acquire(f"restore/{sets[1]}/run", "a restore")

    done = rotated(system, Watched(system.primary, before_delete=restore_the_next))
    assert done.remove == (sets[0],)
    assert "a restore" in done.reason(sets[1])


def test_two_rotations_at_once_are_one_too_many(site: Any) -> None:
    sets = site.days(9)
    system = site.system()

    def rotate_too(_key: str) -> None:
        with pytest.raises(Busy, match="rotation"):
            rotated(site.system(), system.offsites[0])

    rotated(system, Watched(system.primary, before_delete=rotate_too))
    assert sets[0] in Catalog(system.offsites[0]).ids()


def test_what_an_object_lock_keeps_stays_whole_and_the_others_go(site: Any) -> None:
    sets = site.days(10)
    system = site.system()
    deleted: list[str] = []
    lock = {sets[1].key("system_config.tar.gz"): site.clock.now + timedelta(days=3)}
    done = rotated(system, Watched(system.primary, lock, before_delete=deleted.append))
    assert done.remove == (sets[0], sets[2])
    assert not [key for key in deleted if key.startswith(str(sets[1]))]
    assert "locked in the bucket until" in done.reason(sets[1])


@pytest.mark.parametrize("error", [Locked, StoreRefused])
@pytest.mark.parametrize("name", ["manifest.json", "RESTORE.md"])
def test_a_delete_that_is_refused_leaves_the_set_whole_and_the_others_go(
        site: Any, name: str, error: type[StoreRefused]) -> None:
    sets = site.days(10)
    system = site.system()
    before = objects(site, sets[1])
    watched = Watched(system.primary, refused=(sets[1].key(name),), error=error)
    done = rotated(system, watched)
    assert done.remove == (sets[0], sets[2])
    assert "the store refuses to delete it" in done.reason(sets[1])
    assert objects(site, sets[1]) == before
    manifest = system.catalog().get(sets[1])
    assert verify_set(system.catalog(), manifest, clock=system.clock).problems == ()
    refused = [each for each in system.audit.records().records if "refused" in each.facts]
    assert [each.subject for each in refused] == [str(sets[1])]


def test_leftovers_that_are_locked_do_not_stop_the_sweep(site: Any) -> None:
    sets = site.days(1)
    system = site.system()
    left = [f"daily/2020010{day}T020000Z/database.sql.gz" for day in (1, 2)]
    for key in left:
        system.primary.put(key, [b"left over"])
    site.forward(days=2)
    watched: Any = Watched(system.primary, refused=(left[0],))
    assert rotation.sweep(system, watched) == [left[1]]
    assert sets[0] in system.catalog().ids()


def test_the_primary_keeps_what_the_offsite_store_lacks_until_that_has_newer_ones(site: Any) -> None:
    sets = site.days(9)
    system = site.system()
    offsite = Catalog(system.offsites[0])
    for set_id in sets[:8]:
        offsite.delete(set_id)
    done = rotated(system)
    assert done.remove == ()
    assert "offsite has no verified copy of it" in done.reason(sets[0])
    site.forward(hours=20)
    site.put()
    assert rotated(system).remove == tuple(sets[:2])


def test_a_newest_set_that_was_found_damaged_stops_everything(site: Any) -> None:
    sets = site.days(9)
    system = site.system()
    run_id = system.catalog().get(sets[-1]).run_id
    found = Verified(sets[-1], "primary", site.clock.now, 1, ("one bit",), system.primary.url)
    system.ledger.verify(run_id, found)
    done = rotated(system)
    assert done.remove == ()
    assert "is damaged in this store" in str(done.held)


def test_a_clock_that_jumps_a_day_ahead_removes_nothing_and_back_again_neither(site: Any) -> None:
    sets = site.days(8)
    system = site.system()
    assert rotated(system).remove == (sets[0],)
    site.forward(hours=24)
    jumped = site.put()  # the timetable goes on by the wrong clock
    done = rotated(system)
    assert done.remove == ()
    assert "or the clock jumped ahead" in str(done.held)
    site.forward(hours=-24)
    done = rotated(system)
    assert done.remove == ()
    assert str(jumped) in str(done.held)
    assert "check the clock" in str(done.held)


def test_a_clock_that_is_trusted_is_believed(site: Any) -> None:
    site.days(8)
    system = site.system()
    rotated(system)
    site.forward(hours=30)
    site.put()
    assert rotated(system).held is not None
    rotation.trust_clock(system, why="the server was off")
    assert rotated(system).held is None
    records = system.audit.records().records
    assert [each.subject for each in records if each.action == Action.TRUST] == ["clock"]


def test_a_plan_alone_remembers_nothing(site: Any) -> None:
    site.days(2)
    system = site.system()
    rotation.plan(system, system.primary, RETENTION)
    assert system.ledger.looks.last() is None
    rotated(system)
    assert system.ledger.looks.last() is not None


def test_a_run_from_the_future_in_the_ledger_stops_rotation(site: Any) -> None:
    site.days(9)
    system = site.system()
    system.primary.put("runs/daily-20991231T020000Z/opened.json", [b"{}"])
    assert "the run daily-20991231T020000Z is from 2099" in str(rotated(system).held)


def test_in_weeks_of_real_stores_what_has_to_stay_is_there(site: Any) -> None:
    chance, system = random.Random(1), site.system()
    put: dict[SetId, dict[str, bool]] = {}
    held: set[SetId] = set()
    for _day in range(16):
        site.forward(days=1)
        facts = {"complete": chance.random() < 0.85, "offsite": chance.random() < 0.8,
                 "damaged": chance.random() < 0.1}
        put[site.put(**facts)] = facts
        if chance.random() < 0.1:
            held.add(drawn := chance.choice(sorted(system.catalog().ids())))
            rotation.hold(system, drawn, why="drawn by lot")
        for store in system.stores:
            rotated(system, store)
        for store in system.stores:
            there, primary = Catalog(store).ids(), store.name == "primary"
            good = sorted(each for each, facts in put.items() if facts["complete"] and not (
                facts["damaged"] if primary else not facts["offsite"]))
            assert set(good[-2:]) <= set(there)
            assert {each for each in held if primary or put[each]["offsite"]} <= set(there)
    assert len(system.catalog().ids()) < len(put)
