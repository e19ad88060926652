"""Fixtures for everybody: a clean environment, and real servers that start when first asked for."""

from __future__ import annotations

import gc
import os
import secrets
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import psycopg
import pytest
import redis
from psycopg import sql

from nightscan_tasks import runtime
from nightscan_tasks.settings import Settings
from nightscan_tasks.world import sample
from nightscan_tasks.world.celery_services import QUEUES
from nightscan_tasks.world.files import Trees
from nightscan_tasks.world.s3 import make_bucket
from nightscan_tasks.world.sample import Target
from nightscan_tasks.world.world import World

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tools.tab import Tab

# Nothing is written into the checkout, and a busy machine is no failure.
hypothesis.settings.register_profile("here", database=None, deadline=None)
hypothesis.settings.register_profile("fuzz", database=None, deadline=None, max_examples=500,
                                     print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "here"))

_FOREIGN = ("NIGHTSCAN_", "REDIS_", "AWS_", "PG", "SENTRY_", "SLACK_", "BACKUP_", "CELERY_",
            "FLOWER_", "C_FORCE_ROOT", "GNUPGHOME", "GPG_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_END_SECONDS = 10
_SMALL_BYTES = 2_000_000


_LONGEST = ("test_chaos", "test_nowhere", "test_demo", "test_signed", "test_workers", "test_scenarios",
            "test_watched", "test_killed", "test_lost")
_LONG = ("integration", "cli", "restore", "drill", "install", "world")
_SHORT_AFTER_EACH = 3


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that mostly wait are begun early, with a few between them that mostly compute.

    So nobody waits at the end for a file that was begun late, and the processors have something to do.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    long = deque(sorted((path for path in files if _waits(path)), key=_place))
    short = deque(path for path in files if not _waits(path))
    ordered: list[pytest.Item] = []
    while long or short:
        for queue, number in ((long, 1), (short, _SHORT_AFTER_EACH)):
            for _ in range(min(number, len(queue))):
                ordered += files[queue.popleft()]
    items[:] = ordered


def pytest_configure() -> None:
    """A shell in the background ignores Ctrl-C, and its children with it: what is tested must not."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Thousands of tests stay until the end: the collector need not look through them each time."""
    gc.collect()
    gc.freeze()


def _waits(path: Path) -> bool:
    return path.stem in _LONGEST or path.parent.name in _LONG


def _place(path: Path) -> int:
    return _LONGEST.index(path.stem) if path.stem in _LONGEST else len(_LONGEST)


@dataclass(frozen=True)
class Bucket:
    """A bucket of one test's own."""

    name: str
    client: Any
    environ: dict[str, str]


def _clean(patch: pytest.MonkeyPatch, home: Path) -> None:
    for name in list(os.environ):
        if name.startswith(_FOREIGN) or name.lower() in _PROXIES:
            patch.delenv(name)
    patch.setenv("HOME", str(home))
    patch.setenv("AWS_CONFIG_FILE", os.devnull)
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.setenv("PGPASSFILE", str(home / "no-pgpass"))
    patch.setenv("PSQLRC", os.devnull)


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever a test started has ended with it. Set up first, so asked last."""
    base = str(tmp_path_factory.getbasetemp())
    yield
    deadline = time.monotonic() + _END_SECONDS
    while (left := _processes_of(base)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not left, f"tests left processes running (killed now): {left}"


@pytest.fixture(scope="session", autouse=True)
def clean_home(no_process_is_left: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty home; the session's fixtures see a clean environment too."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        _clean(patch, home)
        yield home


@pytest.fixture(scope="session", autouse=True)
def own_runtime(clean_home: Path) -> Iterator[None]:
    """Who names no folder for temporary files shares limits and jobs with nobody but this session's tests."""
    of_settings, everybodys = runtime.folder_of, Path(tempfile.gettempdir())

    def folder_of(settings: Settings) -> Path:
        folder = of_settings(settings)
        return clean_home / folder.name if folder.parent == everybodys else folder

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "folder_of", folder_of)
        yield


