"""A set that has archives with earlier sets is a whole set in every store, for as long as it is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from nightscan_tasks import backup, rotation
from nightscan_tasks.backup import Request
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import Days, Manifest, Tier
from nightscan_tasks.replication import missing, replicate_set
from nightscan_tasks.scrub import Wish, scrub
from nightscan_tasks.verification import verify_set
from tests.increments.conftest import FILES

if TYPE_CHECKING:
    from pathlib import Path

    from nightscan_tasks.system import System
    from tests.increments.conftest import Site

KEEP = {Tier.DAILY: Days(3)}


def archive(site: Site, manifest: Manifest, store: str = "backups") -> Path:
    """The largest of a set's own files in a store."""
    largest = max(manifest.own, key=lambda artifact: artifact.stored_bytes)
    return site.folder / store / str(manifest.set_id) / largest.name


def spoil(path: Path) -> None:
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def problems(system: System, manifest: Manifest, store: str = "primary") -> tuple[str, ...]:
    return verify_set(system.catalog(store), manifest, clock=system.clock).problems


def test_an_offsite_store_has_it_whole(site: Site) -> None:
    site.save()
    site.write(b=b"other")
    second = site.save()
    assert problems(site.system, second, "offsite") == ()
    assert site.restored(second, store="offsite") == site.by_hand(second, store="offsite") == site.live()


def test_a_store_that_lacks_the_earlier_set_gets_both(site: Site) -> None:
    offsite = site.folder / "offsite"
    offsite.write_text("down")
    first = site.save(ending=Ending.DEGRADED)
    offsite.unlink()
    site.write(b=b"other")
    second = site.save(ending=Ending.DEGRADED)
    assert second.needs == {first.set_id}
    system = site.system
    assert second.set_id not in system.catalog("offsite").ids()
    replicate_set(system, second, system.store("offsite"))
    assert missing(system, system.store("offsite")) == []
    assert problems(system, second, "offsite") == problems(system, first, "offsite") == ()
    assert site.restored(second, store="offsite") == site.live()


def rotated(site: Site, store: str = "primary") -> set[str]:
    """What is left after a rotation, in its own days."""
    system = site.system
    rotation.rotate(system, system.store(store), KEEP)
    assert rotation.sweep(system, system.store(store), KEEP) == []
    return {str(set_id) for set_id in system.catalog(store).ids()}


def test_retention_keeps_what_a_kept_set_needs_and_no_longer(site: Site) -> None:
    site.more["NIGHTSCAN_FULL_INTERVAL_DAYS"] = "5"
    taken = [site.save()]
    for number in range(4):
        site.write(b=b"%d" % number)
        taken.append(site.save())
    for store in ("primary", "offsite"):
        assert str(taken[0].set_id) in rotated(site, store)
        assert problems(site.system, taken[-1], store) == ()
    assert site.restored(taken[-1]) == site.live()
    taken.append(site.save())
    assert taken[-1].needs == frozenset()
    for _ in range(4):
        taken.append(site.save())
        rotated(site, "primary")
        rotated(site, "offsite")
    for store in ("primary", "offsite"):
        assert not {str(each.set_id) for each in taken[:5]} & rotated(site, store)
    assert site.restored(taken[-1]) == site.live()


def test_a_verdict_says_which_set_needs_it(site: Site) -> None:
    first = site.save()
    site.save()
    later = [site.save() for _ in range(3)]
    plan = rotation.plan(site.system, site.system.primary, KEEP)
    assert plan.reason(first.set_id).endswith(f"archives of {later[-1].set_id} lie in it")


def test_what_a_run_under_way_refers_to_stays(site: Site) -> None:
    first = site.save()
    system = site.system
    run = backup.open_run(system, Request(FILES)).run
    assert run.base == first.set_id
    assert rotation.gathering.needs(system) == {run.set_id: frozenset({first.set_id})}


def test_a_folder_that_lost_its_manifest_is_not_swept_while_a_set_needs_it(site: Site) -> None:
    first = site.save()
    second = site.save()
    for store in ("primary", "offsite"):
        Catalog(site.system.store(store)).store.delete(first.set_id.key("manifest.json"))
    site.clock.forward(days=40)
    for swept in site.system.stores:
        rotation.sweep(site.system, swept, {Tier.DAILY: Days(1)})
        assert problems(site.system, second, swept.name) == ()


def test_damage_in_an_earlier_set_is_found_by_verifying_a_later_one(site: Site) -> None:
    first, second = site.save(), site.save()
    spoil(archive(site, first))
    (problem,) = problems(site.system, second)
    assert str(first.set_id) in problem


def test_a_nights_verification_reads_what_the_night_saved(site: Site) -> None:
    site.save()
    site.write(b=b"other")
    second = site.save()
    verified = site.system.ledger.verified(second.run_id, "primary")
    assert verified is not None
    assert verified.read_bytes == second.own_bytes > 0


def test_nothing_is_built_on_what_was_found_damaged(site: Site) -> None:
    first, second = site.save(), site.save()
    spoil(archive(site, first))
    system = site.system
    for manifest in (first, second):
        system.ledger.verify(manifest.run_id, verify_set(system.catalog(), manifest, clock=system.clock))
    assert site.save().needs == frozenset()


@pytest.mark.parametrize("loss", ["missing", "shorter"])
def test_an_archive_that_is_not_all_there_is_made_again(site: Site, loss: str) -> None:
    first = site.save()
    path = archive(site, first)
    if loss == "missing":
        path.unlink()
    else:
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-1])
    second = site.save()
    part = next(each.part for each in first.own if each.name == path.name)
    assert [each.set_id for each in second.artifacts if each.part == part] == [None, None]
    assert site.restored(second) == site.live()


def test_a_set_whose_earlier_archive_vanishes_before_the_end_is_not_published_as_good(site: Site) -> None:
    first = site.save()
    site.settle()
    site.clock.forward(days=1)
    system = site.system
    run = backup.open_run(system, Request(FILES)).run
    backup.start(system, run)
    for part in run.parts:
        backup.dump(system, run.run_id, part)
    archive(site, first).unlink()
    assert backup.settle(system, run.run_id) is None
    outcome = backup.settle(system, run.run_id, final=True)
    assert outcome is not None
    assert outcome.ending in {Ending.INCOMPLETE, Ending.FAILED}


def test_a_scrub_mends_an_earlier_archive_and_clears_the_sets_that_have_it(site: Site) -> None:
    first, second = site.save(), site.save()
    system = site.system
    spoil(archive(site, first))
    system.ledger.verify(second.run_id, verify_set(system.catalog(), second, clock=system.clock))
    scrub(system, "primary", Wish(everything=True))
    assert problems(system, second) == ()
    verified = system.ledger.verified(second.run_id, "primary")
    assert verified is not None
    assert verified.problems == ()


def test_days_between_full_sets_are_counted_from_the_oldest_archive(site: Site) -> None:
    """Nights do not begin to the second: the seventh after a full one is a full one again."""
    first = site.save()
    for _ in range(6):
        site.save()
    site.clock.forward(minutes=-20)
    assert site.save().set_id.taken_at - first.set_id.taken_at < timedelta(days=7)
    assert site.system.catalog().get(site.system.catalog().ids()[0]).needs == frozenset()
