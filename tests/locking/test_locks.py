"""What is locked when it is stored, and what a lock does to a delete, against a real server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.errors import Locked, StoreRefused
from nightscan_tasks.stores.base import FOR_EVER
from nightscan_tasks.stores.s3_keeping import Keeping

LARGE = [b"1" * (5 << 20), b"2" * 100]
_DAY = timedelta(days=1)


def rules(mode: str = "governance") -> Keeping:
    return Keeping(mode, {"daily": 7, "weekly": 28})


def close(found: datetime, expected: datetime) -> bool:
    return abs(found - expected) < timedelta(minutes=5)


@pytest.mark.parametrize("mode", ["governance", "compliance"])
@pytest.mark.parametrize("content", [[b"small"], LARGE], ids=["one request", "several parts"])
def test_each_object_of_a_set_is_locked_for_the_days_of_its_tier(
        locking: Any, mode: str, content: list[bytes]) -> None:
    store = locking.store(rules(mode))
    for tier, days in (("daily", 7), ("weekly", 28)):
        store.put(f"{tier}/20261123T020000Z/x.gz", iter(content))
        found, until = locking.lock_of(f"{tier}/20261123T020000Z/x.gz")
        assert found == mode.upper()
        assert close(until, datetime.now(UTC) + days * _DAY)
        assert store.locked_until(f"{tier}/20261123T020000Z/x.gz") == until


def test_an_object_that_is_stored_again_is_locked_again(locking: Any) -> None:
    store = locking.store(rules())
    first = locking.put_locked("daily/a/x", seconds=60)
    store.put("daily/a/x", [b"again"])
    assert locking.lock_of("daily/a/x")[0] == "GOVERNANCE"
    assert close(locking.lock_of("daily/a/x")[1], datetime.now(UTC) + 7 * _DAY)
    assert first in {version["VersionId"] for version in locking.versions("daily/a/x")}


@pytest.mark.parametrize("was", ["GOVERNANCE", "COMPLIANCE"])
def test_an_earlier_object_is_locked_for_as_long_as_a_later_one(locking: Any, was: str) -> None:
    """An archive that a later set refers to: its own days would be over before that set's are."""
    store = locking.store(rules())
    locking.put_locked("daily/20261123T020000Z/x", seconds=60, mode=was)
    store.lock_as("daily/20261123T020000Z/x", "daily/20261129T020000Z/manifest.json")
    mode, until = locking.lock_of("daily/20261123T020000Z/x")
    assert mode == was
    assert close(until, datetime.now(UTC) + 7 * _DAY)
    store.lock_as("daily/20261123T020000Z/x", "weekly/20261129T020000Z/manifest.json")
    longer = locking.lock_of("daily/20261123T020000Z/x")
    assert close(longer[1], datetime.now(UTC) + 28 * _DAY)
    store.lock_as("daily/20261123T020000Z/x", "daily/20261129T020000Z/manifest.json")
    store.lock_as("daily/20261123T020000Z/x", "monthly/20261129T020000Z/manifest.json")
    assert locking.lock_of("daily/20261123T020000Z/x") == longer


@pytest.mark.parametrize("key", ["leases/backup/1.json", "runs/r/opened.json", "monthly/a/x", "daily"])
def test_what_has_no_days_is_not_locked(locking: Any, key: str) -> None:
    store = locking.store(rules())
    store.put(key, [b"x"])
    assert locking.lock_of(key) is None
    assert store.locked_until(key) is None
    store.delete(key)
    assert locking.versions(key) == []


def test_without_a_mode_nothing_is_locked(locking: Any) -> None:
    locking.store(Keeping("", {"daily": 7})).put("daily/a/x", [b"x"])
    assert locking.lock_of("daily/a/x") is None


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_a_delete_of_a_locked_object_is_refused_and_hides_nothing(locking: Any, mode: str) -> None:
    store = locking.store()
    locking.put_locked("daily/a/x", mode=mode)
    before = locking.versions()
    with pytest.raises(Locked, match=rf"daily/a/x is locked in {mode.lower()} mode until 20.* UTC"):
        store.delete("daily/a/x")
    assert locking.versions() == before
    assert [entry.key for entry in store.list()] == ["daily/a/x"]


def test_an_older_version_that_is_locked_keeps_the_newer_one_too(locking: Any) -> None:
    store = locking.store()
    locking.put_locked("daily/a/x", b"the real one")
    store.put("daily/a/x", [b"another"])
    assert locking.lock_of("daily/a/x") is None
    with pytest.raises(Locked):
        store.delete("daily/a/x")
    assert len(locking.versions("daily/a/x")) == 2
    assert store.locked_until("daily/a/x") is not None