@pytest.fixture(autouse=True)
def clean_environment(clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's, or of the test before, is in the environment."""
    _clean(monkeypatch, clean_home)


@pytest.fixture(scope="session")
def servers(clean_home: Path, tmp_path_factory: pytest.TempPathFactory,
            ) -> Iterator[Callable[..., World]]:
    """Start servers of the session's by name: `servers("postgres", "s3")`; each is started once."""
    folder = tmp_path_factory.mktemp("w")
    yield lambda *names: World.up(folder, services=names, celery=False)
    World.down(folder)


@pytest.fixture(scope="session")
def postgres_server(servers: Callable[..., World]) -> World:
    """PostgreSQL: `.dsn(database)`, `.superuser_dsn(database)`."""
    return servers("postgres")


@pytest.fixture
def database(postgres_server: World) -> Iterator[str]:
    """The URI of an empty database that belongs to the role `nightscan`."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server.superuser_dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER nightscan").format(sql.Identifier(name)))
        yield postgres_server.dsn(name)
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
            sql.Identifier(name)))


@pytest.fixture
def app_redis(servers: Callable[..., World]) -> str:
    """The URL of an application's Redis that is empty: no key, no function."""
    url = servers("redis").environ()["REDIS_URL"]
    _flush(url)
    return url


@pytest.fixture
def broker_redis(servers: Callable[..., World]) -> Iterator[str]:
    """The URL of a broker that is empty, and is so again afterwards. Results go to its database 1."""
    url = servers("broker").environ()["NIGHTSCAN_BROKER_URL"]
    _flush(url)
    yield url
    _flush(url)  # what nobody took is nobody's: a worker of a later test would


@pytest.fixture(scope="session")
def s3_server(servers: Callable[..., World]) -> World:
    """S3: what a client needs is in `.environ()`."""
    return servers("s3")


@pytest.fixture
def bucket(s3_server: World) -> Iterator[Bucket]:
    """An empty bucket; `.environ` are the settings for it, `.client` is boto3's."""
    name = f"test-{secrets.token_hex(6)}"
    client = s3_server.s3_client()
    make_bucket(client, name)
    environ = {key: value for key, value in s3_server.environ().items() if key.startswith("AWS_")}
    yield Bucket(name, client, {**environ, "AWS_BACKUP_BUCKET": name})
    client.delete_bucket(Bucket=name)
    client.close()


@pytest.fixture(scope="session")
def gpg_home(servers: Callable[..., World]) -> Path:
    """A key ring with an unprotected key for backup@nightscan.com."""
    return Path(servers("gpg").environ()["NIGHTSCAN_GPG_HOME"])


@pytest.fixture
def environ(database: str, app_redis: str, broker_redis: str, bucket: Bucket,
            gpg_home: Path, tmp_path: Path) -> dict[str, str]:
    """Settings of an application that is empty and one test's own: nobody else sees or changes it."""
    trees = Trees(tmp_path / "app")
    trees.world.mkdir()
    trees.create()
    (tmp_path / "scratch").mkdir()
    return {
        "NIGHTSCAN_DATABASE_URI": database, "REDIS_URL": app_redis,
        "NIGHTSCAN_BROKER_URL": broker_redis, **bucket.environ,
        "NIGHTSCAN_S3_STORAGE_CLASS": "STANDARD_IA",
        "NIGHTSCAN_ROOT": str(trees.root), "NIGHTSCAN_ETC": str(trees.etc),
        "NIGHTSCAN_BACKUP_DIR": str(trees.backups), "NIGHTSCAN_TEMP_DIR": str(tmp_path / "scratch"),
        "NIGHTSCAN_RUNTIME_DIR": str(tmp_path / "run"),
        "NIGHTSCAN_GPG_RECIPIENT": "backup@nightscan.com", "NIGHTSCAN_GPG_HOME": str(gpg_home),
    }


@pytest.fixture
def sampled_environ(environ: dict[str, str]) -> dict[str, str]:
    """The same, filled with a small NightScan."""
    sample.fill(Target.of(environ), _SMALL_BYTES, now=datetime.now(UTC))
    return environ


@pytest.fixture(scope="session")
def world_folder(clean_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the session's whole world lives, once somebody starts it."""
    folder = tmp_path_factory.mktemp("x")
    yield folder
    World.down(folder)


@pytest.fixture(scope="session")
def world_services(world_folder: Path) -> World:
    """A whole world without Celery, with a small sample. Shared: put back what you change."""
    world = World.up(world_folder, celery=False)
    return world.fill(_SMALL_BYTES, now=datetime.now(UTC))


@pytest.fixture(scope="session")
def celery_world(world_services: World, world_folder: Path) -> World:
    """The same with a real worker for each queue, and a broker that soon gives up on a lost one."""
    return World.up(world_folder, celery=QUEUES, settings={
        "NIGHTSCAN_LEASE_SECONDS": "6", "NIGHTSCAN_RETRY_SECONDS": "1",
        "NIGHTSCAN_DEADLINE_SECONDS": "25", "NIGHTSCAN_VISIBILITY_SECONDS": "30"})


@pytest.fixture(scope="module")
def browser(clean_home: Path) -> Iterator[Browser]:
    """A headless Chromium, of a file's own: its driver's event loop is this thread's while it lives."""
    from tools.browser import NoBrowser, chromium

    with ExitStack() as stack:
        try:
            opened = stack.enter_context(chromium())
        except NoBrowser as exc:
            pytest.skip(str(exc))
        yield opened


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Tab]]:
    """Open an address: `open_page(url, width=360, dark=True, language="fr", login=("name", "password"))`.

    At the end no page may have complained; a test that expects a complaint takes it out of the list.
    """
    from tools.tab import open_tab

    tabs: list[Tab] = []

    def opened(url: str, **reader: Any) -> Tab:
        tabs.append(open_tab(browser, url, **reader))
        return tabs[-1]

    yield opened
    for tab in tabs:
        tab.close()
    complaints = [each for tab in tabs for each in tab.complaints]
    assert not complaints, complaints


def _flush(url: str) -> None:
    client = redis.Redis.from_url(url)
    try:
        client.flushall()
        client.function_flush()
    finally:
        client.close()


def _processes_of(base: str) -> dict[int, str]:
    """Processes that work in, were started for, or speak of the session's temporary folder."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environ = (entry / "environ").read_bytes().decode(errors="replace")
            cwd = str((entry / "cwd").readlink())
            if command and f"{base}/" in f"{command}/ {environ}/ {cwd}/":
                found[int(entry.name)] = command
    return found
