from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiosmtpd.controller import Controller

from nightscan_tasks.language import Language, language
from nightscan_tasks.report.monthly import Month, MonthlyReport
from nightscan_tasks.report.monthly_making import make
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.tasks.glancing import glance
from nightscan_tasks.world.history import History, write_history

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


@dataclass
class PostOffice:
    """A mail server that keeps what it is handed; what it says to some addresses instead."""

    mails: list[EmailMessage] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)
    port: int = 0

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str,  # noqa: N802 - aiosmtpd's names
                          _options: Any) -> str:
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - as above
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


class _Listening(Controller):  # type: ignore[misc]  # aiosmtpd has no types
    """On a port that is free: it listens first, and tells then where."""

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, host=self.hostname, port=0)

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        socket.create_connection((self.hostname, self.port)).close()


@pytest.fixture
def post_office() -> Iterator[PostOffice]:
    """A mail server on loopback."""
    office = PostOffice()
    controller = _Listening(office, hostname="127.0.0.1")
    controller.start()
    office.port = controller.port
    yield office
    controller.stop()


@pytest.fixture(scope="session")
def october(with_past: tuple[System, History]) -> MonthlyReport:
    """The report of October: runs that never began, one that failed, a drill that was too slow."""
    system, _ = with_past
    return make(system, Month(2026, 10), glance(system))


@pytest.fixture(params=["en", "fr"])
def spoken(request: pytest.FixtureRequest) -> Language:
    """Each language."""
    return language(str(request.param), ZoneInfo("Europe/Paris"))
