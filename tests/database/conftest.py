"""A real PostgreSQL for this folder: one cluster for all tests, a new database for each."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg.rows import TupleRow
from pydantic import SecretStr

from nightscan_tasks.components.base import Dump, Shared
from nightscan_tasks.components.database import Database
from nightscan_tasks.components.database_restorer import DatabaseRestorer
from nightscan_tasks.errors import ProcessFailed
from nightscan_tasks.model import Artifact, Report
from nightscan_tasks.process import Program
from nightscan_tasks.settings import Settings
from nightscan_tasks.world.postgres import Postgres

PASSWORD = "p@ss:/w ord%'\"\\é#?"


class Server:
    """A PostgreSQL below one folder, in the foreground, that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"  # where the server may make its socket
        self.port = free_port()
        self._postgres = Postgres(folder, superuser_password=PASSWORD, role_password="")
        self._postgres.prepare()
        self.program: Program | None = None

    def start(self) -> None:
        options = [f"--unix_socket_directories={self.folder}", "--autovacuum=off",
                   "--log_min_messages=panic"]
        self.program = Program([*self._postgres.argv({"postgres": self.port}), *options],
                               cwd=self.folder)
        while True:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                # Nothing comes until it ends, so that is a short pause, or the end.
                if select.select([self.program.stdout], [], [], 0.05)[0]:
                    self.program.finish()
            else:
                return

    def kill(self) -> None:
        """End the server at once, without a shutdown, and every process of it."""
        if self.program is not None:
            os.kill(self.program.pid, signal.SIGQUIT)
            with contextlib.suppress(ProcessFailed):
                self.program.finish()
            self.program.stop()
            self.program = None

    def uri(self, database: str = "postgres", *, user: str = "postgres",
            password: str = PASSWORD) -> SecretStr:
        return SecretStr(f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/"
                         f"{quote(database, safe='')}")

    def connect(self, database: str = "postgres") -> psycopg.Connection[TupleRow]:
        return psycopg.connect(self.uri(database).get_secret_value(), autocommit=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Scratch:
    """One database of a test's own."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name

    @property
    def dsn(self) -> SecretStr:
        return self.server.uri(self.name)

    def connect(self) -> psycopg.Connection[TupleRow]:
        return self.server.connect(self.name)

    def run(self, *statements: str) -> None:
        with self.connect() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with self.connect() as connection:
            return list(connection.execute(query.encode()).fetchall())

    def component(self, **settings: object) -> Database:
        lock_seconds = settings.pop("lock_seconds", 60)
        assert isinstance(lock_seconds, int)
        values = {"NIGHTSCAN_DATABASE_URI": self.dsn.get_secret_value(), **settings}
        return Database(Settings(**values), lock_seconds=lock_seconds)  # type: ignore[arg-type]

    def opened(self, *, announce: Callable[[], None] = lambda: None,
               **settings: object) -> AbstractContextManager[Dump]:
        shared = Shared(announce=announce, listing=no_listing)  # type: ignore[arg-type]
        return self.component(**settings).open("database", shared)

    def dump(self, **settings: object) -> tuple[dict[str, bytes], Report]:
        """Every stream of the component, and its report."""
        return self.dump_announcing(lambda: None, **settings)

    def dump_announcing(self, announce: Callable[[], None],
                        **settings: object) -> tuple[dict[str, bytes], Report]:
        with self.opened(announce=announce, **settings) as dump:
            return drain(dump), dump.report()

    def saved(self) -> Saved:
        """The same as something to restore from."""
        return Saved(*self.dump())

    def source(self, streams: dict[str, bytes], report: Report) -> Saved:
        return Saved(streams, report)

    def restorer(self, run_id: str = "r", **options: Any) -> DatabaseRestorer:
        return DatabaseRestorer(self.dsn, run_id, **options)


def no_listing(*_: object) -> object:
    raise AssertionError("the database lists no files")


def drain(dump: Dump) -> dict[str, bytes]:
    return {stream.name: b"".join(map(bytes, stream.chunks)) for stream in dump.streams()}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("pg"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def scratch(cluster: Server) -> Iterator[Scratch]:
    """An empty database; gone afterwards, with all that the test made beside it."""
    with made(cluster) as database:
        yield database
    with cluster.connect() as connection:
        drop(connection, [name for (name,) in connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, 'nightscan_') "
            "AND datname <> 'nightscan'")])
        for (role,) in connection.execute(
                "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname LIKE 'test%'").fetchall():
            connection.execute(f"DROP ROLE {role}".encode())


@pytest.fixture(scope="module")
def typed(cluster: Server) -> Iterator[Scratch]:
    """A database with types of its own, for tests that remove what they put into it."""
    with made(cluster) as database:
        database.run("CREATE TYPE mood AS ENUM ('sad', 'happy')", "CREATE TYPE pair AS (a int, b text)",
                     "CREATE DOMAIN email AS text", "CREATE TABLE a (x int)", "CREATE TABLE b (x int)",
                     "CREATE EXTENSION citext", "CREATE EXTENSION ltree",
                     "CREATE TABLE same AS SELECT 1 AS x")
        yield database


@contextlib.contextmanager
def made(cluster: Server) -> Iterator[Scratch]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    with cluster.connect() as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    try:
        yield Scratch(cluster, name)
    finally:
        with cluster.connect() as connection:
            drop(connection, [name])


def drop(connection: psycopg.Connection[TupleRow], names: Sequence[str]) -> None:
    for name in names:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


class Saved:
    """What a test saved, as a restorer's `Source`."""

    def __init__(self, streams: dict[str, bytes], report: Report) -> None:
        self.streams = streams
        self.report = report
        self.broken: Exception | None = None

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        return tuple(Artifact(f"{name}.gz", "database", "database", len(data), "", 0, "")
                     for name, data in sorted(self.streams.items()))

    @contextlib.contextmanager
    def open(self, artifact: Artifact) -> Iterator[Iterator[bytes]]:
        data = self.streams[artifact.name.removesuffix(".gz")]
        yield self._chunks(data)

    def _chunks(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), 4096):
            yield data[start:start + 4096]
        if self.broken:
            raise self.broken
