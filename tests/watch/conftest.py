from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nightscan_tasks.settings import Settings, load
from nightscan_tasks.system import System
from nightscan_tasks.tasks.glancing import timetable
from nightscan_tasks.watch.gathering import gather
from nightscan_tasks.watch.overview import Overview
from nightscan_tasks.world.history import write_history

NOW = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)


def environ_of(folder: Path) -> dict[str, str]:
    """Settings of an installation with two directory stores."""
    return {
        "NIGHTSCAN_BACKUP_DIR": str(folder / "backups"), "NIGHTSCAN_OFFSITE": str(folder / "offsite"),
        "NIGHTSCAN_ROOT": str(folder / "nightscan"), "NIGHTSCAN_AUDIT_FILE": str(folder / "audit.jsonl"),
        "NIGHTSCAN_SITE": "NightScan Lyon", "NIGHTSCAN_TEMP_DIR": str(folder)}


@pytest.fixture(scope="session")
def past(clean_home: Path, tmp_path_factory: pytest.TempPathFactory) -> System:
    """An installation with 60 days behind it, all well. Shared: to be read only."""
    system = System(load(environ_of(tmp_path_factory.mktemp("past"))), clock=lambda: NOW)
    write_history(system, days=60, seed=1, now=NOW)
    return system


@pytest.fixture(scope="session")
def good(past: System) -> Overview:
    """What is seen of it: nothing is wrong."""
    return gather(past, timetable(past))


@pytest.fixture(scope="session")
def settings(past: System) -> Settings:
    return past.settings


@pytest.fixture
def system(tmp_path: Path) -> System:
    """An installation without a past; its clock stands still."""
    (tmp_path / "nightscan").mkdir()
    return System(load(environ_of(tmp_path)), clock=lambda: NOW)



@pytest.fixture
def settings_of(tmp_path: Path) -> Callable[..., System]:
    """The installation with other settings too."""
    (tmp_path / "nightscan").mkdir(exist_ok=True)
    return lambda **more: System(load({**environ_of(tmp_path), **more}), clock=lambda: NOW)
