from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nightscan_tasks.stores.base import Store
from nightscan_tasks.stores.directory import DirectoryStore


@dataclass
class Clock:
    """A clock that a test moves."""

    now: datetime = field(default=datetime(2026, 11, 23, 2, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return DirectoryStore("primary", tmp_path / "backups")


@pytest.fixture
def write(store: Store) -> Callable[[str, bytes], None]:
    def put(key: str, data: bytes) -> None:
        store.put(key, [data])
    return put
