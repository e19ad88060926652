"""Between versions: a dump goes to its own and to a newer server, and not to an older one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import TupleRow
from pydantic import SecretStr

from nightscan_tasks import programs
from nightscan_tasks.components.database_restorer import DatabaseRestorer
from nightscan_tasks.components.scratch_postgres import ScratchPostgres, scratch_postgres
from nightscan_tasks.errors import RestoreRefused

OLDER = [tool.version[0] for tool in programs.candidates("postgres") if tool.version[0] < 17]
SITE = (
    "CREATE EXTENSION citext", "CREATE TYPE mood AS ENUM ('sad', 'happy')",
    ("CREATE TABLE t (id serial PRIMARY KEY, c citext, m mood, j jsonb, at timestamptz, n numeric, "
     "up int REFERENCES t, twice int GENERATED ALWAYS AS (2) STORED)"),
    ("INSERT INTO t SELECT g, 'C' || g, 'sad', '{}', '2026-01-01'::timestamptz + g * interval '1 s', "
     "g / 3.0, 1 FROM generate_series(1, 100) g"),
    "CREATE TABLE p (x int) PARTITION BY RANGE (x)", "CREATE TABLE p1 PARTITION OF p DEFAULT",
    "CREATE INDEX ON p (x)", "INSERT INTO p SELECT generate_series(1, 10)",
    "SELECT lo_from_bytea(0, '\\x00ff')",
)

pytestmark = pytest.mark.skipif(not OLDER, reason="this host has no older PostgreSQL")


class Older:
    """The older server, as the tests' `Scratch` wants one."""

    def __init__(self, server: ScratchPostgres) -> None:
        self.uri: Callable[[str], SecretStr] = server.uri

    def connect(self, database: str = "postgres") -> psycopg.Connection[TupleRow]:
        return psycopg.connect(self.uri(database).get_secret_value(), autocommit=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Older]:
    with scratch_postgres(OLDER[0], temp_dir=tmp_path_factory.mktemp("older")) as server:
        yield Older(server)


@pytest.fixture
def older(server: Older, scratch: Any) -> Iterator[Any]:
    with server.connect() as connection:
        connection.execute("CREATE DATABASE older TEMPLATE template0")
    yield type(scratch)(server, "older")
    with server.connect() as connection:
        connection.execute("DROP DATABASE older WITH (FORCE)")


def test_an_older_servers_dump_goes_to_a_newer_server(older: Any, scratch: Any) -> None:
    older.run(*SITE)
    saved = older.saved()
    restorer: DatabaseRestorer = scratch.restorer()
    assert restorer.examine(saved).problems == ()
    assert restorer.stage(saved).fingerprint["tables"] == saved.report.fingerprint["tables"]
    restorer.swap()
    assert scratch.rows("SELECT count(*) FROM t") == [(100,)]


def test_everything_works_on_an_older_server_too(older: Any) -> None:
    older.run(*SITE)
    saved = older.saved()
    older.run("DELETE FROM t WHERE id > 50")
    for options, count in (({"tables": ("t",)}, 50), ({}, 50)):
        restorer = older.restorer(**options)
        assert restorer.examine(saved).problems == ()
        restorer.stage(saved)
        restorer.swap()
        assert older.rows("SELECT count(*) FROM t") == [(100,)]
        restorer.undo()
        assert older.rows("SELECT count(*) FROM t") == [(count,)]
        assert len(restorer.accept()) == 1


def test_a_newer_servers_dump_is_refused_by_an_older_one(older: Any, scratch: Any) -> None:
    scratch.run("CREATE TABLE t (x int)")
    saved = scratch.saved()
    assert "restore to 18 or newer" in older.restorer().examine(saved).problems[0]
    with pytest.raises(RestoreRefused, match="restore to 18 or newer"):
        older.restorer().stage(saved)
