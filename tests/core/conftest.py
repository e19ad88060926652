from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nightscan_tasks.stores.base import Store
from nightscan_tasks.stores.directory import DirectoryStore
from tests.clock import StandingClock


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return DirectoryStore("primary", tmp_path / "backups")


@pytest.fixture
def write(store: Store) -> Callable[[str, bytes], None]:
    def put(key: str, data: bytes) -> None:
        store.put(key, [data])
    return put
