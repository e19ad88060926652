"""What an S3 server's answers, and its silence, mean: worth another try or not, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from nightscan_tasks.errors import NightscanError, NotFound, StoreError, StoreRefused

_KEY_ADVICE = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or the profile or role in use)"
_RIGHT_ADVICE = ("the key's policy must allow it on this bucket and prefix (docs/privileges/s3); if the "
                 "object is locked (object lock), it stays until its retention ends")
_ADVICE = {
    "AccessDenied": _RIGHT_ADVICE,
    "401": _KEY_ADVICE,
    "403": f"{_RIGHT_ADVICE}; also {_KEY_ADVICE}",
    "InvalidAccessKeyId": _KEY_ADVICE,
    "SignatureDoesNotMatch": _KEY_ADVICE,
    "ExpiredToken": "the session's credentials have expired: renew them",
    "InvalidToken": "the session's credentials are not valid here: renew them",
    "NoSuchBucket": "create the bucket, or correct AWS_BACKUP_BUCKET or the s3:// URL",
    "InvalidBucketName": "correct AWS_BACKUP_BUCKET or the s3:// URL",
    "InvalidStorageClass": "this server has no such class: NIGHTSCAN_S3_STORAGE_CLASS=STANDARD",
    "RequestTimeTooSkewed": "set this host's clock: it differs from the server's",
    "PermanentRedirect": "the bucket is in another region: set AWS_DEFAULT_REGION to it",
    "AuthorizationHeaderMalformed": "set AWS_DEFAULT_REGION to the bucket's region",
    "QuotaExceeded": "raise the bucket's quota, or see `nightscan rotate --dry-run`",
    "NotImplemented": "this server does not know that request",
    "507": "the server's disk is full: make room there",
    "EntityTooLarge": "split the data (NIGHTSCAN_USER_DATA_ARCHIVES)",
}
_DAMAGED = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody",
            "XAmzContentChecksumMismatch", "RequestTimeout", "OperationAborted", "InvalidPart",
            "ConditionalRequestConflict"}
_ABSENT = {"NoSuchKey", "NoSuchUpload", "NoSuchVersion", "404", "NotFound",
           "ObjectLockConfigurationNotFoundError", "NoSuchLifecycleConfiguration"}
_AGAIN = {408, 425, 429}
_SERVER = 500


@dataclass(frozen=True)
class Request:
    """What was asked, for messages: never with a secret in it."""

    store: str
    url: str
    endpoint: str
    operation: str

    def explain(self, exc: Exception) -> NightscanError:
        """The error to raise instead of one of botocore's."""
        where = f"{self.store} {self.url} at {self.endpoint}: {self.operation}"
        if isinstance(exc, ClientError):
            return _answered(where, exc)
        if isinstance(exc, (NoCredentialsError, PartialCredentialsError)):
            return StoreRefused(f"{where}: no credentials; {_KEY_ADVICE}")
        if isinstance(exc, ParamValidationError):
            return StoreRefused(f"{where}: {_one_line(exc)}; correct the bucket's name or the key")
        if "CERTIFICATE_VERIFY_FAILED" in str(exc):
            return StoreRefused(f"{where}: {_one_line(exc)}; let AWS_CA_BUNDLE name the certificate "
                                "of the server's authority")
        if isinstance(exc, BotoCoreError):
            return StoreError(f"{where}: {_one_line(exc)}; it is tried again, but check the network "
                              "and AWS_ENDPOINT_URL if this goes on")
        return StoreError(f"{where}: the connection was cut ({_one_line(exc)}); it is tried again")


def status_of(exc: ClientError) -> int:
    """The HTTP status of a server's answer, 0 if there is none."""
    metadata: dict[str, Any] = exc.response.get("ResponseMetadata", {})
    return int(metadata.get("HTTPStatusCode", 0))


def code_of(exc: ClientError) -> str:
    """The error code of a server's answer; a HEAD has only the status as its code."""
    return str(exc.response.get("Error", {}).get("Code", ""))


def _answered(where: str, exc: ClientError) -> NightscanError:
    code, status = code_of(exc), status_of(exc)
    said = f"{where}: the server answered {status} {code}"
    text = exc.response.get("Error", {}).get("Message", "")
    if text and text != code:
        said = f"{said} ({text})"
    advice = _ADVICE.get(code) or _ADVICE.get(str(status))
    if advice:
        return StoreRefused(f"{said}; {advice}")
    if code in _ABSENT:
        return NotFound(f"{said}; `nightscan list` says what there is")
    if code in _DAMAGED or status in _AGAIN or status >= _SERVER or not status:
        return StoreError(f"{said}; it is tried again, but look at the server if this goes on")
    return StoreRefused(f"{said}; this request will not be granted as it is")


def _one_line(exc: Exception) -> str:
    return " ".join(str(exc).split()) or type(exc).__name__
