"""Real workers of a test's own, a client that sends to them, and ways to hold a run where it is."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from psycopg import sql

from nightscan_tasks.world import sample
from nightscan_tasks.world.files import Trees
from nightscan_tasks.world.sample import Target
from nightscan_tasks.world.world import World
from tests.crew import Crew
from tests.hands import wait_until

_SMALL_BYTES = 500_000
_SHORT = {"NIGHTSCAN_LEASE_SECONDS": "2", "NIGHTSCAN_RETRY_SECONDS": "1", "NIGHTSCAN_RETRIES": "3",
          "NIGHTSCAN_DEADLINE_SECONDS": "45", "NIGHTSCAN_VISIBILITY_SECONDS": "60"}


@contextmanager
def hold_table(dsn: str, table: str = "held") -> Iterator[Callable[[], bool]]:
    """A table that nobody may read meanwhile, so that pg_dump waits; yields whether one waits."""
    name = sql.Identifier(table)
    with psycopg.connect(dsn, autocommit=True) as watcher, psycopg.connect(dsn) as holder:
        watcher.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {} (id int)").format(name))
        holder.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(name))

        def waits() -> bool:
            row = watcher.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                                  "AND query LIKE 'LOCK TABLE%' AND datname = current_database()"
                                  ).fetchone()
            return row is not None and row[0] > 0

        try:
            yield waits
        finally:
            with suppress(psycopg.OperationalError):  # the server may have been stopped meanwhile
                holder.rollback()


def find_dumps(dsn: str) -> list[int]:
    """The running pg_dump of this very database, told by the variables they were given."""
    name = f"PGDATABASE={dsn.rpartition('/')[2]}"
    return [pid for pid in _running("pg_dump") if name in _environ(pid)]


def _running(program: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "comm").read_text().strip() == program \
                    and "\nState:\tZ" not in (entry / "status").read_text():
                found.append(int(entry.name))
    return found


def _environ(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_text(errors="replace")
    return ""


@pytest.fixture(scope="module")
def site(servers: Callable[..., World], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Settings of a small NightScan of one module's own, with short times, and no offsite store."""
    world = servers("postgres", "redis", "broker", "s3", "gpg")
    folder = tmp_path_factory.mktemp("site")
    name = f"site_{secrets.token_hex(4)}"
    trees = Trees(folder)
    trees.create()
    (folder / "tmp").mkdir()
    given = world.environ()
    for url in (given["REDIS_URL"], given["NIGHTSCAN_BROKER_URL"]):
        with redis.Redis.from_url(url) as server:
            server.flushall()
    environ = {key: value for key, value in given.items() if not key.startswith("AWS_BACKUP")} | {
        "NIGHTSCAN_ROOT": str(trees.root), "NIGHTSCAN_ETC": str(trees.etc),
        "NIGHTSCAN_BACKUP_DIR": str(trees.backups), "NIGHTSCAN_TEMP_DIR": str(folder / "tmp"),
        "NIGHTSCAN_DATABASE_URI": world.dsn(name), **_SHORT}
    with psycopg.connect(world.superuser_dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER nightscan").format(sql.Identifier(name)))
        sample.fill(Target.of(environ), _SMALL_BYTES, now=datetime.now(UTC))
        yield environ
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """`until(seen, "what for", meanwhile=, every=)`: wait for a condition."""
    return wait_until


@pytest.fixture(scope="session")
def held() -> Callable[..., Any]:
    """`with held(dsn) as waits`: a table is locked, so that a dump of the database waits."""
    return hold_table


@pytest.fixture(scope="session")
def dumping() -> Callable[[str], list[int]]:
    """The ids of the pg_dump that run for a database."""
    return find_dumps


@pytest.fixture(scope="module")
def crews() -> Iterator[Callable[..., Crew]]:
    """`crews(folder, environ)`: nobody yet; whoever is hired is gone at the module's end."""
    made: list[Crew] = []

    def make(folder: Path, environ: Mapping[str, str]) -> Crew:
        folder.mkdir(exist_ok=True)
        made.append(Crew(folder, dict(environ)))
        return made[-1]

    yield make
    for crew in made:
        crew.close()


@pytest.fixture(scope="module")
def crew(site: dict[str, str], crews: Callable[..., Crew], tmp_path_factory: pytest.TempPathFactory) -> Crew:
    """Two workers for `site`: `fast`, and `rest` for everything else."""
    crew = crews(tmp_path_factory.mktemp("crew"), site)
    starting = [crew.start("fast", "fast"), crew.start("rest", "heavy", "control", "restore", concurrency=2)]
    for hand in starting:
        hand.ready()
    return crew
