"""One object on its way to S3: a single put, or a multipart upload that is completed or aborted."""

from __future__ import annotations

import hashlib
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from nightscan_tasks.errors import AlreadyExists, NightscanError, NotFound, StoreError
from nightscan_tasks.stores.parts import Part
from nightscan_tasks.stores.s3_body import PacedBody
from nightscan_tasks.stores.s3_bucket import Bucket

_TOKEN = "write"  # noqa: S105 - the name of a metadata field, not a secret
_IA_LEAST_BYTES = 128 * 1024


@dataclass(frozen=True)
class Written:
    """An object as the server answered for it; `version_id` is empty where no versions are kept."""

    etag: str
    version_id: str = ""

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Written:
        """From the answer to the request that wrote it, or to one that looked at it."""
        return cls(etag_of(answer), str(answer.get("VersionId") or ""))


class Upload:
    """The writing of one object. Each of its two ways returns what was written; `lock` goes with it.

    Every object carries a token of its write. Where an answer was lost and the repeated request
    found the object there, the token says whose it is.
    """

    def __init__(self, bucket: Bucket, path: str, *, storage_class: str, if_absent: bool,
                 lock: Mapping[str, Any]) -> None:
        self._bucket = bucket
        self._path = path
        self._storage_class = storage_class
        self._condition = {"IfNoneMatch": "*"} if if_absent else {}
        self._lock = lock
        self._token = secrets.token_hex(16)

    def whole(self, part: Part) -> Written:
        """Write an object that is one part, in one request."""
        # Classes for infrequent access bill each object as 128 KiB and for 30 days at least: leases,
        # records and manifests are smaller, and some live for seconds.
        small = part.stored_bytes < _IA_LEAST_BYTES
        try:
            return self._commit("put_object", part.checksum, Body=self._body(part),
                                ChecksumSHA256=part.checksum,
                                **self._born("STANDARD" if small else self._storage_class))
        finally:
            part.drop()

    def in_parts(self, parts: Iterable[Part]) -> Written:
        """Write an object of several parts, each sent while the next is read."""
        if self._condition:
            self._require_absent()  # before gigabytes are sent for nothing
        answer = self._bucket.call("create_multipart_upload", Key=self._path,
                                   ChecksumAlgorithm="SHA256", **self._born(self._storage_class))
        upload_id = str(answer["UploadId"])
        try:
            sent = self._send_all(parts, upload_id)
            return self._commit("complete_multipart_upload", _checksum_of(sent),
                                UploadId=upload_id, MultipartUpload={"Parts": sent})
        except BaseException as exc:
            self._abort(upload_id, exc)
            raise

    def _send_all(self, parts: Iterable[Part], upload_id: str) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []
        going: Future[dict[str, Any]] | None = None
        with ThreadPoolExecutor(1, "part") as sender:
            for part in parts:
                if going is not None:
                    sent.append(going.result())
                going = sender.submit(self._send, part, upload_id)
            if going is not None:
                sent.append(going.result())
        return sent

    def _send(self, part: Part, upload_id: str) -> dict[str, Any]:
        try:
            answer = self._bucket.call(
                "upload_part", Key=self._path, UploadId=upload_id, PartNumber=part.number,
                Body=self._body(part), ChecksumSHA256=part.checksum)
            self._check(answer, part.checksum)
            return {"PartNumber": part.number, "ETag": answer["ETag"],
                    "ChecksumSHA256": part.checksum}
        finally:
            part.drop()

    def _body(self, part: Part) -> bytearray | IO[bytes] | PacedBody:
        pace = self._bucket.paces.up
        if pace is None:
            return part.body
        pace.check()
        return PacedBody(part.body, part.stored_bytes, pace)

    def _commit(self, operation: str, checksum: str, **arguments: Any) -> Written:
        """The request that makes the object visible, and whether it did."""
        try:
            answer = self._bucket.call(operation, Key=self._path, **self._condition, **arguments)
        except (StoreError, NotFound, AlreadyExists):
            landed = self._landed()
            if landed is None:
                raise
            self._require_lock(landed)
            return landed
        self._check(answer, checksum)
        written = Written.of(answer)
        self._require_lock(written)
        return written

    def _landed(self) -> Written | None:
        """The object if it is there and this very write made it."""
        try:
            answer = self._bucket.call("head_object", Key=self._path)
        except NightscanError:
            return None
        return Written.of(answer) if answer.get("Metadata", {}).get(_TOKEN) == self._token else None

    def _require_absent(self) -> None:
        try:
            self._bucket.call("head_object", Key=self._path)
        except NotFound:
            return
        raise AlreadyExists(f"{self._path} is there already; it was left alone")

    def _require_lock(self, written: Written) -> None:
        """Read the lock back: servers that know no locks, and some that do, take the request all the same."""
        if not self._lock:
            return
        which = {"Key": self._path, **({"VersionId": written.version_id} if written.version_id else {})}
        if "ObjectLockMode" not in self._bucket.call("head_object", **which):
            with suppress(NightscanError):
                self._bucket.call("delete_object", **which)
            raise self._bucket.unlocked(self._path)

    def _check(self, answer: dict[str, Any], checksum: str) -> None:
        """Compare what the server hashed with what was sent; one that does not say is read back."""
        found = answer.get("ChecksumSHA256", checksum)
        if found != checksum:
            raise StoreError(f"{self._path} was changed on its way: sha256 sent {checksum}, stored "
                             f"{found}; it is tried again, but look for a proxy in between")

    def _abort(self, upload_id: str, exc: BaseException) -> None:
        try:
            self._bucket.call("abort_multipart_upload", Key=self._path, UploadId=upload_id)
        except NotFound:
            return
        except NightscanError as failure:
            exc.add_note(f"The parts sent so far stay until they are swept: {failure}")

    def _born(self, storage_class: str) -> dict[str, Any]:
        return {"StorageClass": storage_class, "Metadata": {_TOKEN: self._token}, **self._lock}


def etag_of(answer: Mapping[str, Any]) -> str:
    """An ETag without its quotes."""
    return str(answer["ETag"]).strip('"')


def _checksum_of(sent: Sequence[dict[str, Any]]) -> str:
    """The checksum that S3 gives an object of parts: that of the parts' checksums, and their number."""
    digests = b"".join(b64decode(part["ChecksumSHA256"]) for part in sent)
    return f"{b64encode(hashlib.sha256(digests).digest()).decode()}-{len(sent)}"
