"""Databases change their names in one transaction, however many sessions they have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass

import psycopg
from psycopg import sql
from pydantic import SecretStr

from nightscan_tasks.components.database_marks import Mark, Marked, write_mark
from nightscan_tasks.components.postgres import Connection
from nightscan_tasks.components.staged_database import maintenance
from nightscan_tasks.errors import RestoreRefused

_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Rename:
    """One database gets another name, and another mark below its comment."""

    database: Marked
    new_name: str
    mark: Mark
    comment: str | None = None
    """What people's comment becomes; None leaves it."""


def kept_name(connection: Connection, kind: str) -> str:
    """Where a database is kept that was live until now: `nightscan_before_20261123T020000123Z`."""
    row = connection.execute("SELECT %s || to_char(clock_timestamp() AT TIME ZONE 'UTC', "
                             "'YYYYMMDD\"T\"HH24MISSMS\"Z\"')", (f"nightscan_{kind}_",)).fetchone()
    return str(row[0]) if row else ""


def exchange(dsn: SecretStr, connection: Connection, renames: Sequence[Rename], *,
             at: Callable[[str], None] = lambda _: None) -> None:
    """Do all renames, in their order, or none; whoever is connected to one of the databases is thrown out.

    While a rename waits for the last session, the server lets no new one in; so sessions are ended
    from a second connection meanwhile. `RestoreRefused` if they do not end: nothing is changed then.
    `at` is told of each rename before it is done.
    """
    oids = [rename.database.oid for rename in renames]
    with maintenance(dsn) as second, ThreadPoolExecutor(1, "exchange") as pool:
        renaming = pool.submit(_rename, connection, renames, at)
        # One that may not be ended may end by itself: only the renaming knows how it went.
        with suppress(psycopg.errors.InsufficientPrivilege):
            while not renaming.done():
                _end_sessions(second, oids)
                wait([renaming], _PAUSE_SECONDS)
        try:
            renaming.result()
        except psycopg.Error as exc:
            if connection.broken:
                raise  # and nobody knows whether it was done: another try will see
            raise RestoreRefused(f"database {renames[0].database.name} cannot be replaced now; nothing was "
                                 f"changed: {str(exc).strip()}; stop the application, or let a role with "
                                 f"pg_signal_backend restore") from exc


def _rename(connection: Connection, renames: Sequence[Rename], at: Callable[[str], None]) -> None:
    with connection.transaction():
        for rename in renames:
            at(f"rename to {rename.new_name}")
            connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                sql.Identifier(rename.database.name), sql.Identifier(rename.new_name)))
            comment = rename.database.comment if rename.comment is None else rename.comment
            write_mark(connection, rename.new_name, comment, rename.mark)


def _end_sessions(connection: Connection, oids: list[int]) -> None:
    connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                       "WHERE datid::bigint = ANY (%s) AND backend_type = 'client backend'", (oids,))
