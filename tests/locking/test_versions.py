"""What a bucket that keeps versions keeps of what was replaced, removed or hidden, and for how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightscan_tasks.lease import Leases
from nightscan_tasks.stores.s3 import S3Store
from nightscan_tasks.stores.s3_keeping import Keeping
from nightscan_tasks.stores.s3_versions import Version, plan_sweep

RULES = Keeping("governance", {"daily": 7})
Asked = Callable[[], list[str]]


def soon() -> datetime:
    """Everything so far is older."""
    return datetime.now(UTC) + timedelta(hours=1)


def later(kept: Any) -> S3Store:
    """A store that sweeps today what another would when the time to undo is over."""
    store: S3Store = kept.store(Keeping("governance", {"daily": 7}, undo_days=-1, folders=("monthly",)))
    return store


@pytest.fixture(params=["versioned", "locking"])
def kept(request: pytest.FixtureRequest) -> Any:
    """Both kinds of bucket that keep versions."""
    return request.getfixturevalue(request.param)


def test_a_deleted_object_leaves_no_version_and_no_marker(kept: Any) -> None:
    store = kept.store()
    for content in (b"1", b"2", b"3"):
        store.put("monthly/a/x", [content])
    store.put("monthly/a/x.sig", [b"its neighbour, whose name begins the same"])
    store.delete("monthly/a/x")
    assert [each["Key"] for each in kept.versions()] == [kept.path("monthly/a/x.sig")]
    store.delete("monthly/a/never")
    assert len(kept.versions()) == 1


def test_a_delete_that_is_cut_short_hides_nothing(kept: Any) -> None:
    """The oldest version goes first, so whatever is left is still listed."""
    store = kept.store()
    for content in (b"1", b"2", b"3"):
        store.put("monthly/a/x", [content])
    newest = kept.versions()[0]["VersionId"]
    deleted = []

    def refuse_the_third(params: dict[str, Any], **_more: Any) -> None:
        deleted.append(params)
        if len(deleted) == 3:
            raise KeyboardInterrupt

    events = store._bucket._connected().meta.events  # the only way to stop between two requests
    events.register("before-call.s3.DeleteObject", refuse_the_third)
    with pytest.raises(KeyboardInterrupt):
        store.delete("monthly/a/x")
    [left] = kept.versions()
    assert left["VersionId"] == newest
    assert [entry.key for entry in kept.store().list()] == ["monthly/a/x"]
    events.unregister("before-call.s3.DeleteObject", refuse_the_third)
    store.delete("monthly/a/x")
    assert kept.versions() == []


def test_what_somebody_hid_is_not_made_worse_and_swept_only_after_the_time_to_undo(kept: Any) -> None:
    store = kept.store()
    store.put("monthly/a/x", [b"x"])
    kept.hide("monthly/a/x")
    before = kept.versions()
    store.delete("monthly/a/x")
    assert list(store.sweep(soon())) == []
    assert kept.versions() == before
    [swept] = later(kept).sweep(soon())
    assert "2 old versions of" in swept
    assert "monthly/a/x" in swept
    assert kept.versions() == []


def test_replaced_versions_are_swept_after_the_time_to_undo_and_the_newest_stays(kept: Any) -> None:
    store = kept.store()
    for content in (b"1", b"2", b"3"):
        store.put("monthly/a/x", [content])
    assert list(store.sweep(soon() + timedelta(days=365))) == []  # this machine's clock has jumped
    assert len(kept.versions()) == 3
    assert len(later(kept).sweep(soon())) == 1
    assert len(kept.versions()) == 1
    with store.open("monthly/a/x") as chunks:
        assert b"".join(map(bytes, chunks)) == b"3"
    assert list(later(kept).sweep(soon())) == []


def test_a_sweep_leaves_what_is_locked_and_what_hides_it(locking: Any, waiting: Callable[..., None]) -> None:
    store = locking.store()
    version = locking.put_locked("monthly/a/x", seconds=3)
    store.put("monthly/a/x", [b"not locked"])
    locking.hide("monthly/a/x")
    assert "1 old version of" in later(locking).sweep(soon())[0]
    marker, left = locking.versions()
    assert left["VersionId"] == version
    assert marker["IsLatest"]
    waiting(lambda: store.locked_until("monthly/a/x") is None)
    later(locking).sweep(soon())
    assert locking.versions() == []


def test_a_store_without_a_prefix_sweeps_only_the_folders_that_it_makes(locking: Any) -> None:
    whole = later(type(locking)(locking.bucket, locking.client, locking.environ, prefix=""))
    theirs = locking.path("somebody's")
    for _ in range(2):
        whole.put("monthly/b/x", [b"x"])
        locking.store().put("somebody's", [b"x"])
    whole.sweep(soon())
    listed = locking.client.list_object_versions(Bucket=locking.bucket)
    found = Counter(each["Key"] for each in listed["Versions"])
    assert found["monthly/b/x"] == 1
    assert found[theirs] == 2
    whole.delete("monthly/b/x")


def test_a_heartbeat_leaves_one_version_and_a_lease_that_is_let_go_none(kept: Any, asked: Asked) -> None:
    store = kept.store(RULES)
    leases = Leases(store, lambda: datetime.now(UTC), seconds=60)
    held = leases.acquire("backup/daily", "a run")
    leases.renew(held)
    asked()
    for _ in range(5):
        leases.renew(held)
    assert Counter(asked()) == {"ListObjectsV2": 5, "PutObject": 5, "DeleteObject": 5}
    assert len(kept.versions("leases/")) == 2
    leases.release(held)
    leases.acquire("backup/daily", "the next run")
    assert len(kept.versions("leases/")) == 1
    leases.forget("backup/daily")
    assert kept.versions() == []


def test_heartbeats_of_a_killed_holder_are_swept_without_waiting(kept: Any) -> None:
    for _ in range(3):
        kept.store(RULES).put("leases/a/1.beat", [b"x"])  # each from a process of its own
    assert len(kept.versions()) == 3
    kept.store(RULES).sweep(soon())
    assert len(kept.versions()) == 1


def test_a_bucket_without_versions_costs_no_request_more(plain: Any, asked: Asked) -> None:
    store = plain.store()
    store.put("leases/a", [b"1"])
    store.put("leases/a", [b"2"])
    assert asked() == ["PutObject", "PutObject"]
    store.delete("leases/a")
    assert asked() == ["GetBucketVersioning", "DeleteObject"]
    store.put("daily/a/x", [b"x"])
    store.delete("daily/a/x")
    assert asked() == ["PutObject", "DeleteObject"]  # it was asked once
    assert store.locked_until("daily/a/x") is None
    assert asked() == []


def test_versions_that_are_turned_on_later_are_noticed(plain: Any, s3_server: Any) -> None:
    client = s3_server.s3_client()
    client.create_bucket(Bucket=f"{plain.bucket}-later")
    later = type(plain)(f"{plain.bucket}-later", client, plain.environ)
    store = later.store()
    store.put("monthly/a/x", [b"from before"])
    store.delete("monthly/a/never")
    client.put_bucket_versioning(Bucket=later.bucket, VersioningConfiguration={"Status": "Enabled"})
    store.put("monthly/a/x", [b"from after"])
    store.delete("monthly/a/x")
    assert later.versions() == []
    client.close()


def test_where_versions_were_suspended_nothing_is_lost_and_nothing_left(
        versioned: Any, s3_server: Any) -> None:
    client = s3_server.s3_client()
    client.create_bucket(Bucket=f"{versioned.bucket}-off")
    off = type(versioned)(f"{versioned.bucket}-off", client, versioned.environ)
    for status in ("Enabled", "Suspended"):
        client.put_bucket_versioning(Bucket=off.bucket, VersioningConfiguration={"Status": status})
        for _ in range(3):
            off.store(RULES).put("monthly/a/x", [status.encode()])
    store = off.store(RULES)
    leases = Leases(store, lambda: datetime.now(UTC), seconds=60)
    held = leases.acquire("backup/daily", "a run")
    for _ in range(3):
        leases.renew(held)
    leases.check(held)
    assert store.stat("leases/backup/daily/000000000001.beat") is not None
    assert len(off.versions("leases/")) == 2
    leases.forget("backup/daily")
    store.delete("monthly/a/x")
    assert off.versions() == []
    client.close()


def test_a_heartbeat_whose_version_is_always_the_same_does_not_remove_itself(plain: Any) -> None:
    """As Amazon answers where versions are suspended; this server then tells no version at all."""
    store = plain.store(RULES)

    def say_null(parsed: dict[str, Any], **_more: Any) -> None:
        parsed["VersionId"] = "null"

    store._bucket._connected().meta.events.register("after-call.s3.PutObject", say_null)
    for number in range(3):
        store.put("leases/a/1.beat", [str(number).encode()])
    assert store.stat("leases/a/1.beat") is not None


def test_a_probe_leaves_nothing_and_one_that_was_killed_is_swept(kept: Any) -> None:
    store = kept.store(RULES)
    health = store.probe()
    assert kept.versions() == []
    assert health.past is not None
    assert health.past.versioned
    store.put("probe/0123", [b"its process was killed here"])
    assert "probe/0123" in store.sweep(soon())[0]
    assert kept.versions() == []


def test_a_bucket_that_locks_whatever_comes_can_be_probed(locking: Any, s3_server: Any) -> None:
    client = s3_server.s3_client()
    name = f"{locking.bucket}-default"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    client.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration={
        "ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}})
    store = type(locking)(name, client, locking.environ).store()
    assert store.probe().past.default_days == 3
    store.put("monthly/a/x", [b"x"])
    assert store.locked_until("monthly/a/x") > datetime.now(UTC) + timedelta(days=2)
    client.close()


_START = datetime(2026, 11, 23, tzinfo=UTC)


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=8), st.integers(0, 25))
def test_a_sweep_never_takes_what_anybody_could_still_see_since_a_moment(
        history: list[tuple[int, bool]], hours: int) -> None:
    """Whatever was there at the moment, or came after, is still there after the sweep, at any time since."""
    ordered = sorted(history, key=lambda each: each[0], reverse=True)
    versions = [Version("x", str(number), _START + timedelta(hours=at), number == 0, marker)
                for number, (at, marker) in enumerate(ordered)]
    before = _START + timedelta(hours=hours)
    gone = plan_sweep(versions, before)
    left = [version for version in versions if version not in gone]
    for moment in [before, *(version.modified_at for version in versions if version.modified_at >= before)]:
        assert seen(left, moment) == seen(versions, moment)


def seen(versions: list[Version], moment: datetime) -> str | None:
    newest = next((version for version in versions if version.modified_at <= moment), None)
    return None if newest is None or newest.marker else newest.version_id
