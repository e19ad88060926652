"""PostgreSQL with a database `nightscan`, owned by a role that is no superuser.

How it runs where we are root: see `components.postgres_server`.
"""

from __future__ import annotations

import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from nightscan_tasks.components.postgres_server import SUPERUSER, as_unprivileged, make_cluster
from nightscan_tasks.errors import ProcessFailed, WorldError
from nightscan_tasks.programs import ProgramMissing, Tool
from nightscan_tasks.world.service import HOST, NotReady, Ports, Tidy, embedded

ROLE = "nightscan"
DATABASE = "nightscan"
_NOBODYS_PID = 2**31 - 1  # above the largest that Linux gives out, 2**22
_ASK_SECONDS = 2
# A world may be lost when the machine loses power, but not when a process is killed: so no fsync.
_CONFIG = f"""
listen_addresses = '{HOST}'
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
fsync = off
full_page_writes = off
max_wal_size = '4GB'
shared_buffers = '128MB'
max_connections = 60
jit = off
logging_collector = off
timezone = 'UTC'
log_timezone = 'UTC'
"""


@dataclass(frozen=True)
class Postgres(Tidy):
    """One server in `home`, with the passwords of its superuser and of the application's role."""

    home: Path
    superuser_password: str
    role_password: str

    name = "postgres"
    port_names = ("postgres",)
    stop_signal = signal.SIGINT  # "fast": sessions are ended, data is written
    patience_seconds = 20.0

    @property
    def tool(self) -> Tool:
        """The server; `initdb` lies beside it."""
        return embedded("postgres")

    @property
    def data(self) -> Path:
        """The cluster."""
        return self.home / "data"

    def prepare(self) -> None:
        """Make the cluster, whole or not at all."""
        if not (self.data / "PG_VERSION").exists() or not (self.home / "made").exists():
            shutil.rmtree(self.data, ignore_errors=True)
            self._initdb()
            (self.home / "made").touch()
        self._forget_the_dead()

    def argv(self, ports: Ports) -> list[str]:
        """The server in the foreground."""
        return [*as_unprivileged(self.tool, self.home), str(self.tool.path), "-D", str(self.data),
                "-p", str(ports["postgres"])]

    def check(self, ports: Ports) -> None:
        """The role can log in to its database; the first time, both are made."""
        try:
            with psycopg.connect(self.superuser_dsn(ports), connect_timeout=_ASK_SECONDS,
                                 autocommit=True) as connection:
                self._make_database(connection)
            with psycopg.connect(self.dsn(ports), connect_timeout=_ASK_SECONDS) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as exc:
            raise NotReady(str(exc).strip()) from exc

    def dsn(self, ports: Ports, database: str = DATABASE) -> str:
        """How the application's role reaches a database, password included."""
        return (f"postgresql://{ROLE}:{quote(self.role_password, safe='')}@{HOST}:"
                f"{ports['postgres']}/{database}")

    def superuser_dsn(self, ports: Ports, database: str = "postgres") -> str:
        """How the superuser reaches a database, password included."""
        return (f"postgresql://{SUPERUSER}:{quote(self.superuser_password, safe='')}@{HOST}:"
                f"{ports['postgres']}/{database}")

    def _forget_the_dead(self) -> None:
        """Let no lock of a killed server name a process: its id may be another program's by now.

        The rest of the lock stays: by it PostgreSQL sees whether children of the dead still write.
        """
        lock = self.data / "postmaster.pid"
        if lock.exists():
            _, _, rest = lock.read_text().partition("\n")
            lock.write_text(f"{_NOBODYS_PID}\n{rest}")

    def _make_database(self, connection: psycopg.Connection) -> None:
        """The role may make databases, as a restore beside the live one needs it, and no more."""
        if not _exists(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", ROLE):
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(
                sql.Identifier(ROLE), sql.Literal(self.role_password)))
        if not _exists(connection, "SELECT 1 FROM pg_database WHERE datname = %s", DATABASE):
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(
                sql.Identifier(DATABASE), sql.Identifier(ROLE)))

    def _initdb(self) -> None:
        try:
            make_cluster(self.tool, self.data, password=self.superuser_password, locale="C")
        except (ProcessFailed, ProgramMissing) as exc:
            raise WorldError(f"postgres: {exc}") from exc
        with (self.data / "postgresql.conf").open("a") as config:
            config.write(_CONFIG)


def _exists(connection: psycopg.Connection, query: str, name: str) -> bool:
    return connection.execute(query.encode(), (name,)).fetchone() is not None
