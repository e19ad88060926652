"""Object locks, on a real server: what is locked stays whole, what is not goes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nightscan_tasks import rotation
from nightscan_tasks.model import SetId
from nightscan_tasks.system import System
from nightscan_tasks.verification import verify_set
from nightscan_tasks.workflows import RETENTION
from nightscan_tasks.world.world import World

Locking = Callable[[int], Any]


@pytest.fixture
def locking(site: Any, s3_server: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Locking]:
    """The site with an offsite bucket that locks dailies for so many days."""
    client = s3_server.s3_client()
    bucket = f"locked-{secrets.token_hex(4)}"
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    for name, value in s3_server.environ().items():
        if name.startswith("AWS_") and name != "AWS_BACKUP_BUCKET":
            monkeypatch.setenv(name, value)

    def lock(days: int) -> Any:
        site.environ |= {
            "NIGHTSCAN_OFFSITE": f"s3://{bucket}/nightscan", "NIGHTSCAN_S3_LOCK_MODE": "compliance",
            "NIGHTSCAN_S3_LOCK_DAYS": f"daily={days}",
            "AWS_ENDPOINT_URL": s3_server.environ()["AWS_ENDPOINT_URL"]}
        return site

    yield lock
    client.close()


def sound(system: System, set_id: SetId) -> bool:
    catalog = system.catalog("offsite")
    return not verify_set(catalog, catalog.get(set_id), clock=system.clock).problems


def test_a_locked_set_stays_in_the_bucket_and_it_is_said_until_when(locking: Locking) -> None:
    site = locking(30)
    sets = site.days(9)
    system = site.system()
    assert rotation.rotate(system, system.primary, RETENTION).remove == tuple(sets[:2])
    done = rotation.rotate(system, system.store("offsite"), RETENTION)
    assert done.remove == ()
    assert "kept: locked in the bucket until" in done.reason(sets[0])
    assert sound(system, sets[0])


def test_a_server_that_refuses_by_its_own_clock_is_understood_and_no_set_is_half_removed(
        locking: Locking) -> None:
    site = locking(1)
    sets = site.days(9)  # by our clock, which runs ahead of the server's, the lock is over
    system = site.system()
    done = rotation.rotate(system, system.store("offsite"), RETENTION)
    assert done.remove == ()
    assert "the store refuses to delete it" in done.reason(sets[0])
    assert all(sound(system, set_id) for set_id in sets)


def test_what_is_not_locked_goes_with_all_that_the_bucket_kept_of_it(locking: Locking) -> None:
    site = locking(30)
    site.environ["NIGHTSCAN_S3_LOCK_DAYS"] = "monthly=90"
    sets = site.days(9)
    system = site.system()
    assert rotation.rotate(system, system.store("offsite"), RETENTION).remove == tuple(sets[:2])
    assert list(system.store("offsite").list(f"{sets[0]}/")) == []
