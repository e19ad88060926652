"""What a versioned bucket keeps of its objects' past: versions, delete markers, and locks on them.

In such a bucket a plain delete only hides. So an object is deleted version by version, the oldest first:
whenever that ends early, the object is still there, and still listed. What somebody else hid stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from nightscan_tasks.errors import Locked, NotFound, StoreRefused
from nightscan_tasks.stores.base import FOR_EVER, Past
from nightscan_tasks.stores.s3_bucket import Bucket


@dataclass(frozen=True)
class Version:
    """One version of an object, or a delete marker, which hides the versions before it."""

    path: str
    version_id: str
    modified_at: datetime
    latest: bool
    marker: bool
    stored_bytes: int = 0
    etag: str = ""


@dataclass(frozen=True)
class Hold:
    """Until when the server keeps a version, and by which rule."""

    until: datetime
    rule: str


class Versions:
    """The versions in a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._locks: bool | None = None

    def kept(self, path: str = "") -> bool:
        """Whether this bucket keeps versions; asked once, and then known from every answer.

        A key whose policy does not let it ask, and a server that does not know the question, are asked
        for the object at `path` instead, whose version says the same.
        """
        if self._bucket.versioned is None:
            try:
                self._bucket.versioned = "Status" in self._bucket.call("get_bucket_versioning")
            except StoreRefused:
                with suppress(StoreRefused):
                    return "VersionId" in self._bucket.call("head_object", Key=path)
        return bool(self._bucket.versioned)

    def locks(self) -> bool | None:
        """Whether this bucket takes locks; None where this key may not ask."""
        if not self._locks:
            found = self._asked("get_object_lock_configuration")
            self._locks = None if found is None else _takes_locks(found)
        return self._locks

    def past(self) -> Past:
        """What the bucket keeps, asked for now."""
        versioning = self._asked("get_bucket_versioning")
        lock = self._asked("get_object_lock_configuration")
        lifecycle = self._asked("get_bucket_lifecycle_configuration")
        return Past(versioned=None if versioning is None else "Status" in versioning,
                    locks=None if lock is None else _takes_locks(lock),
                    default_days=_default_days(lock or {}),
                    expires=None if lifecycle is None else _expires(lifecycle))

    def _asked(self, operation: str) -> dict[str, Any] | None:
        """What is configured; empty where nothing is, None where this key may not ask."""
        try:
            return self._bucket.call(operation)
        except NotFound:
            return {}
        except StoreRefused:
            return None

    def of(self, path: str) -> list[Version]:
        """Everything that is kept of one object, the newest first."""
        return self.below(path).get(path, [])

    def below(self, prefix: str) -> dict[str, list[Version]]:
        """The same of every object whose path begins with `prefix`."""
        found: dict[str, list[Version]] = defaultdict(list)
        for page in self._bucket.pages("list_object_versions", Prefix=prefix):
            for version in _of_page(page):
                found[version.path].append(version)
        # The sort is stable: of two in the same second the listing's own order, the newest first, decides.
        for versions in found.values():
            versions.sort(key=lambda version: (version.latest, version.modified_at), reverse=True)
        return found

    def hold(self, versions: Sequence[Version]) -> Hold | None:
        """The lock that keeps any of these longest, by the server's clock; None where none does."""
        holds = [hold for version in versions if not version.marker and (hold := self._hold(version))]
        return max(holds, key=lambda hold: hold.until, default=None)

    def delete(self, path: str) -> None:
        """Remove all versions of an object; `Locked`, and nothing changed, if one of them has to stay."""
        versions = self.of(path)
        hold = self.hold(versions)
        if hold is not None:
            raise Locked(self._bucket.said(f"{path} is locked {_until(hold)}; nothing was deleted, and "
                                           "rotation asks again when that is over"))
        if versions and not versions[0].marker:
            for version in reversed(versions):
                self.remove(path, version.version_id)

    def remove(self, path: str, version_id: str) -> None:
        """Remove one version or delete marker, for good."""
        with suppress(NotFound):
            self._bucket.call("delete_object", Key=path, VersionId=version_id)

    def sweep(self, prefix: str, before: Callable[[str], datetime]) -> list[str]:
        """Remove what was replaced or hidden before a moment, and is not locked; say what it was.

        `before` gives each path its moment. A delete marker that has nothing left to hide goes as well.
        What this key may not remove stays: nobody's key removes audit records.
        """
        removed = []
        for path, versions in self.below(prefix).items():
            gone = [version for version in plan_sweep(versions, before(path)) if self.hold([version]) is None]
            if versions[0] in gone and len(gone) < len(versions):
                gone.remove(versions[0])  # it hides what is locked
            with suppress(StoreRefused):
                for version in reversed(gone):
                    self.remove(path, version.version_id)
                if not gone:
                    continue
                removed.append(self._bucket.said(f"{len(gone)} old version{'s' * (len(gone) > 1)} of {path}"))
        return removed

    def _hold(self, version: Version) -> Hold | None:
        try:
            answer = self._bucket.call("head_object", Key=version.path, VersionId=version.version_id)
        except NotFound:
            return None  # removed meanwhile
        if answer.get("ObjectLockLegalHoldStatus") == "ON":
            return Hold(FOR_EVER, "by a legal hold")
        until = answer.get("ObjectLockRetainUntilDate")
        if until is None or until <= self._bucket.now():
            return None
        return Hold(until.astimezone(UTC), f"in {str(answer.get('ObjectLockMode', '')).lower()} mode")


def plan_sweep(versions: Sequence[Version], before: datetime) -> list[Version]:
    """What of an object's versions, the newest first, was replaced or hidden before a moment.

    The newest stays, whatever its age, unless it is a delete marker.
    """
    replaced = [older for newer, older in pairwise(versions) if newer.modified_at < before]
    hidden = versions[0].marker and versions[0].modified_at < before
    return [versions[0], *replaced] if hidden else replaced


def _takes_locks(lock: dict[str, Any]) -> bool:
    return bool(lock.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")


def _default_days(lock: dict[str, Any]) -> int:
    rule = lock.get("ObjectLockConfiguration", {}).get("Rule", {}).get("DefaultRetention", {})
    return int(rule.get("Days", 0)) + 365 * int(rule.get("Years", 0))


def _expires(lifecycle: dict[str, Any]) -> bool:
    return any(rule.get("Status") == "Enabled" and "NoncurrentVersionExpiration" in rule
               for rule in lifecycle.get("Rules", []))


def _of_page(page: dict[str, Any]) -> Iterator[Version]:
    for item in page.get("Versions", []):
        yield Version(item["Key"], item["VersionId"], item["LastModified"].astimezone(UTC), item["IsLatest"],
                      marker=False, stored_bytes=int(item["Size"]), etag=str(item["ETag"]).strip('"'))
    for item in page.get("DeleteMarkers", []):
        yield Version(item["Key"], item["VersionId"], item["LastModified"].astimezone(UTC), item["IsLatest"],
                      marker=True)


def _until(hold: Hold) -> str:
    if hold.until == FOR_EVER:
        return f"{hold.rule}, until somebody lifts it"
    return f"{hold.rule} until {hold.until:%Y-%m-%d %H:%M:%S} UTC"
