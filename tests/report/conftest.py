from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from nightscan_tasks.language import Language, language
from nightscan_tasks.report.monthly import Month, MonthlyReport
from nightscan_tasks.report.monthly_making import make
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.tasks.glancing import glance
from nightscan_tasks.world.history import History, write_history
from tests import mail
from tests.mail import PostOffice

NOW = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)


def environ_of(folder: Path) -> dict[str, str]:
    """Settings of an installation with two directory stores, in Paris."""
    return {
        "NIGHTSCAN_BACKUP_DIR": str(folder / "backups"), "NIGHTSCAN_OFFSITE": str(folder / "offsite"),
        "NIGHTSCAN_ROOT": str(folder / "nightscan"), "NIGHTSCAN_AUDIT_FILE": str(folder / "audit.jsonl"),
        "NIGHTSCAN_TIMEZONE": "Europe/Paris", "NIGHTSCAN_SITE": "NightScan Lyon",
        "NIGHTSCAN_TEMP_DIR": str(folder)}


@pytest.fixture
def system(tmp_path: Path) -> System:
    """An installation without a past."""
    return System(load(environ_of(tmp_path)), clock=lambda: NOW)


@pytest.fixture(scope="session")
def with_past(clean_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[System, History]:
    """An installation with 120 days behind it. Shared: to be read only."""
    system = System(load(environ_of(tmp_path_factory.mktemp("past"))), clock=lambda: NOW)
    return system, write_history(system, days=120, seed=1, now=NOW)


@pytest.fixture
def post_office() -> Iterator[PostOffice]:
    """A mail server on loopback."""
    with mail.post_office() as office:
        yield office


@pytest.fixture(scope="session")
def october(with_past: tuple[System, History]) -> MonthlyReport:
    """The report of October: runs that never began, one that failed, a drill that was too slow."""
    system, _ = with_past
    return make(system, Month(2026, 10), glance(system))


@pytest.fixture(params=["en", "fr"])
def spoken(request: pytest.FixtureRequest) -> Language:
    """Each language."""
    return language(str(request.param), ZoneInfo("Europe/Paris"))
