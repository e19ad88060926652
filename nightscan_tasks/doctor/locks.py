"""Whether what a bucket keeps, and for how long, is what the settings ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from nightscan_tasks.doctor.finding import Finding, fail, ok, warn
from nightscan_tasks.model import Keep, Tier
from nightscan_tasks.settings import Settings
from nightscan_tasks.stores.base import Past
from nightscan_tasks.system import System

_MAKE_ONE = ("make a bucket with object lock (aws s3api create-bucket --object-lock-enabled-for-bucket) and "
             "copy the sets to it, or unset NIGHTSCAN_S3_LOCK_MODE: docs/OBJECT_LOCK.md")


def bucket(name: str, past: Past, settings: Settings) -> Iterator[Finding]:
    """Whether the sets in a bucket are locked as the settings say, and whether old versions ever end."""
    asked = ", ".join(f"{tier} {days} days" for tier, days in sorted(settings.lock_days.items()))
    if asked and past.locks is False:
        yield fail(f"{name}'s lock", "NIGHTSCAN_S3_LOCK_MODE is set, and the bucket has no object lock: no "
                   "set can be stored there", _MAKE_ONE)
    elif asked and past.locks is None:
        yield warn(f"{name}'s lock", "this key may not ask whether the bucket has object lock",
                   "allow s3:GetBucketObjectLockConfiguration (docs/privileges/s3)")
    elif asked:
        yield ok(f"{name}'s lock", f"{settings.s3_lock_mode}: {asked}")
    elif past.default_days:
        yield ok(f"{name}'s lock", f"the bucket locks whatever comes for {past.default_days} days")
    if past.versioned and past.locks is False and past.expires is False:
        yield warn(f"{name}'s versions", "the bucket keeps old versions, with neither object lock nor a "
                   "lifecycle rule: they help against mistakes, not against whoever has the keys",
                   "make a bucket with object lock, or add a lifecycle rule that ends noncurrent versions "
                   "after 30 days: docs/OBJECT_LOCK.md")


def records(past: Past) -> Iterator[Finding]:
    """Leases and records are replaced and removed all the time: in a primary store they may not be locked."""
    if past.default_days:
        yield fail("primary's default retention", f"the bucket locks whatever comes for {past.default_days} "
                   "days: leases and records could not be removed", "remove the bucket's default retention, "
                   "and set NIGHTSCAN_S3_LOCK_MODE, which locks sets alone")


def retained(system: System, *, keep: Mapping[Tier, Keep]) -> Iterator[Finding]:
    """Whether the sets of a tier are locked for longer than they are kept."""
    now = system.clock()
    for tier, days in sorted(system.settings.lock_days.items()):
        if tier in keep and keep[tier].expired(now, now=now + timedelta(days=days - 1)):
            yield warn(f"lock of {tier} sets", f"they are locked for {days} days and kept for {keep[tier]}: "
                       "rotation waits for the lock, and the bucket holds more than it is asked to",
                       f"NIGHTSCAN_S3_LOCK_DAYS: give {tier} fewer days, or budget for them")
