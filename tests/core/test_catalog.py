"""A listing hides nothing and believes nothing: broken manifests are told, not skipped and not fatal."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from nightscan_tasks import wire
from nightscan_tasks.catalog import Broken, Catalog
from nightscan_tasks.errors import AlreadyExists, ManifestInvalid, NotFound
from nightscan_tasks.ledger import Verified
from nightscan_tasks.model import Artifact, Manifest, Report, SetId, Tier
from nightscan_tasks.stores.base import Store
from nightscan_tasks.verification import verify_set

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
DIGEST = "6ca13d52ca70c883e0f0bb101e425a89e8624de51db2d2392593af6a84118090"  # of b"abc123"


def manifest(day: int = 23, tier: Tier = Tier.DAILY, *, complete: bool = True,
             run_id: str = "r") -> Manifest:
    taken_at = NOW.replace(day=day)
    return Manifest(
        set_id=SetId(tier, taken_at), run_id=run_id, complete=complete, opened_at=taken_at,
        settled_at=taken_at,
        encrypted_for="backup@nightscan.com", host="web1", tag=None,
        components={"redis": Report(fingerprint={"databases": {"0": {"keys": 3}}}, notes=("a note",))},
        artifacts=(Artifact("redis.rdb.gz", "redis", "redis", 10, "0" * 64, 6, DIGEST),))


@pytest.fixture
def catalog(store: Store) -> Catalog:
    return Catalog(store)


def test_a_manifest_comes_back_as_it_went(catalog: Catalog) -> None:
    catalog.publish(manifest())
    assert catalog.get(manifest().set_id) == manifest()


def test_artifacts_without_a_manifest_are_no_set(
        catalog: Catalog, write: Callable[[str, bytes], None]) -> None:
    write("daily/20261123T020000Z/redis.rdb.gz", b"abc123")
    assert catalog.sets() == []


def test_index_one_is_the_newest_of_its_tier_that_is_complete(catalog: Catalog) -> None:
    for day in (20, 21, 22):
        catalog.publish(manifest(day))
    catalog.publish(manifest(23, complete=False))
    catalog.publish(manifest(23, Tier.WEEKLY))
    assert catalog.pick(tier=Tier.DAILY).set_id == manifest(22).set_id
    assert catalog.pick(tier=Tier.DAILY, index=3).set_id == manifest(20).set_id
    assert catalog.pick(before=NOW.replace(day=21, hour=5)).set_id == manifest(21).set_id


def test_an_index_that_is_not_there_says_how_many_are(catalog: Catalog) -> None:
    catalog.publish(manifest())
    with pytest.raises(NotFound, match="has 1 complete daily sets, none with index 2"):
        catalog.pick(tier=Tier.DAILY, index=2)


def truncated(data: bytes) -> bytes:
    return data[:len(data) // 2]


def newer(data: bytes) -> bytes:
    return json.dumps(json.loads(data) | {"format_version": 99, "artifacts": "elsewhere"}).encode()


def of_another_set(data: bytes) -> bytes:
    return data.replace(b"daily/20261123T020000Z", b"daily/20261101T020000Z")


def empty(_data: bytes) -> bytes:
    return b""


@pytest.mark.parametrize(("damage", "reason"), [
    (truncated, "cannot be read"), (newer, "install a newer nightscan-tasks"),
    (of_another_set, "is the manifest"), (empty, "cannot be read")])
def test_a_broken_manifest_is_listed_as_broken_and_never_used(
        catalog: Catalog, write: Callable[[str, bytes], None], damage: Callable[[bytes], bytes],
        reason: str) -> None:
    catalog.publish(manifest(22))
    write("daily/20261123T020000Z/manifest.json", damage(wire.encode(manifest())))
    entries = catalog.entries()
    assert isinstance(entries[0], Broken)
    assert reason in entries[0].problem
    assert catalog.pick().set_id == manifest(22).set_id
    with pytest.raises(ManifestInvalid, match=reason):
        catalog.get(manifest().set_id)


def test_a_field_of_a_later_version_is_no_reason_to_refuse(
        catalog: Catalog, write: Callable[[str, bytes], None]) -> None:
    data = json.loads(wire.encode(manifest())) | {"colour": "green"}
    write("daily/20261123T020000Z/manifest.json", json.dumps(data).encode())
    assert catalog.get(manifest().set_id) == manifest()


def test_publishing_twice_is_one_set_and_another_runs_set_is_never_overwritten(catalog: Catalog) -> None:
    catalog.publish(manifest())
    catalog.publish(manifest())
    with pytest.raises(AlreadyExists):
        catalog.publish(manifest(run_id="another"))


def test_a_folder_that_is_not_ours_is_left_alone(
        catalog: Catalog, write: Callable[[str, bytes], None], store: Store) -> None:
    write("daily/20260101/manifest.json", b"{}")
    assert catalog.entries() == []
    assert store.stat("daily/20260101/manifest.json") is not None


def test_deleting_takes_the_manifest_first(catalog: Catalog, write: Callable[[str, bytes], None],
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    write("daily/20261123T020000Z/redis.rdb.gz", b"abc123")
    catalog.publish(manifest())
    order: list[str] = []
    delete = type(catalog.store).delete

    def recorded(store: Store, key: str) -> None:
        order.append(key)
        delete(store, key)

    monkeypatch.setattr(type(catalog.store), "delete", recorded)
    catalog.delete(manifest().set_id)
    assert order[0].endswith("manifest.json")
    assert list(catalog.store.list("daily/")) == []


def verified(catalog: Catalog) -> Verified:
    return verify_set(catalog, manifest(), clock=lambda: NOW)


def test_a_whole_set_verifies(catalog: Catalog, write: Callable[[str, bytes], None]) -> None:
    write("daily/20261123T020000Z/redis.rdb.gz", b"abc123")
    assert verified(catalog) == Verified(manifest().set_id, "primary", NOW, 6, url=catalog.store.url)


@pytest.mark.parametrize(("stored", "problem"), [
    (b"abc124", "sha256 expected"), (b"abc12", "6 bytes expected, 5 read"), (None, "is missing")])
def test_verification_says_which_artifact_is_damaged(
        catalog: Catalog, write: Callable[[str, bytes], None], stored: bytes | None, problem: str) -> None:
    if stored is not None:
        write("daily/20261123T020000Z/redis.rdb.gz", stored)
    (found,) = verified(catalog).problems
    assert problem in found
    assert "primary daily/20261123T020000Z/redis.rdb.gz" in found
