"""A dump becomes a database beside the live one: made, filled, compared with what was saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import psycopg
from pydantic import SecretStr

from nightscan_tasks.components import staged_database as staging
from nightscan_tasks.components.database_fingerprint import compare_fingerprints, fingerprint_database
from nightscan_tasks.components.database_load import load, loader
from nightscan_tasks.components.database_outlook import problems
from nightscan_tasks.components.database_swap import DatabaseSwap
from nightscan_tasks.components.postgres import Connection, connect, explained, where
from nightscan_tasks.components.restorer import Staged
from nightscan_tasks.components.roles import create_roles, require_roles
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.model import Buffer, Json

_DIFFERENCES_SHOWN = 20


@dataclass(frozen=True)
class Dump:
    """What a database is made of: the SQL of its roles, its own, and the fingerprint it has to have."""

    role_sql: str
    sql: Iterable[Buffer]
    expected: Mapping[str, Json]

    @property
    def wanted(self) -> Mapping[str, Json]:
        """What a new database needs before the dump can be loaded into it."""
        return cast("Mapping[str, Json]", self.expected.get("environment") or {})


def stage(dump: Dump, swap: DatabaseSwap, *, at: Callable[[str], None] = lambda _: None) -> Staged:
    """Fill the run's place from a dump and compare it; whatever fails removes it again.

    `at` is told the name of each step before it is done.
    """
    psql = loader()
    with swap.place() as connection:
        require(connection, swap.target, dump.wanted)
        missing = require_roles(connection, cast("list[str]", dump.wanted.get("roles") or []), dump.role_sql)
        at("clear")
        staging.sweep(connection, swap.staged)
        notes = create_roles(connection, missing, dump.role_sql)
        at("create")
        staging.create(connection, swap.staged, dump.wanted)
        try:
            at("load")
            load(dump.sql, psql, dsn=swap.dsn, name=swap.staged)
            at("compare")
            found = _compare(swap.dsn, swap.staged, dump.expected)
            notes += staging.furnish(connection, swap.staged, dump.wanted)
            at("mark")
            swap.mark_whole(connection, str(dump.wanted.get("comment") or ""))
        except BaseException:
            with suppress(psycopg.Error):  # the error that is on its way says more
                staging.drop(connection, swap.staged)
            raise
    return Staged(found, notes)


def require(connection: Connection, target: str, wanted: Mapping[str, Json]) -> None:
    """Find now what would stop the restore later."""
    found = list(problems(connection, target, wanted))
    if found:
        raise RestoreRefused("nothing was changed: " + "; ".join(found))


def _compare(dsn: SecretStr, name: str, expected: Mapping[str, Json]) -> dict[str, Json]:
    """The new database's fingerprint; `RestoreRefused` if it is not the one that was saved."""
    tables = cast("Mapping[str, Mapping[str, Json]]", expected.get("tables") or {})
    with connect(dsn, database=name) as connection, explained(where(dsn, database=name)):
        connection.execute("ANALYZE")
        found = fingerprint_database(connection, content=any("hash" in t for t in tables.values()))
    differences = compare_fingerprints(expected, found) if expected else []
    if differences:
        shown = "\n  ".join(differences[:_DIFFERENCES_SHOWN])
        raise RestoreRefused(f"the loaded database is not the one that was saved; the live one was "
                             f"not touched; {len(differences)} differences:\n  {shown}")
    return found
