"""A bucket on a real server, a clock that a test owns, and a folder that processes share."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.settings import Settings, load
from nightscan_tasks.stores.pacing import SECOND, Clock, Pace, Paces
from nightscan_tasks.stores.s3 import S3Store, Transfer
from nightscan_tasks.world.world import World


@dataclass
class Slept:
    """A clock that goes on only when somebody sleeps, and what was waited for."""

    now_ns: int = 1000 * SECOND
    slept_ns: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def sleep(self, duration_ns: int) -> None:
        with self.lock:
            self.now_ns += duration_ns
            self.slept_ns += duration_ns

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now_ns, self.sleep)


@pytest.fixture
def slept() -> Slept:
    return Slept()


@pytest.fixture
def shared(tmp_path: Path) -> Settings:
    """Settings of a host; its runtime folder is the test's own."""
    return load({"NIGHTSCAN_RUNTIME_DIR": str(tmp_path / "runtime")})


@dataclass(frozen=True)
class Place:
    """An empty prefix in a real bucket."""

    endpoint: str
    bucket: str
    prefix: str
    client: Any

    def store(self, paces: Paces, **transfer: Any) -> S3Store:
        return S3Store("offsite", self.bucket, self.prefix, endpoint=self.endpoint,
                       transfer=Transfer(paces=paces, **transfer))


@pytest.fixture
def s3_place(bucket: Any, s3_server: World, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, s3_server.environ()[name])
    return Place(s3_server.environ()["AWS_ENDPOINT_URL"], bucket.name, secrets.token_hex(4), bucket.client)


@pytest.fixture
def pace(shared: Settings, slept: Slept) -> Callable[[int], Pace]:
    """A limit in the test's folder, on the test's clock."""
    from nightscan_tasks import runtime

    return lambda rate: Pace(rate, lambda: runtime.opened(shared, "upload.turn"), slept.clock)
