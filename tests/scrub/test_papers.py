"""Manifests, guides and signatures: which of two is right, and what is never taken for right."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.audit import Action
from nightscan_tasks.catalog import signature_name
from nightscan_tasks.ledger.reads import Kind, Scrubbed
from nightscan_tasks.model import MANIFEST_NAME, SetId
from nightscan_tasks.scrub import Wish
from nightscan_tasks.signatures import Seal
from nightscan_tasks.workflows import RETENTION
from nightscan_tasks.world.keyring import SIGNER

NIGHTLY = Wish(keep=RETENTION)


def kinds(found: Scrubbed) -> list[tuple[Kind, str]]:
    return [(each.kind, each.key) for each in found.findings]


def edited(**fields: Any) -> Callable[[bytes], bytes]:
    """A manifest that says something else, and is as readable as before."""
    return lambda data: json.dumps({**json.loads(data), **fields}).encode()


def hash_changed(data: bytes) -> bytes:
    """One digit of an artifact's hash is another."""
    manifest = json.loads(data)
    old = manifest["artifacts"][0]["stored_sha256"]
    return data.replace(old.encode(), (("0" if old[0] != "0" else "1") + old[1:]).encode())


@pytest.mark.parametrize("store", ["primary", "offsite"])
def test_a_manifest_that_can_be_read_and_is_wrong_is_told_by_the_ledger(site: Any, damage: Any,
                                                                       store: str) -> None:
    set_id = site.take()
    key = set_id.key(MANIFEST_NAME)
    before = site.data(store, key)
    damage.change(store, key, hash_changed)
    found = site.scrub(store)
    assert kinds(found) == [(Kind.MENDED, key)]  # and none of its artifacts, which are whole
    assert site.data(store, key) == before


def test_a_manifest_that_was_read_once_is_compared_with_that(site: Any, damage: Any) -> None:
    """The ledger may be gone by then: what it was is known all the same."""
    set_id = site.take()
    key = set_id.key(MANIFEST_NAME)
    site.scrub("offsite", NIGHTLY)
    site.system().ledger.remove(str(set_id).replace("/", "-"))
    before = site.data("offsite", key)
    damage.change("offsite", key, edited(tag="another"))
    assert kinds(site.scrub("offsite", NIGHTLY)) == [(Kind.MENDED, key)]
    assert site.data("offsite", key) == before


def test_where_nothing_tells_which_is_right_both_are_left_and_told(site: Any, damage: Any) -> None:
    set_id = site.take()
    key = set_id.key(MANIFEST_NAME)
    site.system().ledger.remove(str(set_id).replace("/", "-"))
    damage.change("offsite", key, edited(tag="another"))
    before = [site.data(store, key) for store in ("primary", "offsite")]
    for store in ("primary", "offsite"):
        found = site.scrub(store)
        assert kinds(found) == [(Kind.UNREAD, key)]
        assert "which is right" in found.findings[0].what
        assert found.read_files == 0  # what such a manifest lists is not to be relied on
    assert [site.data(store, key) for store in ("primary", "offsite")] == before


@pytest.mark.parametrize("forged", [edited(tag="forged"), hash_changed, edited(artifacts=[])])
def test_a_forged_manifest_replaces_none(site: Any, damage: Any, forged: Callable[[bytes], bytes]) -> None:
    """Who can write an offsite store gets nothing into the primary one."""
    set_id = site.take()
    key = set_id.key(MANIFEST_NAME)
    damage.change("offsite", key, forged)
    damage.flip("primary", key)
    found = site.scrub("primary", NIGHTLY)
    assert kinds(found) == [(Kind.DAMAGED, key)]
    assert "genuine" in found.findings[0].what
    assert not [each for each in site.system().audit.records().records if each.action == Action.REPAIR]


def test_a_manifest_of_a_newer_program_is_not_taken_for_damage_where_all_stores_agree(site: Any,
                                                                                      damage: Any) -> None:
    set_id = site.take()
    site.system().ledger.remove(str(set_id).replace("/", "-"))
    for store in ("primary", "offsite"):
        damage.change(store, set_id.key(MANIFEST_NAME), edited(format_version=99))
    found = site.scrub("primary", NIGHTLY)
    assert kinds(found) == [(Kind.UNREAD, set_id.key(MANIFEST_NAME))]
    assert "install a newer nightscan-tasks" in found.findings[0].what


def lost(site: Any, damage: Any, set_id: SetId) -> Scrubbed:
    """The manifest of the primary store is gone; what a scrub finds."""
    damage.delete("primary", set_id.key(MANIFEST_NAME))
    found: Scrubbed = site.scrub("primary", NIGHTLY)
    return found


def test_a_set_whose_manifest_is_gone_gets_it_back_even_if_it_was_never_read(site: Any, damage: Any) -> None:
    set_id = site.take()
    assert kinds(lost(site, damage, set_id)) == [(Kind.MENDED, set_id.key(MANIFEST_NAME))]
    assert site.system().catalog().ids() == [set_id]