def test_a_locked_neighbour_whose_name_begins_the_same_keeps_nothing(locking: Any) -> None:
    store = locking.store()
    locking.put_locked("daily/a/x.sig")
    store.put("daily/a/x", [b"x"])
    assert store.locked_until("daily/a/x") is None
    store.delete("daily/a/x")
    assert [entry.key for entry in store.list()] == ["daily/a/x.sig"]


def test_the_longest_of_its_locks_is_told(locking: Any) -> None:
    locking.put_locked("daily/a/x", seconds=7200)
    locking.put_locked("daily/a/x", seconds=60)
    found = locking.store().locked_until("daily/a/x")
    assert close(found, datetime.now(UTC) + timedelta(hours=2))


def test_a_legal_hold_keeps_until_it_is_lifted(locking: Any) -> None:
    store = locking.store()
    store.put("daily/a/x", [b"x"])
    held = {"Bucket": locking.bucket, "Key": locking.path("daily/a/x")}
    locking.client.put_object_legal_hold(**held, LegalHold={"Status": "ON"})
    assert store.locked_until("daily/a/x") == FOR_EVER
    with pytest.raises(Locked, match="by a legal hold, until somebody lifts it"):
        store.delete("daily/a/x")
    locking.client.put_object_legal_hold(**held, LegalHold={"Status": "OFF"})
    store.delete("daily/a/x")
    assert locking.versions("daily/a/x") == []


def test_once_the_lock_is_over_the_object_goes(locking: Any, waiting: Callable[..., None]) -> None:
    store = locking.store()
    locking.put_locked("daily/a/x", seconds=2)
    with pytest.raises(Locked):
        store.delete("daily/a/x")
    waiting(lambda: store.locked_until("daily/a/x") is None)
    store.delete("daily/a/x")
    assert locking.versions("daily/a/x") == []


@pytest.mark.parametrize("content", [[b"small"], LARGE], ids=["one request", "several parts"])
@pytest.mark.parametrize("kind", ["plain", "versioned"])
def test_a_bucket_that_takes_no_locks_is_refused_and_named(
        kind: str, content: list[bytes], request: pytest.FixtureRequest) -> None:
    place = request.getfixturevalue(kind)
    store = place.store(rules())
    with pytest.raises(StoreRefused, match=r"NIGHTSCAN_S3_LOCK_MODE is set, and the bucket takes no locks"):
        store.put("daily/a/x", iter(content))
    assert place.versions() == []
    store.put("leases/a", [b"what is not to be locked"])
    store.delete("leases/a")


def test_a_server_that_says_yes_and_does_not_lock_is_found_out(locking: Any) -> None:
    store = locking.store(rules())

    def forget(parsed: dict[str, Any], **_more: Any) -> None:
        parsed.pop("ObjectLockMode", None)

    # Such a server, in short: what it answers says nothing of a lock.
    store._bucket._connected().meta.events.register("after-call.s3.HeadObject", forget)
    for content in ([b"small"], LARGE):
        with pytest.raises(StoreRefused, match="takes no locks"):
            store.put("daily/a/x", iter(content))


WRITER = """
import sys
from nightscan_tasks.stores.s3 import S3Store
from nightscan_tasks.stores.s3_keeping import Keeping
bucket, prefix, endpoint = sys.argv[1:]
S3Store("offsite", bucket, prefix, endpoint=endpoint, keeping=Keeping("governance", {"daily": 7})).put(
    "daily/a/x", [b"x"])
"""


def test_the_days_are_counted_by_the_servers_clock(locking: Any) -> None:
    """The clock is wrong by less than makes servers refuse. A lock that is too long can never be undone."""
    spec = find_spec("libfaketime")
    assert spec is not None
    [library] = Path(str(spec.origin)).parent.rglob("libfaketime.so.1")
    moved = {"LD_PRELOAD": str(library), "FAKETIME": "+600", "DONT_FAKE_MONOTONIC": "1",
             "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    done = subprocess.run(
        [sys.executable, "-c", WRITER, locking.bucket, locking.prefix, locking.environ["AWS_ENDPOINT_URL"]],
        env={**os.environ, **moved}, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert close(locking.lock_of("daily/a/x")[1], datetime.now(UTC) + 7 * _DAY)
