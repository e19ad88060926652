"""The database: `pg_dump` as a stream, and its fingerprint from the very snapshot of the dump.

The dump is plain SQL, or what pg_dump's directory format is made of (database_directory.py).

One connection exports the snapshot, keeps it open, and reads the fingerprint in a thread while
pg_dump streams; so the fingerprint costs hardly any time, and counts no row that the dump lacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field

import psycopg
from pydantic import SecretStr

from nightscan_tasks.components.base import Dump, PlainStream, Shared
from nightscan_tasks.components.database_contents import restore_tool
from nightscan_tasks.components.database_directory import DirectoryDump, sweep
from nightscan_tasks.components.database_fingerprint import fingerprint_database
from nightscan_tasks.components.postgres import (
    WATCHFUL,
    Connection,
    connect,
    environment,
    explain,
    explained,
    server_version,
    tool,
    where,
)
from nightscan_tasks.components.roles import Roles, dump_roles
from nightscan_tasks.errors import (
    DumpIncomplete,
    NightscanError,
    ProcessFailed,
    ProcessKilled,
    SourceUnavailable,
)
from nightscan_tasks.model import Chunks, Json, Report
from nightscan_tasks.process import Program
from nightscan_tasks.programs import Tool
from nightscan_tasks.settings import Settings

_LOCK_SECONDS = 60
_END_MARK = b"\n-- PostgreSQL database dump complete\n"
_TAIL_BYTES = 4096  # newer programs write a little more after the mark
_CANCEL_SECONDS = 5


@dataclass(frozen=True)
class Database:
    """The component `database`: `database.sql`, and `database.roles.sql` where roles may be read.

    Instead of the first, in the directory format, `database.data.tar` and `database.toc`.
    `lock_seconds` is how long it waits for a table that somebody holds locked.
    """

    settings: Settings
    lock_seconds: int = _LOCK_SECONDS
    name: str = field(default="database", init=False)

    def parts(self) -> tuple[str, ...]:
        """It is saved in one part."""
        return ("database",)

    def predicted_bytes(self, part: str) -> int:
        """What the database takes on the server's disk, in bytes; `part` is the only one."""
        del part
        dsn = self.settings.dsn
        with connect(dsn) as connection, explained(where(dsn)):
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        return int(row[0]) if row else 0

    @contextmanager
    def open(self, part: str, shared: Shared) -> Iterator[Dump]:
        """Take the snapshot, announce it, and hold it until the context is left."""
        del part
        dsn = self.settings.dsn
        sweep(self.settings.temp_dir)  # whatever the format is now
        with ExitStack() as stack:
            # Closed, not committed: a commit could fail, and hide the error that is on its way.
            connection = stack.enter_context(closing(connect(dsn)))
            pg_dump = tool("pg_dump", connection)
            with explained(where(dsn)):
                snapshot = _export_snapshot(connection, self.lock_seconds)
            shared.announce()
            yield _DatabaseDump(self, connection, snapshot, pg_dump, stack)


@dataclass
class _DatabaseDump:
    """One opened dump; the connection belongs to the fingerprint's thread from the first stream on."""

    database: Database
    connection: Connection
    snapshot: str
    pg_dump: Tool
    stack: ExitStack
    _fingerprint: Future[dict[str, Json]] | None = None
    _roles: Roles = field(default_factory=lambda: Roles(None))

    @property
    def _dsn(self) -> SecretStr:
        return self.database.settings.dsn

    def streams(self) -> Iterator[PlainStream]:
        """The dump, then the roles."""
        self._start_fingerprint()
        if self.database.settings.database_format == "directory":
            for stream in self._directory().streams():
                yield PlainStream(stream.name, self._explained(stream.chunks))
        else:
            yield PlainStream("database.sql", self._explained(self._read_dump()))
        with connect(self._dsn) as connection:
            self._roles = dump_roles(self._dsn, connection)
        if self._roles.sql is not None:
            yield PlainStream("database.roles.sql", iter([self._roles.sql]))

    def report(self) -> Report:
        """The fingerprint of the snapshot that the dump was read in."""
        if self._fingerprint is None:
            raise DumpIncomplete(f"{where(self._dsn)}: its report was asked for before its streams")
        with explained(where(self._dsn)):
            fingerprint = self._fingerprint.result()
        info = self.connection.info
        return Report(
            fingerprint=fingerprint, notes=self._roles.notes,
            versions={"postgresql": server_version(self.connection), "pg_dump": str(self.pg_dump)},
            facts={"database": info.dbname, "host": info.host, "port": info.port,
                   "roles_saved": self._roles.sql is not None,
                   **_mapping(fingerprint["environment"])})

    def _start_fingerprint(self) -> None:
        thread = self.stack.enter_context(ThreadPoolExecutor(1, "fingerprint"))
        self.stack.callback(_cancel, self.connection)
        self._fingerprint = thread.submit(fingerprint_database, self.connection,
                                          content=self.database.settings.content_hash)

    def _read_dump(self) -> Chunks:
        env = environment(self._dsn, self.connection)
        program = self.stack.enter_context(Program([*self._argv(), "--format=plain"], env=env))
        total_bytes, tail = 0, b""
        for chunk in program.chunks():
            total_bytes += len(chunk)
            tail = (tail + bytes(chunk[-_TAIL_BYTES:]))[-_TAIL_BYTES:]
            yield chunk
        if _END_MARK not in tail:
            raise DumpIncomplete(f"{where(self._dsn)}: the dump has no end mark after {total_bytes} "
                                 f"bytes, though pg_dump reported no error")

    def _directory(self) -> DirectoryDump:
        settings = self.database.settings
        pg_restore = restore_tool(str(self.pg_dump), beside=self.pg_dump.path)
        return DirectoryDump(self._argv(), environment(self._dsn, self.connection), settings.database_jobs,
                             settings.temp_dir, pg_restore.path, self.stack)

    def _explained(self, chunks: Chunks) -> Chunks:
        try:
            yield from chunks
        except ProcessFailed as exc:
            raise self._explain(exc) from exc

    def _argv(self) -> list[str]:
        encoding = self.connection.info.parameter_status("server_encoding")
        return [str(self.pg_dump.path), "--no-password",
                f"--dbname={' '.join(f'{name}={value}' for name, value in WATCHFUL.items())}",
                f"--snapshot={self.snapshot}",
                f"--lock-wait-timeout={self.database.lock_seconds}s",
                # Bytes of no known encoding cannot be called UTF-8.
                *([] if encoding == "SQL_ASCII" else ["--encoding=UTF8"])]

    def _explain(self, error: ProcessFailed) -> NightscanError:
        """A server that went away is worth another try, and so is a pg_dump that was killed."""
        if self.connection.broken:
            return SourceUnavailable(f"{where(self._dsn)}: the connection was lost: {error}")
        if isinstance(error, ProcessKilled):
            return error
        return explain(str(error), where(self._dsn))


def _mapping(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _export_snapshot(connection: Connection, lock_seconds: int) -> str:
    connection.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, "
                       "READ ONLY")
    for name in ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"):
        connection.execute("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = %s",
                           (name,))
    connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{lock_seconds}s",))
    connection.execute("BEGIN")
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    if row is None:
        raise psycopg.OperationalError("the server exported no snapshot")
    return str(row[0])


def _cancel(connection: Connection) -> None:
    """End the query that may still run, so that nobody waits for it."""
    with suppress(psycopg.Error):  # a server that is gone runs no query
        connection.cancel_safe(timeout=_CANCEL_SECONDS)
