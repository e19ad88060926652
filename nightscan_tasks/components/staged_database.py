"""A database beside the live one: its name, who owns it, making it and removing it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import cast

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from nightscan_tasks.components.database_marks import databases
from nightscan_tasks.components.database_rights import may_set, mighty_roles
from nightscan_tasks.components.postgres import Connection, connect
from nightscan_tasks.errors import Busy, RestoreRefused, SourceRefused
from nightscan_tasks.model import Json

STAGED = "nightscan_staged_"
_NAME_BYTES = 63
_PAUSE_SECONDS = 0.1
_PATIENCE = 100  # pauses


@contextmanager
def maintenance(dsn: SecretStr) -> Iterator[Connection]:
    """A connection to a database of the same server that is not the target."""
    with _first(dsn, [name for name in ("postgres", "template1") if name != target_name(dsn)]
                ) as connection:
        # It holds locks for as long as a load takes.
        for name in ("statement_timeout", "lock_timeout", "idle_session_timeout", "transaction_timeout"):
            connection.execute("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = %s",
                               (name,))
        connection.execute("SET default_transaction_read_only = off")
        yield connection


def _first(dsn: SecretStr, names: list[str]) -> Connection:
    """A connection to the first of the databases that lets us in."""
    for name in names[:-1]:
        with suppress(SourceRefused):
            return connect(dsn, database=name)
    return connect(dsn, database=names[-1])


def target_name(dsn: SecretStr) -> str:
    """The database that a URI means."""
    given = conninfo_to_dict(dsn.get_secret_value())
    return str(given.get("dbname") or given.get("user") or "postgres")


def staged_name(run_id: str) -> str:
    """Where the run `run_id` stages; one run has one place."""
    name = f"{STAGED}{run_id}"
    if len(name.encode()) <= _NAME_BYTES:
        return name
    return STAGED + hashlib.sha256(run_id.encode()).hexdigest()[:32]


@contextmanager
def reserved(connection: Connection, name: str) -> Iterator[None]:
    """Own the place `name`: no other process stages, swaps or undoes there meanwhile.

    `Busy` if one still does after a while: a process that was killed is missed by its server soon.
    """
    for _ in range(_PATIENCE):
        if lock(connection, name):
            break
        time.sleep(_PAUSE_SECONDS)
    else:
        raise Busy(f"another process is working on {name} just now; try again after its end")
    try:
        yield
    finally:
        with suppress(psycopg.Error):  # a connection that is gone holds no lock
            unlock(connection, name)


def sweep(connection: Connection, name: str) -> None:
    """Remove what stands at `name`, and every half-filled database that nobody fills any more."""
    for found in databases(connection):
        if found.name == name:
            drop(connection, name)
        elif found.name.startswith(STAGED) and not found.mark.restored_by and lock(connection, found.name):
            drop(connection, found.name)
            unlock(connection, found.name)


def lock(connection: Connection, name: str) -> bool:
    """Try to own `name` as long as the connection lives; whether it did."""
    row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))",
                             (name,)).fetchone()
    return bool(row and row[0])


def unlock(connection: Connection, name: str) -> None:
    """Own `name` no more."""
    connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (name,))


def drop(connection: Connection, name: str) -> None:
    """Remove a database and end its sessions; one that is not there is no error."""
    removal = sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name))
    try:
        connection.execute(removal + sql.SQL(" WITH (FORCE)"))
    except psycopg.errors.InsufficientPrivilege:
        # Autovacuum is in it, which we may not end; without FORCE the server ends its own, and waits for it.
        connection.execute(removal)


def create(connection: Connection, name: str, wanted: Mapping[str, Json]) -> None:
    """An empty database with the encoding, collation and owner that were saved."""
    try:
        connection.execute(_creation(name, wanted))
    except psycopg.Error as exc:
        raise RestoreRefused(_not_made(wanted, exc)) from exc


def give(connection: Connection, name: str, wanted: Mapping[str, Json]) -> None:
    """Let the database belong to its saved owner; to whoever is connected, where none was saved."""
    connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(
        sql.Identifier(name), sql.Identifier(str(wanted.get("owner") or connection.info.user))))


def creation_problem(connection: Connection, wanted: Mapping[str, Json]) -> str:
    """Why `create` would fail; empty if it would not. Nothing is made.

    A name that is taken is the last thing that the server looks at.
    """
    try:
        connection.execute(_creation(connection.info.dbname, wanted))
    except psycopg.errors.DuplicateDatabase:
        return ""
    except psycopg.Error as exc:
        return _not_made(wanted, exc)
    return ""


def _creation(name: str, wanted: Mapping[str, Json]) -> sql.Composed:
    return sql.SQL("CREATE DATABASE {} ").format(sql.Identifier(name)) + sql.SQL(" ").join(_options(wanted))


def _not_made(wanted: Mapping[str, Json], error: psycopg.Error) -> str:
    return (f"a database as it was saved (encoding {wanted.get('encoding')}, collation "
            f"{wanted.get('collate')}, owner {wanted.get('owner')}) cannot be made here: "
            f"{str(error).strip()}; nothing was changed: generate that locale on the server, or let a "
            f"superuser restore")


_OPTIONS = (
    ("owner", "OWNER {}"), ("encoding", "ENCODING {}"), ("collate", "LC_COLLATE {}"),
    ("ctype", "LC_CTYPE {}"),
)
_LOCALES = {"i": "LOCALE_PROVIDER icu ICU_LOCALE {}", "b": "LOCALE_PROVIDER builtin BUILTIN_LOCALE {}"}


def _options(wanted: Mapping[str, Json]) -> Iterator[sql.Composable]:
    yield sql.SQL("TEMPLATE template0")
    for key, option in _OPTIONS:
        if value := wanted.get(key):
            name = str(value)
            yield sql.SQL(option).format(sql.Identifier(name) if key == "owner" else name)
    locale = _LOCALES.get(str(wanted.get("provider")))
    if locale and wanted.get("locale"):
        yield sql.SQL(locale).format(str(wanted["locale"]))


_PRIVILEGES = {"CREATE", "CONNECT", "TEMPORARY"}


def furnish(connection: Connection, name: str, wanted: Mapping[str, Json]) -> tuple[str, ...]:
    """Grants on the database and settings of it, which a dump leaves out; what failed, as notes."""
    database = sql.Identifier(name)
    notes: list[str] = []
    mighty = mighty_roles(connection)
    grants = cast("list[tuple[str, str, bool]]", wanted.get("grants") or [])
    if grants:
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    for role, privilege, grantable in grants:
        if privilege not in _PRIVILEGES:
            raise RestoreRefused(f"the manifest was tampered with: there is no privilege {privilege!r} on a "
                                 f"database; nothing live was touched: choose another set")
        statement = sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
            sql.SQL(privilege), database, sql.Identifier(role) if role else sql.SQL("PUBLIC"),
            sql.SQL(" WITH GRANT OPTION" if grantable and role else ""))
        notes += _try(connection, statement, f"grant of {privilege} to {role or 'everybody'}")
    for role, setting, value in cast("list[tuple[str, str, str]]", wanted.get("settings") or []):
        if not may_set(connection, setting) or role in mighty:
            notes.append(f"not restored, since it may give more rights than the set should: setting {setting}"
                         f"{f' of role {role}' if role else ''}")
            continue
        whose = (sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), database) if role
                 else sql.SQL("DATABASE {}").format(database))
        # FROM CURRENT leaves the quoting of lists such as search_path to the server.
        statement = sql.SQL("SELECT set_config({}, {}, true); ALTER {} SET {} FROM CURRENT").format(
            setting, value, whose, sql.Identifier(*setting.split(".")))
        notes += _try(connection, statement, f"setting {setting}")
    return tuple(notes)


def _try(connection: Connection, statement: sql.Composed, what: str) -> list[str]:
    try:
        with connection.transaction():
            connection.execute(statement)
    except psycopg.Error as exc:
        return [f"not restored: {what}: {str(exc).strip().splitlines()[0]}"]
    return []
