"""A store in an S3 bucket, Amazon's or any other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from nightscan_tasks.errors import NightscanError, NotFound
from nightscan_tasks.model import BLOCK_BYTES, Buffer, Chunks, Stored
from nightscan_tasks.stores import keys
from nightscan_tasks.stores.base import Entry, StoreHealth
from nightscan_tasks.stores.pacing import Paces
from nightscan_tasks.stores.parts import Cutter
from nightscan_tasks.stores.probing import probe_by_writing, sweep_probes
from nightscan_tasks.stores.s3_as_of import AsOf
from nightscan_tasks.stores.s3_bucket import Bucket, Limits
from nightscan_tasks.stores.s3_download import Download
from nightscan_tasks.stores.s3_keeping import Keeping
from nightscan_tasks.stores.s3_upload import Upload, etag_of
from nightscan_tasks.stores.s3_versions import Versions
from nightscan_tasks.streams import Tally


@dataclass(frozen=True)
class Transfer:
    """How bytes travel: the cutting into parts, how long and how often a server is asked, and how fast."""

    cutter: Cutter = field(default_factory=Cutter)
    limits: Limits = field(default_factory=Limits)
    paces: Paces = field(default_factory=Paces)


class S3Store:
    """A bucket, below a prefix, as a `Store`. Credentials are found as boto3 finds them.

    `endpoint` is empty for Amazon's. An object of one part is one request, a larger one a multipart
    upload. `version` is the ETag: the same bytes put again may have the same one.
    An exclusive create is decided by the server: Amazon's is exclusive for every size; SeaweedFS,
    which decides without a lock at a multipart's end, only for objects of one part. A lease is one.
    """

    def __init__(self, name: str, bucket: str, prefix: str, *,
                 endpoint: str = "", storage_class: str = "STANDARD",
                 transfer: Transfer | None = None, keeping: Keeping | None = None) -> None:
        self._name = name
        self._base = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._url = f"s3://{bucket}/{self._base}".rstrip("/")
        self._storage_class = storage_class
        self._transfer = transfer or Transfer()
        self._bucket = Bucket(name, bucket, self._url, endpoint=endpoint,
                              limits=self._transfer.limits, paces=self._transfer.paces)
        self._versions = Versions(self._bucket)
        self._keeping = keeping or Keeping()
        self._brief: dict[str, str] = {}  # what was last written to short-lived keys, while versions are kept

    @property
    def name(self) -> str:
        """What people call it."""
        return self._name

    @property
    def url(self) -> str:
        """`s3://bucket/prefix`."""
        return self._url

    def put(self, key: str, chunks: Iterable[Buffer], *, if_absent: bool = False) -> Stored:
        """See `Store.put`. At most two parts are held, 64 MiB in all."""
        path = self._path(key)
        upload = Upload(self._bucket, path, storage_class=self._storage_class, if_absent=if_absent,
                        lock=self._lock(key))
        tally = Tally(block_bytes=BLOCK_BYTES)
        with closing(self._transfer.cutter.cut(tally.through(chunks))) as parts:
            first = next(parts)
            written = upload.whole(first) if first.last else upload.in_parts(chain([first], parts))
        if written.version_id and self._keeping.is_brief(key):
            self._drop_replaced(path, written.version_id)
        return Stored(key, tally.total_bytes, tally.sha256, written.etag, tally.prefixes)

    @contextmanager
    def open(self, key: str) -> Iterator[Chunks]:
        """See `Store.open`. A connection that is cut in the middle is taken up again."""
        with closing(Download(self._bucket, self._path(key))) as download:
            yield download.chunks()

    def stat(self, key: str) -> Entry | None:
        """See `Store.stat`."""
        try:
            answer = self._bucket.call("head_object", Key=self._path(key))
        except NotFound:
            self._bucket.require()
            return None
        return Entry(key, int(answer["ContentLength"]), answer["LastModified"].astimezone(UTC),
                     etag_of(answer))

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See `Store.list`. All entries are held, some hundred bytes each.

        They are sorted here, because servers that keep folders list a folder's content before a
        file `folder.txt`, which Amazon lists first.
        """
        keys.check_prefix(prefix)
        pages = self._bucket.pages("list_objects_v2", Prefix=f"{self._base}{prefix}")
        entries = [self._entry(item) for page in pages for item in page.get("Contents", [])]
        entries.sort(key=lambda entry: entry.key)
        return (entry for entry in entries
                if all(keys.is_segment(segment) for segment in entry.key.split("/")))

    def delete(self, key: str) -> None:
        """See `Store.delete`. In a versioned bucket every version goes; one that somebody hid stays."""
        path = self._path(key)
        if self._versions.kept(path):
            self._versions.delete(path)
            return
        with suppress(NotFound):
            self._bucket.call("delete_object", Key=path)

    def locked_until(self, key: str) -> datetime | None:
        """See `Store.locked_until`. A version that is hidden or was replaced counts as well."""
        path = self._path(key)
        if not self._versions.kept(path):
            return None
        hold = self._versions.hold(self._versions.of(path))
        return hold.until if hold else None

    def lock_as(self, key: str, like: str) -> None:
        """See `Store.lock_as`. The current version is locked, and in no weaker mode than it is now."""
        lock = self._lock(like)
        if not lock:
            return
        path = self._path(key)
        now = self._bucket.call("head_object", Key=path)
        until = now.get("ObjectLockRetainUntilDate")
        if until is None or until < lock["ObjectLockRetainUntilDate"]:
            strict = "COMPLIANCE" in {now.get("ObjectLockMode"), lock["ObjectLockMode"]}
            self._bucket.call("put_object_retention", Key=path, Retention={
                "Mode": "COMPLIANCE" if strict else "GOVERNANCE",
                "RetainUntilDate": lock["ObjectLockRetainUntilDate"]})

    def sweep(self, older_than: datetime) -> Sequence[str]:
        """See `Store.sweep`, below the prefix only: multipart uploads, and versions nobody asks for.

        What was replaced or hidden goes after `undo_days` of the server's clock, which no jump of this
        machine's shortens, and once its lock is over.
        """
        removed = [*self._sweep_uploads(older_than), *sweep_probes(self, older_than)]
        if self._versions.kept():
            undone = min(older_than, self._bucket.now() - timedelta(days=self._keeping.undo_days))
            for prefix in self._swept():
                removed += self._versions.sweep(
                    prefix, lambda path: older_than if self._is_brief(path) else undone)
        return removed

    def as_of(self, moment: datetime) -> AsOf:
        """The same as it was at a moment, to be read only; a bucket that keeps no versions has no past."""
        return AsOf(self._bucket, moment, name=self._name, base=self._base,
                    url=f"{self._url}?as_of={moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")

    def _sweep_uploads(self, older_than: datetime) -> Iterator[str]:
        for page in self._bucket.pages("list_multipart_uploads", Prefix=self._base):
            for upload in page.get("Uploads", []):
                if upload["Initiated"] < older_than:
                    self._abort(upload["Key"], upload["UploadId"])
                    yield (f"unfinished upload of {upload['Key']} in {self._url}, begun "
                           f"{upload['Initiated'].astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")

    def probe(self) -> StoreHealth:
        """See `Store.probe`."""
        headers = self._bucket.require()["ResponseMetadata"]["HTTPHeaders"]
        probe_by_writing(self)
        return StoreHealth(self._url, headers.get("server", "S3"), None, self._versions.past())

    def link_latest(self, links: dict[str, str]) -> None:
        """A bucket has no links: nothing happens."""

    def _swept(self) -> Sequence[str]:
        """Where old versions are ours to remove: below the prefix, or without one in the folders we make."""
        return (self._base,) if self._base else tuple(f"{folder}/" for folder in self._keeping.folders)

    def _lock(self, key: str) -> dict[str, Any]:
        if not self._keeping.locks(key):
            return {}
        if self._versions.locks() is False:  # some servers would say they lock it, and not do it
            raise self._bucket.unlocked(key)
        return self._keeping.lock(key, self._bucket.now())

    def _is_brief(self, path: str) -> bool:
        return self._keeping.is_brief(path.removeprefix(self._base))

    def _drop_replaced(self, path: str, version_id: str) -> None:
        """Remove what this process wrote there before: heartbeats would leave a version every few seconds."""
        before = self._brief.get(path)
        self._brief[path] = version_id
        if before not in {None, version_id}:  # where versions are suspended, each has the same one
            with suppress(NightscanError):  # it is done when the lease is tidied away, or by a sweep
                self._versions.remove(path, before)

    def _path(self, key: str) -> str:
        keys.check_key(key)
        return self._base + key

    def _entry(self, item: dict[str, Any]) -> Entry:
        return Entry(item["Key"].removeprefix(self._base), int(item["Size"]),
                     item["LastModified"].astimezone(UTC), etag_of(item))

    def _abort(self, path: str, upload_id: str) -> None:
        try:
            self._bucket.call("abort_multipart_upload", Key=path, UploadId=upload_id)
        except NotFound:
            return  # its writer ended it meanwhile
