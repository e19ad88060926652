"""One object on its way from S3, over as many connections as it takes."""

from __future__ import annotations

from typing import Any

from nightscan_tasks.errors import StoreError
from nightscan_tasks.model import Chunks
from nightscan_tasks.stores.s3_bucket import FAILURES, Bucket

_READ_BYTES = 1 << 20
_MOVED_BYTES = 8 << 20


class Download:
    """The reading of one object. A connection that is cut is taken up where it was cut.

    It goes on with the same object or not at all: one that was replaced meanwhile is `StoreError`.
    """

    def __init__(self, bucket: Bucket, path: str, *, version_id: str = "") -> None:
        self._bucket = bucket
        self._path = path
        self._which = {"VersionId": version_id} if version_id else {}
        answer = bucket.call("get_object", Key=path, **self._which)
        self._body: Any = answer["Body"]
        self._etag = answer["ETag"]
        self._stored_bytes = int(answer["ContentLength"])

    def chunks(self) -> Chunks:
        """The bytes, in buffers of at most 1 MiB."""
        done_bytes = resumed_at = cuts = 0
        while done_bytes < self._stored_bytes:
            try:
                chunk = self._body.read(self._turn(self._stored_bytes - done_bytes))
                if not chunk:
                    raise ConnectionResetError("the answer ended early")
            except FAILURES as exc:
                # Cut after a few bytes each time, it would get there, but not in this life.
                cuts = 1 if done_bytes - resumed_at >= _MOVED_BYTES else cuts + 1
                if cuts > self._bucket.limits.resumes:
                    raise self._bucket.explain(exc, f"get_object at byte {done_bytes:,} of",
                                               self._path) from exc
                self._resume(done_bytes)
                resumed_at = done_bytes
                continue
            done_bytes += len(chunk)
            yield chunk

    def close(self) -> None:
        """End the connection, wherever the reading was."""
        self._body.close()

    def _turn(self, left_bytes: int) -> int:
        """How much is read now, at most; where the host has a limit, once it is this reader's turn."""
        pace = self._bucket.paces.down
        return _READ_BYTES if pace is None else pace.take(left_bytes)

    def _resume(self, done_bytes: int) -> None:
        self.close()
        answer = self._bucket.call("get_object", Key=self._path, Range=f"bytes={done_bytes}-",
                                   IfMatch=self._etag, **self._which)
        self._body = answer["Body"]
        if not str(answer.get("ContentRange", "")).startswith(f"bytes {done_bytes}-"):
            raise StoreError(f"{self._path}: the server cannot go on at byte {done_bytes:,} after "
                             "the connection was cut; it is read again from its beginning")
