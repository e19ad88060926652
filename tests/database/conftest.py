"""A real PostgreSQL for this folder: one cluster for all tests, a new database for each."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.rows import TupleRow
from pydantic import SecretStr

from nightscan_tasks import programs
from nightscan_tasks.components.base import Dump, Shared
from nightscan_tasks.components.database import Database
from nightscan_tasks.model import Report
from nightscan_tasks.settings import Settings

PASSWORD = "p@ss:/w ord%'\"\\é#?"
NOBODY = 65534
SERVER_OPTIONS = ("fsync=off", "shared_buffers=32MB", "max_connections=40", "autovacuum=off",
                  "log_min_messages=fatal", "wal_level=minimal", "max_wal_senders=0")


class Server:
    """A PostgreSQL below one folder, in the foreground, as an unprivileged user where we are root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        password = folder / "password"
        password.write_text(PASSWORD)
        self._user = NOBODY if os.geteuid() == 0 else None
        if self._user:
            for path in (folder, password):
                os.chown(path, NOBODY, NOBODY)
        initdb = programs.find("initdb", at_least=(18,))
        subprocess.run([initdb.path, "-D", self.data, "-U", "postgres", f"--pwfile={password}",
                        "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"],
                       check=True, stdout=subprocess.DEVNULL, **self._as_user())

    def _as_user(self) -> dict[str, object]:
        if self._user is None:
            return {}
        return {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": self.folder}

    def start(self) -> None:
        postgres = programs.find("postgres", at_least=(18,))
        options = [f"port={self.port}", "listen_addresses=127.0.0.1",
                   f"unix_socket_directories={self.folder}", *SERVER_OPTIONS]
        self.process = subprocess.Popen(
            [postgres.path, "-D", self.data, *(f"--{option}" for option in options)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            **self._as_user())
        while True:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                with pytest.raises(subprocess.TimeoutExpired):  # it still runs: ask again
                    self.process.wait(0.05)
            else:
                return

    def kill(self) -> None:
        """End the server at once, without a shutdown, and every process of it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
            self.process = None

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


def no_listing(*_: object) -> object:
    raise AssertionError("the database lists no files")


def drain(dump: Dump) -> dict[str, bytes]:
    return {stream.name: b"".join(map(bytes, stream.chunks)) for stream in dump.streams()}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Server]:
    # Not below tmp_path: that is closed to the unprivileged user, and too long for a socket's name.
    folder = Path(tempfile.mkdtemp(prefix="nightscan-pg-"))
    server = Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)


@pytest.fixture
def scratch(cluster: Server) -> Iterator[Scratch]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    with cluster.connect() as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    yield Scratch(cluster, name)
    with cluster.connect() as connection:
        drop(connection, [name for (name,) in connection.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE 'test\\_%' OR "
            "datname LIKE 'nightscan\\_%'")])
        roles = [role for (role,) in connection.execute(
            "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname LIKE 'test%'")]
        for role in roles:
            connection.execute(f"DROP ROLE {role}".encode())


def drop(connection: psycopg.Connection[TupleRow], names: Sequence[str]) -> None:
    for name in names:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
