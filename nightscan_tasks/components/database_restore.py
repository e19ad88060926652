"""Putting a database back: fill a new one beside it, compare, and only then take its place.

Whatever goes wrong before the swap leaves the live database as it was, and removes the new one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import psycopg
from pydantic import SecretStr

from nightscan_tasks.components import staged_database as staging
from nightscan_tasks.components.database_fingerprint import compare_fingerprints, fingerprint_database
from nightscan_tasks.components.postgres import (
    Connection,
    connect,
    explained,
    server_version,
    where,
)
from nightscan_tasks.components.roles import create_roles, require_roles
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.model import Buffer, Json

_DIFFERENCES_SHOWN = 20


@dataclass(frozen=True)
class DatabaseRestored:
    """What is live now, and what was before; `old_name` is None if nothing was, or nothing is kept."""

    database: str
    fingerprint: Mapping[str, Json]
    old_name: str | None
    versions: Mapping[str, str]
    notes: tuple[str, ...]
    elapsed_seconds: float


def restore_database(sql: Iterable[Buffer], *, dsn: SecretStr | str, roles: Iterable[Buffer] | None,
                     expected: Mapping[str, Json], run_id: str,
                     keep_old: bool = True) -> DatabaseRestored:
    """Put a dump in the place of the live database, if it holds what `expected` (a fingerprint) says.

    The live one is kept as `nightscan_before_TIME`. `RestoreRefused` says what stands in the way:
    then nothing is changed, but roles that were missing may have been created. Errors out of `sql`
    pass through. A second call with the same `run_id` replaces what a dead first one left.
    """
    started = time.monotonic()
    target = dsn if isinstance(dsn, SecretStr) else SecretStr(dsn)
    wanted = cast("Mapping[str, Json]", expected.get("environment") or {})
    role_sql = b"".join(bytes(chunk) for chunk in roles or ()).decode()
    psql = staging.loader()
    name = staging.staged_name(run_id)
    with staging.maintenance(target) as connection, explained(where(target)):
        _require(connection, staging.target_name(target), wanted)
        missing = require_roles(connection, cast("list[str]", wanted.get("roles") or []), role_sql)
        staging.reserve(connection, name)
        notes = create_roles(connection, missing, role_sql)
        staging.create(connection, name, wanted)
        try:
            staging.load(sql, psql, dsn=target, name=name)
            found = _examine(target, name, expected)
            notes += staging.furnish(connection, name, wanted)
            swapped = staging.swap(target, connection, name)
        except BaseException:
            with suppress(psycopg.Error):  # the error that is on its way says more
                staging.drop(connection, name)
            raise
        if swapped.old_name and not keep_old:
            staging.drop(connection, swapped.old_name)
        return DatabaseRestored(
            database=swapped.database, fingerprint=found, notes=notes,
            old_name=swapped.old_name if keep_old else None,
            versions={"postgresql": server_version(connection), "psql": str(psql)},
            elapsed_seconds=time.monotonic() - started)


def _examine(dsn: SecretStr, name: str, expected: Mapping[str, Json]) -> dict[str, Json]:
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


def _require(connection: Connection, target: str, wanted: Mapping[str, Json]) -> None:
    """Find now what would stop the restore later."""
    problems = [*_older(connection, wanted), *_forbidden(connection, target),
                *_prepared(connection, target), *_extensions(connection, wanted)]
    if problems:
        raise RestoreRefused("nothing was changed: " + "; ".join(problems))


def _older(connection: Connection, wanted: Mapping[str, Json]) -> list[str]:
    saved, here = str(wanted.get("server_version") or "0"), server_version(connection)
    major = saved.partition(".")[0]
    if int(here.partition(".")[0]) >= int(major):
        return []
    return [f"the dump is of PostgreSQL {saved}, this server is {here}: restore to {major} or newer"]


def _forbidden(connection: Connection, target: str) -> list[str]:
    row = connection.execute(
        "SELECT rolsuper OR rolcreatedb, (SELECT pg_has_role(datdba, 'USAGE') "
        "FROM pg_database WHERE datname = %s) FROM pg_roles WHERE rolname = current_user",
        (target,)).fetchone()
    may_create, owns = row or (False, None)
    user = connection.info.user
    problems = [] if may_create else [
        f'{user} may not create databases: let a superuser run `ALTER ROLE "{user}" CREATEDB`']
    if owns is False:
        problems.append(f"{user} does not own database {target}: let its owner or a superuser restore")
    return problems


def _prepared(connection: Connection, target: str) -> list[str]:
    row = connection.execute("SELECT count(*), min(gid) FROM pg_prepared_xacts WHERE database = %s",
                             (target,)).fetchone()
    count, gid = row or (0, "")
    return [] if not count else [
        f"{count} prepared transactions hold database {target}: end them, as `ROLLBACK PREPARED '{gid}'`"]


def _extensions(connection: Connection, wanted: Mapping[str, Json]) -> list[str]:
    there = {name for (name,) in connection.execute("SELECT name FROM pg_available_extensions")}
    missing = sorted(set(cast("dict[str, str]", wanted.get("extensions") or {})) - there)
    return [] if not missing else [
        f"the server lacks the extensions {', '.join(missing)}: install their packages on its host"]
