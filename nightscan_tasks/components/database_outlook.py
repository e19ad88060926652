"""What stands in the way of a restore: asked of the server, without changing anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import cast

from pydantic import SecretStr

from nightscan_tasks.components.database_environment import collation_version
from nightscan_tasks.components.database_extensions import superusers_extensions
from nightscan_tasks.components.database_marks import databases
from nightscan_tasks.components.postgres import Connection, connect, explained, server_version, where
from nightscan_tasks.components.roles import require_roles
from nightscan_tasks.components.staged_database import (
    STAGED,
    creation_problem,
    lock,
    staged_name,
    target_name,
    unlock,
)
from nightscan_tasks.errors import RestoreRefused, SourceRefused
from nightscan_tasks.model import Json, Report
from nightscan_tasks.wording import size

_AVAILABLE = "SELECT name, default_version FROM pg_available_extensions"


def problems(connection: Connection, target: str, wanted: Mapping[str, Json], *, role_sql: str = "",
             extensions: Collection[str] | None = None) -> Iterator[str]:
    """What would stop the database `target` from being replaced by one made as `wanted`, each with its
    remedy. `connection` is to another database of the server; `role_sql` makes roles that are missing;
    `extensions` are those that a superuser may make for a dump, None: all.
    """
    yield from _standby(connection)
    yield from _older(connection, wanted)
    yield from _forbidden(connection, target)
    yield from _prepared(connection, target)
    yield from _extensions(connection, wanted, extensions)
    yield from _collations(connection, wanted)
    needed = cast("list[str]", wanted.get("roles") or [])
    try:
        missing = require_roles(connection, needed, role_sql)
    except RestoreRefused as exc:
        missing = needed
        yield str(exc)
    # A role that will be made can own nothing yet.
    asked = {**wanted, "owner": None} if wanted.get("owner") in missing else wanted
    if _may_create(connection) and (problem := creation_problem(connection, asked)):
        yield problem


def busy(connection: Connection, run_id: str) -> Iterator[str]:
    """Restores that are at work on this server now."""
    for found in databases(connection):
        if not found.name.startswith(STAGED) or found.name == staged_name(run_id):
            continue
        if lock(connection, found.name):
            unlock(connection, found.name)
        else:
            yield f"another restore is filling {found.name} just now: wait for its end"


def notes(connection: Connection, target: str, source: Report, *, run_id: str) -> Iterator[str]:
    """What does not stop a restore, and should be known."""
    wanted = cast("Mapping[str, Json]", source.fingerprint.get("environment") or {})
    there: dict[str, str] = dict(connection.execute(_AVAILABLE).fetchall())
    for name, version in sorted(cast("dict[str, str]", wanted.get("extensions") or {}).items()):
        if there.get(name, version) != version:
            yield f"extension {name} was {version}, and becomes {there[name]}, which this server makes"
    tool = source.versions.get("pg_dump", "").partition(".")[0]
    here = server_version(connection).partition(".")[0]
    if tool.isdigit() and int(tool) > int(here):
        yield (f"the dump was made by pg_dump {tool} and goes to PostgreSQL {here}: settings that are new "
               f"since are left out")
    saved, now = wanted.get("collation_version"), collation_version(connection, target)
    if saved and now and saved != now:
        yield (f"text sorted by the rules of {saved} when it was saved, and sorts by {now} here: indexes "
               f"are built anew in any case")
    for found in databases(connection):
        if found.name.startswith(STAGED) and found.mark.restored_by not in ("", run_id):
            yield f"{found.name} of run {found.mark.restored_by} waits to take its place, or to be discarded"


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
    if not _may_create(connection):
        yield f'{user} may not create databases: let a superuser run `ALTER ROLE "{user}" CREATEDB`'
    if _ask(connection, "SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = %s",
            target) is False:
        yield f"{user} does not own database {target}: let its owner or a superuser restore"


def _may_create(connection: Connection) -> bool:
    return bool(_ask(connection, "SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user"))


def _prepared(connection: Connection, target: str) -> Iterator[str]:
    row = connection.execute("SELECT count(*), min(gid) FROM pg_prepared_xacts WHERE database = %s",
                             (target,)).fetchone()
    count, gid = row or (0, "")
    if count:
        yield (f"{count} prepared transactions hold database {target}: end them, as "
               f"`ROLLBACK PREPARED '{gid}'`")


def _extensions(connection: Connection, wanted: Mapping[str, Json], allowed: Collection[str] | None,
                ) -> Iterator[str]:
    needed = set(cast("dict[str, str]", wanted.get("extensions") or {})) - {"plpgsql"}
    there: dict[str, str] = dict(connection.execute(_AVAILABLE).fetchall())
    if missing := sorted(needed - set(there)):
        yield f"the server lacks the extensions {', '.join(missing)}: install their packages on its host"
    closed = superusers_extensions(connection, wanted)
    if not _ask(connection, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        if closed:
            yield f"only a superuser may create the extensions {', '.join(closed)}: let one restore"
    elif allowed is not None and (closed := sorted({*closed} - {*allowed})):
        yield (f"the extensions {', '.join(closed)} may open the server's host to whoever made the dump, and "
               f"the live database has none of them: if they are wanted, name them in "
               f"NIGHTSCAN_RESTORE_EXTENSIONS={','.join(closed)}")


def _collations(connection: Connection, wanted: Mapping[str, Json]) -> Iterator[str]:
    needed = cast("list[str]", wanted.get("collations") or [])
    there = {name for (name,) in connection.execute("SELECT collname FROM pg_collation")}
    if missing := [name for name in needed if name not in there]:
        yield (f"columns sort by {', '.join(missing)}, which this server does not know: generate these "
               f"locales on its host, then let a superuser run "
               f"`SELECT pg_import_system_collations('pg_catalog')`, in template1 too")


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
