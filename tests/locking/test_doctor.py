"""What the doctor says of buckets that keep more, or less, than the settings ask for."""

from __future__ import annotations

from typing import Any

import pytest

from nightscan_tasks.doctor import locks, stores
from nightscan_tasks.doctor.finding import Finding, Level
from nightscan_tasks.model import Days, Months, Tier
from nightscan_tasks.settings import load
from nightscan_tasks.stores.base import Past
from nightscan_tasks.system import System
from nightscan_tasks.workflows import RETENTION


def found(kept: Any, tmp_path: Any, **settings: str) -> dict[str, Finding]:
    system = System(load({"NIGHTSCAN_BACKUP_DIR": str(tmp_path), "NIGHTSCAN_OFFSITE": f"s3://{kept.bucket}/n",
                          "AWS_ENDPOINT_URL": kept.environ["AWS_ENDPOINT_URL"], **settings}))
    return {each.name: each for each in stores.offsites(system)}


LOCKED = {"NIGHTSCAN_S3_LOCK_MODE": "governance", "NIGHTSCAN_S3_LOCK_DAYS": "daily=7,weekly=28"}


def test_a_bucket_that_locks_as_asked_is_well(locking: Any, tmp_path: Any) -> None:
    said = found(locking, tmp_path, **LOCKED)
    assert {each.level for each in said.values()} == {Level.OK}
    assert said["offsite's lock"].found == "governance: daily 7 days, weekly 28 days"


@pytest.mark.parametrize("kind", ["plain", "versioned"])
def test_a_lock_that_the_bucket_cannot_give_is_a_failure_with_what_to_do(
        kind: str, tmp_path: Any, request: pytest.FixtureRequest) -> None:
    said = found(request.getfixturevalue(kind), tmp_path, **LOCKED)["offsite's lock"]
    assert said.level is Level.FAIL
    assert "--object-lock-enabled-for-bucket" in said.advice


def test_versions_with_neither_lock_nor_lifecycle_are_a_warning(versioned: Any, tmp_path: Any) -> None:
    assert found(versioned, tmp_path)["offsite's versions"].level is Level.WARN
    versioned.client.put_bucket_lifecycle_configuration(Bucket=versioned.bucket, LifecycleConfiguration={
        "Rules": [{"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""},
                   "NoncurrentVersionExpiration": {"NoncurrentDays": 30}}]})
    assert "offsite's versions" not in found(versioned, tmp_path)
    versioned.client.delete_bucket_lifecycle(Bucket=versioned.bucket)


def test_a_bucket_as_most_are_is_said_nothing_of(plain: Any, tmp_path: Any) -> None:
    assert set(found(plain, tmp_path)) == {"offsite"}


def test_what_may_not_be_asked_is_said() -> None:
    [said] = locks.bucket("offsite", Past(None, None, 0, None), load(LOCKED))
    assert said.level is Level.WARN
    assert "s3:GetBucketObjectLockConfiguration" in said.advice


def test_a_default_retention_is_told_and_is_a_failure_where_leases_live() -> None:
    past = Past(versioned=True, locks=True, default_days=30, expires=False)
    assert [each.level for each in locks.bucket("offsite", past, load({}))] == [Level.OK]
    assert [each.level for each in locks.records(past)] == [Level.FAIL]


@pytest.mark.parametrize(("days", "keep", "warned"), [
    (7, Days(7), False), (8, Days(7), True), (365, Months(12), False), (400, Months(12), True)])
def test_a_lock_that_outlasts_its_tier_is_a_warning(days: int, keep: Any, warned: bool) -> None:
    system = System(load({"NIGHTSCAN_S3_LOCK_MODE": "compliance", "NIGHTSCAN_S3_LOCK_DAYS": f"daily={days}"}))
    said = list(locks.retained(system, keep={Tier.DAILY: keep}))
    assert bool(said) == warned
    if said:
        assert said[0].level is Level.WARN
        assert "rotation waits" in said[0].found


def test_the_usual_days_outlast_no_tier() -> None:
    system = System(load({"NIGHTSCAN_S3_LOCK_MODE": "compliance"}))
    assert list(locks.retained(system, keep=RETENTION)) == []
