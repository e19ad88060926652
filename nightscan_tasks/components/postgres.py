"""Reaching a PostgreSQL: by psycopg for questions, by PG* variables for its own programs.

What is refused or unreachable is named by host, user and database, and never by its password.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo
from psycopg.rows import TupleRow
from pydantic import SecretStr

from nightscan_tasks import programs
from nightscan_tasks.errors import NightscanError, SourceRefused, SourceUnavailable

Connection = psycopg.Connection[TupleRow]

_CONNECT_SECONDS = 10
WATCHFUL = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3",
            "tcp_user_timeout": "60000"}
"""Options of a connection that is given up within a minute or so when the network falls silent: by default
whoever waits for an answer waits for hours. They have no PG* variable: programs take them with `--dbname`."""

_KEPT_VARIABLES = ("PATH", "HOME", "LD_LIBRARY_PATH", "KRB5CCNAME", "KRB5_CONFIG")
_AWAY = ("connection refused", "timeout expired", "timed out", "no such file or directory",
         "could not translate host name", "could not send", "could not receive", "network is",
         "no route to host", "connection reset", "connection not open", "broken pipe",
         "server closed the connection", "closed unexpectedly", "terminating connection",
         "connection is lost", "connection is closed", "starting up", "shutting down",
         "in recovery mode", "not yet accepting connections", "too many clients",
         "too many connections", "remaining connection slots")
# pg_dump waits for locks with a statement timeout.
_LATER = ("lock timeout", "statement timeout", "could not obtain lock", "concurrently dropped",
          "deadlock detected", "concurrently deleted", "tuple concurrently updated")
_REMEDIES = {
    "password": "check the password in NIGHTSCAN_DATABASE_URI or NIGHTSCAN_DB_PASSWORD",
    "pg_hba": "add a line for this host and user to the server's pg_hba.conf",
    'database "': "check the name in NIGHTSCAN_DATABASE_URI or NIGHTSCAN_DB_NAME",
    'role "': "check the user in NIGHTSCAN_DATABASE_URI or NIGHTSCAN_DB_USER",
    "permission denied": "grant it, for example with `GRANT pg_read_all_data TO …`",
    "row-level security": "dump as the tables' owner, or `ALTER ROLE … BYPASSRLS`",
}


def connect(dsn: SecretStr, *, database: str = "", path: str = "pg_catalog, pg_temp") -> Connection:
    """An autocommitting connection, to another database of that server if one is named.

    Names without a schema mean the server's own, whatever somebody put into `public` under such a name;
    an empty `path` leaves it to the server where they are looked for.
    `SourceUnavailable` where the server cannot be reached now, `SourceRefused` where it says no.
    """
    try:
        conninfo = make_conninfo(dsn.get_secret_value(), **_overrides(dsn, database))
    except psycopg.ProgrammingError:
        raise SourceRefused(_unreadable()) from None  # libpq's own words may quote the password
    with explained(where(dsn, database=database)):
        connection = psycopg.connect(conninfo, autocommit=True)
        if path:
            connection.execute("SELECT pg_catalog.set_config('search_path', %s, false)", (path,))
        return connection


def where(dsn: SecretStr, *, database: str = "") -> str:
    """For people: `database nightscan at localhost:5432 as nightscan`."""
    try:
        given = conninfo_to_dict(dsn.get_secret_value())
    except psycopg.ProgrammingError:
        raise SourceRefused(_unreadable()) from None
    user = given.get("user") or os.environ.get("PGUSER") or "the default user"
    name = database or given.get("dbname") or user
    host = given.get("host") or given.get("hostaddr") or "the local socket"
    return f"database {name} at {host}:{given.get('port') or 5432} as {user}"


@contextmanager
def explained(place: str) -> Iterator[None]:
    """What psycopg raises, as an error that says where it was and whether to try again."""
    try:
        yield
    except psycopg.Error as exc:
        raise explain(str(exc), place) from exc


def explain(message: str, place: str) -> NightscanError:
    """The error that a server's or a program's words stand for."""
    words = message.lower()
    if any(sign in words for sign in (*_AWAY, *_LATER)):
        return SourceUnavailable(f"{place}: {message.strip()}")
    remedies = [text for sign, text in _REMEDIES.items() if sign in words][:1]
    return SourceRefused("; ".join([f"{place}: {message.strip()}", *remedies]))


def environment(dsn: SecretStr, connection: Connection) -> dict[str, str]:
    """What lets PostgreSQL's programs reach the very server and database of `connection`.

    Each option that has a PG* variable is handed over in it, the password too.
    """
    env = {name: value for name, value in os.environ.items()
           if name in _KEPT_VARIABLES or name.startswith("PG")}
    for option in Conninfo.parse(dsn.get_secret_value().encode()):
        if option.val is not None and option.envvar is not None:
            env[option.envvar.decode()] = option.val.decode()
    if "," in env.get("PGHOSTADDR", ""):
        env["PGHOSTADDR"] = connection.info.hostaddr
    info = connection.info
    env |= {"PGHOST": info.host, "PGPORT": str(info.port), "PGUSER": info.user,
            "PGDATABASE": info.dbname, "PGAPPNAME": "nightscan", "LC_ALL": "C"}
    env.setdefault("PGCONNECT_TIMEOUT", str(_CONNECT_SECONDS))
    return env


def tool(name: str, connection: Connection) -> programs.Tool:
    """A client program that is not older than the server; `ProgramMissing` says what to install."""
    server = server_version(connection)
    try:
        return programs.find(name, at_least=(int(server.split(".")[0]),))
    except programs.ProgramMissing as exc:
        raise programs.ProgramMissing(f"the server is PostgreSQL {server}: {exc}") from exc


def server_version(connection: Connection) -> str:
    """As `18.1`."""
    number = connection.info.server_version
    return f"{number // 10000}.{number % 10000}"


def setting_all(connection: Connection, values: Mapping[str, str]) -> None:
    """Set options until the end of the transaction."""
    for name, value in values.items():
        connection.execute("SELECT pg_catalog.set_config(%s, %s, true)", (name, value))


def _overrides(dsn: SecretStr, database: str) -> dict[str, str]:
    given = conninfo_to_dict(dsn.get_secret_value())
    result = {"application_name": "nightscan", "client_encoding": "UTF8"}
    if not given.get("connect_timeout") and "PGCONNECT_TIMEOUT" not in os.environ:
        result["connect_timeout"] = str(_CONNECT_SECONDS)
    result |= {name: value for name, value in WATCHFUL.items() if not given.get(name)}
    return result | ({"dbname": database} if database else {})


def _unreadable() -> str:
    return ("NIGHTSCAN_DATABASE_URI cannot be read as a URI: write odd characters of the password as "
            "%XX, or use NIGHTSCAN_DB_PASSWORD and the other NIGHTSCAN_DB_*")
