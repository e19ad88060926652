"""A database beside the live one: made, filled, and put in its place in one step.

The live database is only touched by `swap`, which either happens as a whole or not at all: both
renames are one transaction, and whoever connects meanwhile waits for its end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import cast

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from nightscan_tasks import programs
from nightscan_tasks.components.postgres import Connection, connect, environment, explain, where
from nightscan_tasks.errors import ProcessFailed, RestoreRefused, SourceRefused
from nightscan_tasks.model import Buffer, Json
from nightscan_tasks.process import Program

STAGED = "nightscan_staged_"
_NAME_BYTES = 63
_HEAD_BYTES = 4096
_PAUSE_SECONDS = 0.05
_TRANSACTION_TIMEOUT = b"SET transaction_timeout = 0;\n"
_OLDEST_WITH_TRANSACTION_TIMEOUT = 170000
# From these on psql knows the \restrict that a dump begins with.
_RESTRICT = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}


@dataclass(frozen=True)
class Swapped:
    """The live name now means the new database; `old_name` is what was live, None if nothing was."""

    database: str
    old_name: str | None


@contextmanager
def maintenance(dsn: SecretStr) -> Iterator[Connection]:
    """A connection to a database of the same server that is not the target."""
    with _first(dsn, [name for name in ("postgres", "template1") if name != target_name(dsn)]
                ) as connection:
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


def reserve(connection: Connection, name: str) -> None:
    """Own `name` as long as the connection lives, and remove what dead restores left behind."""
    if not _lock(connection, name):
        raise RestoreRefused(f"another restore is filling {name} just now; wait for its end")
    names = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)",
                               (STAGED,)).fetchall()
    for (other,) in names:
        if other == name or _lock(connection, other):
            drop(connection, other)
            if other != name:
                connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (other,))


def _lock(connection: Connection, name: str) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))",
                             (name,)).fetchone()
    return bool(row and row[0])


def drop(connection: Connection, name: str) -> None:
    """Remove a database and end its sessions; one that is not there is no error."""
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def create(connection: Connection, name: str, wanted: Mapping[str, Json]) -> None:
    """An empty database with the encoding, collation and owner that were saved."""
    query = sql.SQL("CREATE DATABASE {} ").format(sql.Identifier(name)) + sql.SQL(" ").join(_options(wanted))
    try:
        connection.execute(query)
    except psycopg.Error as exc:
        raise RestoreRefused(
            f"a database as it was saved (encoding {wanted.get('encoding')}, collation "
            f"{wanted.get('collate')}, owner {wanted.get('owner')}) cannot be made here: "
            f"{str(exc).strip()}; nothing was changed: generate that locale on the server, or let a "
            f"superuser restore") from exc


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


def furnish(connection: Connection, name: str, wanted: Mapping[str, Json]) -> tuple[str, ...]:
    """Grants on the database and settings of it, which a dump leaves out; what failed, as notes."""
    database = sql.Identifier(name)
    notes = []
    grants = cast("list[tuple[str, str, bool]]", wanted.get("grants") or [])
    if grants:
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    for role, privilege, grantable in grants:
        statement = sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
            sql.SQL(privilege), database, sql.Identifier(role) if role else sql.SQL("PUBLIC"),
            sql.SQL(" WITH GRANT OPTION" if grantable and role else ""))
        notes += _try(connection, statement, f"grant of {privilege} to {role or 'everybody'}")
    for role, setting, value in cast("list[tuple[str, str, str]]", wanted.get("settings") or []):
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


def loader() -> programs.Tool:
    """A psql that understands what newer dumps begin with."""
    for tool in programs.candidates("psql"):
        major, minor = (*tool.version, 0)[:2]
        if minor >= _RESTRICT.get(major, 0) and major >= min(_RESTRICT):
            return tool
    return programs.find("psql", at_least=(max(_RESTRICT) + 1,))


def load(chunks: Iterable[Buffer], psql: programs.Tool, *, dsn: SecretStr, name: str) -> None:
    """Fill the database `name` in one transaction; the first error ends it.

    An error out of `chunks` passes through, and nothing was loaded.
    """
    with connect(dsn, database=name) as connection:
        env = environment(dsn, connection)
        version = connection.info.server_version
    env["PGOPTIONS"] = f"{env.get('PGOPTIONS', '')} -c default_transaction_read_only=off".strip()
    argv = [str(psql.path), "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1",
            "--single-transaction", "--output=/dev/null", "--file=-"]
    try:
        with Program(argv, env=env, stdin=True) as program:
            try:
                for chunk in _for_server(chunks, version):
                    program.write([chunk])
                program.stdin.close()
            except BrokenPipeError:
                pass  # its exit status says more than the broken pipe does
            program.finish()
    except ProcessFailed as exc:
        reason = explain(str(exc), where(dsn, database=name))
        if reason.transient:
            raise reason from exc
        raise RestoreRefused(f"the dump cannot be loaded; the live database was not touched: {exc}"
                             ) from exc


def _for_server(chunks: Iterable[Buffer], version: int) -> Iterator[Buffer]:
    """The dump, without the one line that a newer pg_dump writes and an older server refuses."""
    source = iter(chunks)
    if version < _OLDEST_WITH_TRANSACTION_TIMEOUT:
        head = b""
        for chunk in source:
            head += bytes(chunk)
            if len(head) >= _HEAD_BYTES:
                break
        yield head.replace(_TRANSACTION_TIMEOUT, b"", 1)
    yield from source


def swap(dsn: SecretStr, connection: Connection, staged: str) -> Swapped:
    """Give the staged database the live name, after ending the live one's sessions.

    While a rename waits for the last session, the server lets no new one in; so sessions are ended
    from a second connection meanwhile. `RestoreRefused` if they do not end: nothing is changed then.
    """
    target = target_name(dsn)
    row = connection.execute("SELECT oid FROM pg_database WHERE datname = %s", (target,)).fetchone()
    live = row[0] if row else None
    with maintenance(dsn) as second, ThreadPoolExecutor(1, "swap") as pool:
        renames = pool.submit(_rename, connection, target, staged)
        try:
            while not renames.done():
                _end_sessions(second, live)
                wait([renames], _PAUSE_SECONDS)
            return renames.result()
        except psycopg.Error as exc:
            raise RestoreRefused(_held(renames, target, exc)) from exc


def _rename(connection: Connection, target: str, staged: str) -> Swapped:
    with connection.transaction():
        row = connection.execute(
            "SELECT 'nightscan_before_' || to_char(clock_timestamp() AT TIME ZONE 'UTC', "
            "'YYYYMMDD\"T\"HH24MISSMS\"Z\"') FROM pg_database WHERE datname = %s", (target,)).fetchone()
        if row:
            _alter(connection, target, row[0])
        _alter(connection, staged, target)
    return Swapped(target, row[0] if row else None)


def _alter(connection: Connection, name: str, new_name: str) -> None:
    connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
        sql.Identifier(name), sql.Identifier(new_name)))


def _end_sessions(connection: Connection, database: int | None) -> None:
    connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datid = %s "
                       "AND backend_type = 'client backend'", (database,))


def _held(renames: Future[Swapped], target: str, error: psycopg.Error) -> str:
    refused = renames.exception()
    return (f"database {target} cannot be replaced now; nothing was changed: "
            f"{str(refused or error).strip()}; stop the application, or let a role with "
            f"pg_signal_backend restore")
