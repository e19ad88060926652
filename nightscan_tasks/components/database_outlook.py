"""What stands in the way of a restore: asked of the server, without changing anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from pydantic import SecretStr

from nightscan_tasks.components.postgres import Connection, connect, explained, server_version, where
from nightscan_tasks.components.staged_database import target_name
from nightscan_tasks.errors import SourceRefused
from nightscan_tasks.model import Json
from nightscan_tasks.wording import size


def problems(connection: Connection, target: str, wanted: Mapping[str, Json]) -> Iterator[str]:
    """What would stop the database `target` from being replaced by one made as `wanted`, each with its
    remedy. `connection` is to another database of the server.
    """
    yield from _standby(connection)
    yield from _older(connection, wanted)
    yield from _forbidden(connection, target)
    yield from _prepared(connection, target)
    yield from _extensions(connection, wanted)


def _standby(connection: Connection) -> Iterator[str]:
    if _ask(connection, "SELECT pg_is_in_recovery()"):
        yield "the server is a standby, which takes no changes: restore to the primary server"


def _older(connection: Connection, wanted: Mapping[str, Json]) -> Iterator[str]:
    saved, here = str(wanted.get("server_version") or "0"), server_version(connection)
    major = saved.partition(".")[0]
    if int(here.partition(".")[0]) < int(major):
        yield f"the dump is of PostgreSQL {saved}, this server is {here}: restore to {major} or newer"


def _forbidden(connection: Connection, target: str) -> Iterator[str]:
    user = connection.info.user
    if not _ask(connection, "SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user"):
        yield f'{user} may not create databases: let a superuser run `ALTER ROLE "{user}" CREATEDB`'
    if _ask(connection, "SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = %s",
            target) is False:
        yield f"{user} does not own database {target}: let its owner or a superuser restore"


def _prepared(connection: Connection, target: str) -> Iterator[str]:
    row = connection.execute("SELECT count(*), min(gid) FROM pg_prepared_xacts WHERE database = %s",
                             (target,)).fetchone()
    count, gid = row or (0, "")
    if count:
        yield (f"{count} prepared transactions hold database {target}: end them, as "
               f"`ROLLBACK PREPARED '{gid}'`")


def _extensions(connection: Connection, wanted: Mapping[str, Json]) -> Iterator[str]:
    needed = set(cast("dict[str, str]", wanted.get("extensions") or {}))
    rows = connection.execute("SELECT name, default_version FROM pg_available_extensions").fetchall()
    missing = sorted(needed - {name for name, _ in rows})
    if missing:
        yield f"the server lacks the extensions {', '.join(missing)}: install their packages on its host"


def _ask(connection: Connection, query: str, *values: object) -> object:
    row = connection.execute(query.encode(), values).fetchone()
    return row[0] if row else None


def replaced(connection: Connection, dsn: SecretStr) -> tuple[str, int | None]:
    """For people, what is live now, and its bytes; nothing where there is no such database."""
    target = target_name(dsn)
    size_bytes = _ask(connection, "SELECT pg_database_size(oid) FROM pg_database WHERE datname = %s", target)
    if not isinstance(size_bytes, int):
        return "", None
    try:
        with connect(dsn) as live, explained(where(dsn)):
            tables = _ask(live, "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
                                "WHERE relkind IN ('r', 'p') AND nspname <> 'information_schema' "
                                "AND NOT starts_with(nspname, 'pg_')")
    except SourceRefused as exc:  # so damaged, perhaps, that it has to be restored
        return f"{where(dsn)}: {size(size_bytes)}, but it cannot be read: {exc}", size_bytes
    return f"{where(dsn)}: {tables} tables, {size(size_bytes)}", size_bytes
