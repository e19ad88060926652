from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from nightscan_tasks.language import Language, language
from nightscan_tasks.report.listening import Listening
from nightscan_tasks.report.serving import application
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.tasks.glancing import glance
from nightscan_tasks.watch.overview import Overview
from nightscan_tasks.world.history import write_history

NOW = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")


def environ_of(folder: Path) -> dict[str, str]:
    """Settings of an installation with two directory stores, in Paris, whose broker is down."""
    return {
        "NIGHTSCAN_BACKUP_DIR": str(folder / "backups"), "NIGHTSCAN_OFFSITE": str(folder / "offsite"),
        "NIGHTSCAN_ROOT": str(folder / "nightscan"), "NIGHTSCAN_AUDIT_FILE": str(folder / "audit.jsonl"),
        "NIGHTSCAN_TIMEZONE": "Europe/Paris", "NIGHTSCAN_SITE": "NightScan Lyon",
        "NIGHTSCAN_TEMP_DIR": str(folder), "NIGHTSCAN_BROKER_URL": "redis://127.0.0.1:1/0"}


@dataclass(frozen=True)
class Past:
    """An installation with sixty days behind it, and what is seen of it at a glance."""

    folder: Path
    system: System
    overview: Overview


def _past(folder: Path, *, well: bool) -> Past:
    system = System(load(environ_of(folder)), clock=lambda: NOW)
    write_history(system, days=60, seed=1, now=NOW, well=well)
    return Past(folder, system, glance(system))


@pytest.fixture(scope="session")
def ill(clean_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Past:
    """It ends badly. Shared: to be read only."""
    return _past(tmp_path_factory.mktemp("ill"), well=False)


@pytest.fixture(scope="session")
def well(ill: Past) -> Overview:
    """The same history without anything wrong at its end."""
    return replace(ill.overview, problems=(), health=type(ill.overview.health)("good"))


@pytest.fixture(scope="session")
def english() -> Language:
    return language("en", PARIS)


@pytest.fixture(scope="session")
def french() -> Language:
    return language("fr", PARIS)


@pytest.fixture
def environ_of_past(ill: Past) -> dict[str, str]:
    """The settings of the installation that is not well."""
    return environ_of(ill.folder)


Serve = Callable[..., str]


@pytest.fixture(scope="session")
def serving(ill: Past, english: Language) -> Iterator[Serve]:
    """Start a server: `serving(look, password="…")` is its URL. It ends with the session."""
    with ExitStack() as stack:
        def serve(look: Callable[[], Overview], *, password: str = "") -> str:
            listening = Listening("127.0.0.1", 0, password)
            return stack.enter_context(_served(ill.system, look, english, listening))

        yield serve


@contextmanager
def _served(system: System, look: Callable[[], Overview], told: Language,
            listening: Listening) -> Iterator[str]:
    ready, ports = threading.Event(), []
    loop = asyncio.new_event_loop()

    async def run() -> None:
        server = HTTPServer(application(system, look, told, listening, keep_seconds=3600))
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        ports.append(sockets[0].getsockname()[1])
        ready.set()
        await ended.wait()
        server.stop()
        await server.close_all_connections()

    ended = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), name="serving")
    thread.start()
    assert ready.wait(120)
    yield f"http://127.0.0.1:{ports[0]}"
    loop.call_soon_threadsafe(ended.set)
    thread.join()
    loop.close()
