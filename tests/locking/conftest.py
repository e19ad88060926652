"""Buckets that keep versions and locks, on the session's real server."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.history import get_global_history_recorder

from nightscan_tasks.settings import load
from nightscan_tasks.stores.parts import Cutter
from nightscan_tasks.stores.s3 import S3Store, Transfer
from nightscan_tasks.stores.s3_bucket import Limits
from nightscan_tasks.stores.s3_keeping import Keeping
from nightscan_tasks.system import System
from nightscan_tasks.world.world import World

PART_BYTES = 5 << 20
_WAIT_SECONDS = 180


@dataclass(frozen=True)
class Kept:
    """One prefix of one test's own, in a bucket that keeps what it is told to."""

    bucket: str
    client: Any
    environ: dict[str, str]
    prefix: str = field(default_factory=lambda: f"night scan/{secrets.token_hex(4)}")

    def store(self, keeping: Keeping | None = None) -> S3Store:
        """A store here, that sends small parts."""
        return S3Store("offsite", self.bucket, self.prefix, endpoint=self.environ["AWS_ENDPOINT_URL"],
                       keeping=keeping, transfer=Transfer(Cutter(plan=lambda _number: PART_BYTES), Limits()))

    def path(self, key: str) -> str:
        return f"{self.prefix}/{key}"

    def versions(self, key: str = "") -> list[dict[str, Any]]:
        """What the server keeps of the keys that begin so, markers too, the newest first."""
        found = self.client.list_object_versions(Bucket=self.bucket, Prefix=self.path(key))
        both = [*found.get("DeleteMarkers", []), *found.get("Versions", [])]
        both.sort(key=lambda each: each["LastModified"], reverse=True)
        return sorted(both, key=lambda each: (each["Key"], not each["IsLatest"]))

    def lock_of(self, key: str, version_id: str = "") -> tuple[str, datetime] | None:
        """The mode and the end of an object's lock, as the server tells."""
        which = {"VersionId": version_id} if version_id else {}
        answer = self.client.head_object(Bucket=self.bucket, Key=self.path(key), **which)
        if "ObjectLockMode" not in answer:
            return None
        return answer["ObjectLockMode"], answer["ObjectLockRetainUntilDate"]

    def put_locked(self, key: str, body: bytes = b"x", *, seconds: float = 3600,
                   mode: str = "COMPLIANCE") -> str:
        """An object whose lock ends soon, which no settings would make; its version."""
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        answer = self.client.put_object(Bucket=self.bucket, Key=self.path(key), Body=body,
                                        ObjectLockMode=mode, ObjectLockRetainUntilDate=until)
        return str(answer["VersionId"])

    def hide(self, key: str) -> None:
        """What a plain delete does here."""
        self.client.delete_object(Bucket=self.bucket, Key=self.path(key))


def _made(s3_server: World, *, locks: bool, versions: bool) -> Iterator[Kept]:
    client = s3_server.s3_client()
    name = f"kept-{secrets.token_hex(4)}"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locks)
    if versions and not locks:
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    yield Kept(name, client, {name: value for name, value in s3_server.environ().items()
                              if name.startswith("AWS_") and name != "AWS_BACKUP_BUCKET"})
    client.close()


@pytest.fixture(scope="session")
def _locking(s3_server: World) -> Iterator[Kept]:
    yield from _made(s3_server, locks=True, versions=True)


@pytest.fixture(scope="session")
def _versioned(s3_server: World) -> Iterator[Kept]:
    yield from _made(s3_server, locks=False, versions=True)


@pytest.fixture(scope="session")
def _plain(s3_server: World) -> Iterator[Kept]:
    yield from _made(s3_server, locks=False, versions=False)


def _fresh(kept: Kept, patch: pytest.MonkeyPatch) -> Kept:
    for name, value in kept.environ.items():
        patch.setenv(name, value)
    return Kept(kept.bucket, kept.client, kept.environ)


@pytest.fixture
def locking(_locking: Kept, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """A bucket with object lock, and so with versions."""
    return _fresh(_locking, monkeypatch)


@pytest.fixture
def versioned(_versioned: Kept, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """A bucket that keeps versions, and takes no locks."""
    return _fresh(_versioned, monkeypatch)


@pytest.fixture
def plain(_plain: Kept, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """A bucket as most are."""
    return _fresh(_plain, monkeypatch)


@dataclass(frozen=True)
class Asked:
    """One operation of S3 that was asked for, and with what."""

    operation: str
    params: dict[str, Any]


@dataclass
class Recorder:
    """Writes down what botocore is asked for in this process, by whichever client."""

    calls: list[Asked] = field(default_factory=list)

    def emit(self, event_type: str, payload: Any, _source: str) -> None:
        if event_type == "API_CALL" and payload["service"] == "s3":
            self.calls.append(Asked(payload["operation"], payload["params"]))

    def since(self) -> list[Asked]:
        """What was asked for since this was last called."""
        found, self.calls = self.calls, []
        return found


@pytest.fixture(scope="session")
def _recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    history = get_global_history_recorder()
    history.add_handler(recorder)
    history.enable()
    yield recorder
    history.disable()


@pytest.fixture
def recorder(_recorder: Recorder) -> Recorder:
    _recorder.since()
    return _recorder


@pytest.fixture
def asked(recorder: Recorder) -> Callable[[], list[str]]:
    """Which operations the server was asked for since this was last called."""
    return lambda: [each.operation for each in recorder.since()]


def wait_until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not done():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def waiting() -> Callable[[Callable[[], object]], None]:
    """Wait for a condition."""
    return wait_until


@pytest.fixture
def a_later_second() -> Callable[[], datetime]:
    """A moment after everything so far and before everything to come: servers date to the second."""

    def moment() -> datetime:
        now = datetime.now(UTC).replace(microsecond=0)
        wait_until(lambda: datetime.now(UTC) >= now + timedelta(seconds=1))
        return now

    return moment


@dataclass
class Site:
    """A small NightScan in a folder, that is saved to a bucket."""

    environ: dict[str, str]

    def system(self, **more: str) -> System:
        return System(load({**self.environ, **more}))


@pytest.fixture
def site(tmp_path: Path, locking: Kept) -> Site:
    root, etc = tmp_path / "nightscan", tmp_path / "etc"
    for name, content in {"uploads/a.wav": b"a" * 5000, "models/m.pt": b"m" * 9000}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    etc.mkdir()
    (etc / "crontab").write_text("0 2 * * * root true\n")
    return Site({
        "NIGHTSCAN_ROOT": str(root), "NIGHTSCAN_ETC": str(etc),
        "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"),
        "NIGHTSCAN_AUDIT_FILE": str(tmp_path / "audit.log"),
        "NIGHTSCAN_OFFSITE": f"s3://{locking.bucket}/{secrets.token_hex(4)}/nightscan",
        "AWS_ENDPOINT_URL": locking.environ["AWS_ENDPOINT_URL"]})
