"""One bucket at one endpoint: requests whose errors are ours, made by a client that is built late."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import create_loader
from urllib3.exceptions import HTTPError

from nightscan_tasks.errors import AlreadyExists, NightscanError, NotFound, StoreError, StoreRefused
from nightscan_tasks.settings import without_secret
from nightscan_tasks.stores import s3_body
from nightscan_tasks.stores.pacing import Paces
from nightscan_tasks.stores.s3_errors import Request, code_of, status_of

FAILURES = (BotoCoreError, ClientError, HTTPError, OSError)
"""Whatever a request, or the reading of its answer, may raise."""

_DESCRIPTIONS = create_loader()  # a client in 10 ms, where one that parses them again takes 100
_NEEDED = {
    "head_object": {"ETag", "ContentLength", "LastModified"}, "get_object": {"ETag", "ContentLength"},
    "put_object": {"ETag"}, "create_multipart_upload": {"UploadId"}, "upload_part": {"ETag"},
    "complete_multipart_upload": {"ETag"}}
_TAKEN = {409, 412}
_CHANGED = 412
_NO_LOCK = "InvalidRequest"


@dataclass(frozen=True)
class Limits:
    """How long a silent server is waited for, and how often a request is made in all.

    `resumes` is how many times in a row a download may be cut with less than 8 MiB in between.
    """

    connect_seconds: float = 10
    read_seconds: float = 60
    attempts: int = 3
    resumes: int = 5


class Bucket:
    """What a store, an upload and a download ask of their server, and how fast their bytes go.

    `versioned` is whether the bucket keeps versions, None as long as no answer has told.
    """

    versioned: bool | None = None

    def __init__(self, store: str, bucket: str, url: str, *, endpoint: str, limits: Limits,
                 paces: Paces | None = None) -> None:
        self.limits = limits
        self.paces = paces or Paces()
        self._store = store
        self._bucket = bucket
        self._url = url
        self._endpoint = endpoint
        self._client: Any = None
        self._lock = threading.Lock()
        self._told: tuple[datetime, float] | None = None  # the server's clock, and ours that nobody sets

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """One request, with botocore's own few repetitions; the server's answer, or our error."""
        try:
            answer: dict[str, Any] = getattr(self._connected(), operation)(
                Bucket=self._bucket, **arguments)
        except FAILURES as exc:
            if isinstance(exc, ClientError):
                self._raise_condition(exc, arguments)
            raise self.explain(exc, operation, arguments.get("Key", "")) from exc
        if not answer.keys() >= _NEEDED.get(operation, set()):
            # A connection that is cut among the headers looks like an answer with fewer of them.
            raise self.explain(ConnectionResetError("the answer was cut off"), operation,
                               arguments.get("Key", ""))
        self._learn(answer)
        return answer

    def pages(self, operation: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """A listing, page by page."""
        try:
            paginator = self._connected().get_paginator(operation)
            yield from paginator.paginate(Bucket=self._bucket, **arguments)
        except FAILURES as exc:
            raise self.explain(exc, operation, arguments.get("Prefix", "")) from exc

    def require(self) -> dict[str, Any]:
        """The answer to a HEAD of the bucket; a missing one is `StoreRefused`, never `NotFound`.

        The answer to a HEAD of an object does not say which of the two is missing.
        """
        try:
            return self.call("head_bucket")
        except NotFound as exc:
            raise StoreRefused(f"{self._store} {self._url} at {self._shown}: there is no bucket "
                               f"{self._bucket}; create it, or correct AWS_BACKUP_BUCKET or the "
                               "s3:// URL") from exc

    def now(self) -> datetime:
        """The server's clock, which decides when a lock ends; this machine's may have jumped."""
        if self._told is None:
            self.require()
        if self._told is None:
            return datetime.now(UTC)  # it does not say
        told, at = self._told
        return told + timedelta(seconds=time.monotonic() - at)

    def said(self, what: str) -> str:
        """A message that says where this is."""
        return f"{self._store} {self._url} at {self._shown}: {what}"

    def unlocked(self, path: str) -> StoreRefused:
        """The error for an object that should have been locked, and was not."""
        return StoreRefused(self.said(
            f"{path} was not stored: NIGHTSCAN_S3_LOCK_MODE is set, and the bucket takes no locks, or this "
            f"key's policy lacks s3:GetObjectRetention. Make a bucket with object lock, or unset it: "
            f"docs/OBJECT_LOCK.md says how"))

    def explain(self, exc: Exception, operation: str, path: str) -> NightscanError:
        """Our error instead of botocore's, with the facts."""
        asked = f"{operation} {path}".rstrip()
        return Request(self._store, self._url, self._shown, asked).explain(exc)

    @property
    def _shown(self) -> str:
        return without_secret(self._endpoint) if self._endpoint else "Amazon S3"

    def _learn(self, answer: dict[str, Any]) -> None:
        if answer.get("VersionId", "null") != "null":  # the one version of what is kept without versions
            self.versioned = True
        date = _date(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", ""))
        if date:
            self._told = date, time.monotonic()

    def _raise_condition(self, exc: ClientError, arguments: dict[str, Any]) -> None:
        status, path = status_of(exc), arguments.get("Key", "")
        if "IfNoneMatch" in arguments and status in _TAKEN:
            raise AlreadyExists(f"{self._store} {self._url} already has {path}: somebody else was "
                                "first, and it was left alone") from exc
        if "ObjectLockMode" in arguments and code_of(exc) == _NO_LOCK:
            raise self.unlocked(path) from exc
        if "IfMatch" in arguments and status == _CHANGED:
            raise StoreError(f"{self._store} {self._url}: {path} was replaced while it was read; "
                             "read it again from its beginning") from exc

    def _connected(self) -> Any:
        """The client, built when it is first needed: after a worker has forked, never before."""
        with self._lock:
            if self._client is None:
                session = botocore.session.Session()
                session.register_component("data_loader", _DESCRIPTIONS)
                self._client = session.create_client(
                    "s3", endpoint_url=self._endpoint or None, config=self._config())
                s3_body.connect(self._client)
            return self._client

    def _config(self) -> Config:
        return Config(
            # A bucket's name as a host name needs a wildcard in DNS, which only Amazon has.
            s3={"addressing_style": "path" if self._endpoint else "auto"},
            retries={"mode": "standard", "total_max_attempts": self.limits.attempts},
            connect_timeout=self.limits.connect_seconds, read_timeout=self.limits.read_seconds,
            tcp_keepalive=True, max_pool_connections=32,
            # SHA-256 is sent with every object; a CRC32 on top would only cost, and break on
            # servers that do not know it.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required")


def _date(text: str) -> datetime | None:
    """An HTTP date; None where a server sends none, or nonsense."""
    try:
        return parsedate_to_datetime(text).replace(tzinfo=UTC)
    except ValueError:
        return None
