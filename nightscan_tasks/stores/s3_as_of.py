"""A versioned bucket as it was at a moment: the way back from whoever overwrote or hid what it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import NoReturn

from nightscan_tasks.errors import NotFound, StoreRefused
from nightscan_tasks.model import Buffer, Chunks, Stored
from nightscan_tasks.stores import keys
from nightscan_tasks.stores.base import Entry, StoreHealth
from nightscan_tasks.stores.s3_bucket import Bucket
from nightscan_tasks.stores.s3_download import Download
from nightscan_tasks.stores.s3_versions import Version, Versions


class AsOf:
    """A store that can only be read: of each object the version that was the newest at `moment`.

    What the server has removed for good since then is missing. The server dates an object of several
    parts to the beginning of its upload.
    """

    def __init__(self, bucket: Bucket, moment: datetime, *, name: str, url: str, base: str) -> None:
        self._bucket = bucket
        self._versions = Versions(bucket)
        self._moment = moment
        self._name = name
        self._url = url
        self._base = base

    @property
    def name(self) -> str:
        """What people call it."""
        return self._name

    @property
    def url(self) -> str:
        """`s3://bucket/prefix?as_of=2026-11-23T02:00:00Z`."""
        return self._url

    @contextmanager
    def open(self, key: str) -> Iterator[Chunks]:
        """See `Store.open`."""
        version = self._then(key)
        if version is None:
            raise NotFound(f"{self._url} has no {key}: it was not there at that moment, or its versions were "
                           "removed since; `nightscan list --as-of` says what there is")
        with closing(Download(self._bucket, version.path, version_id=version.version_id)) as download:
            yield download.chunks()

    def stat(self, key: str) -> Entry | None:
        """See `Store.stat`."""
        version = self._then(key)
        return self._entry(version) if version else None

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See `Store.list`."""
        keys.check_prefix(prefix)
        below = self._versions.below(f"{self._base}{prefix}")
        found = [self._entry(version) for versions in below.values()
                 if (version := newest(versions, self._moment))]
        found.sort(key=lambda entry: entry.key)
        return (entry for entry in found
                if all(keys.is_segment(segment) for segment in entry.key.split("/")))

    def locked_until(self, key: str) -> datetime | None:
        """See `Store.locked_until`; of the version that is shown."""
        version = self._then(key)
        hold = self._versions.hold([version]) if version else None
        return hold.until if hold else None

    def put(self, key: str, chunks: Iterable[Buffer], *, if_absent: bool = False) -> Stored:  # noqa: ARG002 - the port's signature
        """Refused: the past is not written."""
        self._refuse(key)

    def delete(self, key: str) -> None:
        """Refused: the past is not written."""
        self._refuse(key)

    def lock_as(self, key: str, like: str) -> None:  # noqa: ARG002 - the port's signature
        """Refused: the past is not written."""
        self._refuse(key)

    def sweep(self, older_than: datetime) -> Sequence[str]:  # noqa: ARG002 - the port's signature
        """Refused: the past is not written."""
        self._refuse("a sweep")

    def probe(self) -> StoreHealth:
        """Refused: the past is not written."""
        self._refuse("a probe")

    def link_latest(self, links: dict[str, str]) -> None:
        """A bucket has no links: nothing happens."""

    def _then(self, key: str) -> Version | None:
        keys.check_key(key)
        return newest(self._versions.of(self._base + key), self._moment)

    def _entry(self, version: Version) -> Entry:
        return Entry(version.path.removeprefix(self._base), version.stored_bytes, version.modified_at,
                     version.etag)

    def _refuse(self, what: str) -> NoReturn:
        raise StoreRefused(f"{self._url} is the bucket as it was, and can only be read: {what} was refused; "
                           "give the store without as_of")


def newest(versions: Sequence[Version], moment: datetime) -> Version | None:
    """Which of an object's versions, the newest first, was there at a moment; None where it was hidden."""
    version = next((each for each in versions if each.modified_at <= moment), None)
    return None if version is None or version.marker else version
