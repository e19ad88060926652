"""Whatever is damaged in one store is replaced by what is whole in another; what is whole is left alone."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from nightscan_tasks.audit import Action
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import StoreError
from nightscan_tasks.ledger import Verified
from nightscan_tasks.ledger.reads import Kind, Scrubbed
from nightscan_tasks.model import Chunks
from nightscan_tasks.scrub import Wish, scrub
from nightscan_tasks.system import System

DATA, INDEX, CONFIG = "user_data.00.tar.gz", "user_data.00.index.jsonl.gz", "system_config.tar.gz"
EVERY_KIND = (DATA, INDEX, "manifest.json", "RESTORE.md")
Broken = Callable[..., System]


def repairs(site: Any) -> list[tuple[str, str]]:
    """Of which the audit record tells."""
    return [(each.subject, each.facts["store"]) for each in site.system().audit.records().records
            if each.action == Action.REPAIR]


def kinds(found: Scrubbed) -> list[tuple[Kind, str]]:
    return [(each.kind, each.key) for each in found.findings]


@pytest.mark.parametrize("how", ["flip", "truncate", "delete"])
@pytest.mark.parametrize("store", ["primary", "offsite"])
def test_every_kind_of_file_is_mended_and_told(site: Any, damage: Any, how: str, store: str) -> None:
    set_id = site.take()
    for number, name in enumerate(EVERY_KIND):
        key = set_id.key(name)
        before = site.data(store, key)
        getattr(damage, how)(store, key)
        found = site.scrub(store)
        assert kinds(found) == [(Kind.MENDED, key)]
        assert [each.key for each in found.unsettled] == [key]
        assert site.data(store, key) == before
        assert repairs(site)[number:] == [(key, store)]
    clean = site.scrub(store)
    assert (clean.findings, clean.unsettled, clean.problem) == ((), (), "")
    assert site.verified(store, set_id).problems == ()


def test_two_artifacts_that_were_exchanged_are_both_mended(site: Any, damage: Any) -> None:
    set_id = site.take()
    keys = [set_id.key(DATA), set_id.key(CONFIG)]
    before = [site.data("primary", key) for key in keys]
    for key, data in zip(keys, reversed(before), strict=True):
        damage.change("primary", key, lambda _old, data=data: data)
    assert sorted(kinds(site.scrub())) == sorted((Kind.MENDED, key) for key in keys)
    assert [site.data("primary", key) for key in keys] == before


def test_two_stores_that_are_damaged_in_different_artifacts_mend_each_other(site: Any, damage: Any) -> None:
    set_id = site.take()
    damage.flip("primary", set_id.key(DATA))
    damage.truncate("offsite", set_id.key(CONFIG))
    assert kinds(site.scrub("primary")) == [(Kind.MENDED, set_id.key(DATA))]
    assert kinds(site.scrub("offsite")) == [(Kind.MENDED, set_id.key(CONFIG))]


@pytest.mark.parametrize("other", ["flipped", "cut off"])
def test_two_copies_of_one_artifact_that_are_damaged_in_different_places_are_put_together(
        site: Any, damage: Any, other: str) -> None:
    set_id = site.take()
    key = set_id.key(DATA)
    before = site.data("primary", key)
    damage.at("primary", key, 5, 20_000, 24_600)
    if other == "flipped":
        damage.at("offsite", key, 11_000, 59_000)
    else:
        damage.change("offsite", key, lambda data: data[:50_001])
    [found] = site.scrub("primary").findings
    assert (found.kind, found.source) == (Kind.MENDED, "primary and offsite together")
    assert site.data("primary", key) == before
    assert "offsite" in site.verified("offsite", set_id).problems[0]  # seen on the way, and not kept quiet
    assert kinds(site.scrub("offsite", Wish())) == [(Kind.MENDED, key)]  # and so it is looked at tonight
    assert site.data("offsite", key) == before
    assert site.verified("offsite", set_id).problems == ()


def test_what_no_store_has_whole_is_told_and_is_no_good_set_any_more(site: Any, damage: Any) -> None:
    set_id = site.take()
    key = set_id.key(DATA)
    for store in ("primary", "offsite"):
        damage.at(store, key, 100)
    system = site.system()
    earlier = [f"offsite {set_id.key(name)} is damaged: …" for name in (DATA, CONFIG)]
    system.ledger.verify(system.catalog().get(set_id).run_id, Verified(
        set_id, "offsite", system.clock(), 1, tuple(earlier), system.store("offsite").url))
    found = site.scrub("primary")
    assert kinds(found) == [(Kind.DAMAGED, key)]
    assert "offsite daily" in found.findings[0].what
    assert repairs(site) == []
    told = site.verified("offsite", set_id).problems
    assert [set_id.key(CONFIG) in each for each in told] == [True, False]  # what was known stays, once
    for store in ("primary", "offsite"):
        assert key in site.verified(store, set_id).problems[-1]
        assert len(site.data(store, key)) > 60_000  # nothing is deleted
    again = site.scrub("primary", Wish())
    assert again.findings == ()  # it is not read every night in vain, but still told
    assert [each.kind for each in again.unsettled] == [Kind.DAMAGED]
    damage.at("offsite", key, 100)  # somebody brought a good one
    assert site.scrub("offsite").standing == ()
    assert kinds(site.scrub("primary", Wish())) == [(Kind.MENDED, key)]
    assert site.verified("primary", set_id).problems == ()


def test_without_repair_damage_is_told_and_left(site: Any, damage: Any) -> None:
    set_id = site.take()
    for name in EVERY_KIND:
        damage.flip("offsite", set_id.key(name))
    before = {name: site.data("offsite", set_id.key(name)) for name in EVERY_KIND}
    found = site.scrub("offsite", Wish(everything=True, repair=False))
    assert {each.kind for each in found.findings} == {Kind.DAMAGED}
    assert {name: site.data("offsite", set_id.key(name)) for name in EVERY_KIND} == before
    assert repairs(site) == []


def test_with_one_store_only_damage_is_told(site: Any, damage: Any) -> None:
    site.environ["NIGHTSCAN_OFFSITE"] = ""
    set_id = site.take()
    damage.flip("primary", set_id.key(DATA))
    [found] = site.scrub().findings
    assert found.kind is Kind.DAMAGED
    assert "there is no other store" in found.what


def test_what_is_whole_is_never_written(site: Any) -> None:
    site.take()
    stores = [site.system().store(name) for name in ("primary", "offsite")]

    def versions() -> list[tuple[str, str]]:
        return [(entry.key, entry.version) for store in stores for entry in store.list("daily/")]

    before = versions()
    for store in stores:
        assert site.scrub(store.name).findings == ()
    assert versions() == before


def test_what_is_read_wrong_once_and_whole_again_is_not_replaced(site: Any, faulty: Broken) -> None:
    set_id = site.take()
    wrong = [set_id.key(DATA)]

    def through(key: str, chunks: Chunks) -> Chunks:
        if key in wrong:
            wrong.remove(key)
            yield b"noise"
        yield from chunks

    system = faulty("offsite", through=through)
    before = system.store("offsite").stat(set_id.key(DATA))
    found = scrub(system, "offsite", Wish(everything=True))
    assert kinds(found) == [(Kind.WAVERED, set_id.key(DATA))]
    assert found.standing == ()
    assert system.store("offsite").stat(set_id.key(DATA)) == before


def test_an_answer_that_is_an_error_is_no_damage(site: Any, faulty: Broken) -> None:
    """One object of a store that is well otherwise: a sector that cannot be read, or a policy."""
    set_id = site.take()

    def before(key: str) -> None:
        if key == set_id.key(DATA):
            raise StoreError("Input/output error")

    found = scrub(faulty("offsite", before=before), "offsite", Wish(everything=True))
    assert kinds(found) == [(Kind.UNREAD, set_id.key(DATA))]
    assert found.problem == ""
    assert found.read_files == 3  # the others were read
    assert repairs(site) == []


def test_a_set_that_is_removed_at_this_moment_is_not_damaged(site: Any, faulty: Broken) -> None:
    set_id = site.take()

    def before(key: str) -> None:
        if key == set_id.key(DATA):
            Catalog(site.system().store("offsite")).delete(set_id)

    found = scrub(faulty("offsite", before=before), "offsite", Wish(everything=True))
    assert (found.findings, found.standing) == ((), ())
    assert site.names("offsite", set_id) == []


def test_a_set_that_somebody_is_about_to_remove_is_not_mended(site: Any, damage: Any) -> None:
    set_id = site.take()
    damage.flip("primary", set_id.key(DATA))
    system = site.system()
    held = system.leases.acquire(f"removing/{set_id}", "a rotation")
    assert kinds(site.scrub()) == []
    assert repairs(site) == []
    system.leases.release(held)
    assert kinds(site.scrub()) == [(Kind.MENDED, set_id.key(DATA))]
    assert not list(system.primary.list("leases/restore/"))


@contextmanager
def files_of_at_most(limit: int) -> Iterator[None]:
    """A disk that takes no larger files, as one that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_keeps_what_is_there_and_is_told(site: Any, damage: Any) -> None:
    set_id = site.take()
    damage.flip("primary", set_id.key(DATA))
    damage.flip("primary", set_id.key(INDEX))
    damaged = site.data("primary", set_id.key(DATA))
    with files_of_at_most(30_000):
        found = site.scrub()
    assert sorted(kinds(found)) == [(Kind.DAMAGED, set_id.key(DATA)), (Kind.MENDED, set_id.key(INDEX))]
    assert "bytes are free" in " ".join(each.what for each in found.findings)
    assert site.data("primary", set_id.key(DATA)) == damaged
    assert kinds(site.scrub(wish=Wish())) == [(Kind.MENDED, set_id.key(DATA))]  # once there is room