def test_a_set_that_was_removed_does_not_come_back(site: Any, damage: Any) -> None:
    """Removed on purpose, which is on record; cut off in the middle, its artifacts are still there."""
    set_id = site.take()
    site.scrub("primary", NIGHTLY)
    site.system().audit.record(Action.DELETE, str(set_id), store="primary", why="5 days old, kept 4 days")
    assert lost(site, damage, set_id).findings == ()
    assert site.system().catalog().ids() == []


def test_a_set_whose_removal_the_store_refused_does(site: Any, damage: Any) -> None:
    set_id = site.take()
    for facts in ({"why": "old"}, {"refused": "locked"}):
        site.system().audit.record(Action.DELETE, str(set_id), store="primary", **facts)
    assert kinds(lost(site, damage, set_id)) == [(Kind.MENDED, set_id.key(MANIFEST_NAME))]


def test_a_set_that_is_past_its_time_does_not_come_back(site: Any, damage: Any) -> None:
    set_id = site.take()
    site.scrub("primary", NIGHTLY)
    site.clock.forward(days=8)
    assert lost(site, damage, set_id).findings == ()


def test_a_copy_that_is_being_made_is_no_set_that_lost_its_manifest(site: Any, damage: Any) -> None:
    set_id = site.take()
    new = f"{site.environ['NIGHTSCAN_BACKUP_DIR']}-new"
    site.environ["NIGHTSCAN_OFFSITE"] += f",{new}"
    site.system().store("offsite2").put(set_id.key("system_config.tar.gz"), [b"half"])
    assert site.scrub("offsite2", NIGHTLY).findings == ()


def test_a_guide_that_an_older_version_wrote_is_right(site: Any, damage: Any) -> None:
    set_id = site.take()
    for store in ("primary", "offsite"):
        damage.change(store, set_id.key("RESTORE.md"), lambda data: data + b"\nAs we wrote it once.\n")
    assert site.scrub("primary", NIGHTLY).findings == ()
    damage.flip("primary", set_id.key("RESTORE.md"))
    assert kinds(site.scrub("primary", NIGHTLY)) == [(Kind.MENDED, set_id.key("RESTORE.md"))]


@pytest.fixture
def signed(site: Any, gpg_home: Path) -> SetId:
    """A set of a site where signatures count."""
    site.environ |= {"NIGHTSCAN_GPG_HOME": str(gpg_home), "NIGHTSCAN_SIGNING_KEY": SIGNER}
    taken: SetId = site.take()
    return taken


@pytest.mark.parametrize("how", ["flip", "truncate", "delete"])
def test_every_paper_of_a_signed_set_is_mended(site: Any, damage: Any, signed: SetId, how: str) -> None:
    names = [name for name in site.names("offsite", signed) if name.endswith((".asc", ".json", ".md"))]
    assert len(names) == 4
    for name in names:
        getattr(damage, how)("offsite", signed.key(name))
        found = site.scrub("offsite", NIGHTLY)
        assert {each.kind for each in found.findings} == {Kind.MENDED}
        system = site.system()
        catalog = system.catalog("offsite")
        assert system.signatures.standing(catalog, signed).seal is Seal.GOOD
        assert system.signatures.guide(catalog, signed).seal is Seal.GOOD
    clean = site.scrub("offsite")
    assert (clean.findings, clean.standing) == ((), ())
    assert site.verified("offsite", signed).problems == ()


def test_no_forged_set_is_given_a_signature(site: Any, damage: Any, signed: SetId) -> None:
    """Nor a guide: whoever types commands out of it would be vouched for by us."""
    system = site.system()
    forged = SetId(signed.tier, datetime(2026, 1, 1, tzinfo=UTC))
    manifest = edited(set_id=str(forged), run_id="daily-20260101T000000Z")(
        site.data("primary", signed.key(MANIFEST_NAME)))
    [name] = [each for each in site.names("primary", signed) if each.startswith("manifest.json.")]
    of_another = site.data("primary", signed.key(name))
    own = signature_name(MANIFEST_NAME, manifest)
    system.store("offsite").put(forged.key(own), [of_another])
    system.store("offsite").put(forged.key(MANIFEST_NAME), [manifest])
    site.scrub("offsite", NIGHTLY)
    assert [name for name in site.names("offsite", forged) if name.endswith(".asc")] == [own]
    assert site.data("offsite", forged.key(own)) == of_another


def test_a_set_that_lost_its_signature_for_good_is_no_good_one(site: Any, damage: Any, signed: SetId) -> None:
    for store in ("primary", "offsite"):
        [name] = [each for each in site.names(store, signed) if each.startswith("manifest.json.")]
        damage.delete(store, signed.key(name))
    site.scrub("primary")
    assert "not signed" in site.verified("primary", signed).problems[0]
