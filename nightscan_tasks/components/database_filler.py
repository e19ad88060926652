"""Who runs the statements of a dump: a role of the run's own, which can do nothing outside of its target.

A superuser cannot hand its connection to a dump: whatever role it takes on, SQL can take it off again. So a
dump is loaded over connections of another login, which owns the new database, belongs to nobody, and goes
when the restore is over. It may log in only at the moments when we open a connection of it. Where the
connecting role itself is harmless, as the owner of the application's database is, it fills as itself.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from nightscan_tasks.components.database_rights import Rights, rights
from nightscan_tasks.components.postgres import Connection, connect, explained, where
from nightscan_tasks.components.staged_database import lock, maintenance, target_name, unlock
from nightscan_tasks.errors import NightscanError, RestoreRefused, SourceRefused

_PREFIX = "nightscan_restore_"
_OLDEST_WITH_SET_OPTION, _OLDEST_WITH_READERS = 160000, 140000
# Of the connecting role alone: its certificate, its password's file, what it sets for itself.
_OWN_OPTIONS = ("passfile", "sslcert", "sslkey", "sslpassword", "options", "service")
_LEFT = ("SELECT datname FROM pg_database WHERE datallowconn AND oid IN (SELECT dbid FROM pg_shdepend "
         "WHERE refclassid = 'pg_authid'::regclass "
         "AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = %s))")


@dataclass(frozen=True)
class Filler:
    """Whose rights the statements of a dump have. `role` is empty where they are the connecting role's.

    `reads_all` says that it may read, and only read, what is not its own. `guarded` says that statements
    which no dump has are refused.
    """

    dsns: tuple[SecretStr, ...]
    role: str = ""
    reads_all: bool = False
    guarded: bool = True
    _keeper: Connection | None = field(default=None, repr=False, compare=False)

    @property
    def dsn(self) -> SecretStr:
        """How it reaches the server."""
        return self.dsns[0]

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """It may log in meanwhile."""
        if self._keeper is None:
            yield
            return
        role = sql.Identifier(self.role)
        self._keeper.execute(sql.SQL("ALTER ROLE {} LOGIN").format(role))
        try:
            yield
        finally:
            self._keeper.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(role))

    def proved(self, database: str) -> Filler:
        """The same with the way that leads to `database`; `RestoreRefused` where it is let in by none."""
        if not self.role:
            return self
        problems: list[str] = []
        for dsn in self.dsns:
            try:
                with self.admitted():
                    connect(dsn, database=database).close()
            except SourceRefused as exc:
                problems.append(str(exc))
            else:
                return replace(self, dsns=(dsn,))
        raise RestoreRefused(
            f"the dump must not run with the rights of {self._keeper_name()}, and the role that was made to "
            f"load it is not let in: {'; '.join(problems)}; nothing live was touched: restore as the owner "
            f"of the database (it needs CREATEDB), or add `local all all scram-sha-256` or `host all all "
            f"127.0.0.1/32 scram-sha-256` to pg_hba.conf, or, for a set whose origin is certain, --unguarded")

    def _keeper_name(self) -> str:
        return self._keeper.info.user if self._keeper else ""


@contextmanager
def filler(connection: Connection, dsn: SecretStr, run_id: str, *, unguarded: bool = False,
           ) -> Iterator[Filler]:
    """Who fills for the run `run_id`, on the server that `connection` is to; a role that was made goes again.

    `RestoreRefused` where the connecting role has rights that a dump must not have, and may make no other.
    """
    ours = rights(connection)
    if unguarded:
        yield Filler((dsn,), guarded=False)
    elif ours.harmless:
        yield Filler((dsn,))
    elif not (ours.superuser or ours.makes_roles):
        raise RestoreRefused(
            f"{ours.role} may reach files or programs of the server's host, and a dump must not: nothing was "
            f"changed: restore as the owner of the database (it needs CREATEDB), or as a superuser, who can "
            f"make a role for it; or, for a set whose origin is certain, --unguarded")
    else:
        name = role_name(run_id)
        remove(connection, dsn, name)
        lock(connection, name)
        try:
            yield _made(connection, dsn, ours, name)
        finally:
            with suppress(psycopg.Error, NightscanError):  # it cannot log in, and the next restore removes it
                remove(connection, dsn, name)
            with suppress(psycopg.Error):
                unlock(connection, name)


@contextmanager
def reader(dsn: SecretStr) -> Iterator[SecretStr]:
    """How somebody reaches the database of `dsn` who may read everything there, and do nothing else.

    The same, where its own role is harmless. What is restored may have views where tables are expected,
    and what a view calls runs with the rights of whoever reads it.
    """
    with maintenance(dsn) as connection, explained(where(dsn)), \
            filler(connection, dsn, f"reading {secrets.token_hex(8)}") as hand:
        if not hand.reads_all:
            yield dsn
            return
        connection.execute(sql.SQL("GRANT pg_read_all_data TO {}").format(sql.Identifier(hand.role)))
        proved = hand.proved(target_name(dsn))
        with hand.admitted():
            yield proved.dsn


def role_name(run_id: str) -> str:
    """The role of the run `run_id`."""
    return _PREFIX + hashlib.sha256(run_id.encode()).hexdigest()[:24]


def _made(connection: Connection, dsn: SecretStr, ours: Rights, name: str) -> Filler:
    password = secrets.token_urlsafe(32)
    role = sql.Identifier(name)
    # Only the verifier is sent: statements are logged.
    verifier = connection.pgconn.encrypt_password(password.encode(), name.encode()).decode()
    connection.execute(sql.SQL(
        "CREATE ROLE {} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION {} PASSWORD {}").format(
            role, sql.SQL("BYPASSRLS" if ours.superuser else ""), verifier))
    connection.execute(sql.SQL("COMMENT ON ROLE {} IS 'loads a dump for a restore, and goes with it'").format(
        role))
    _share(connection, ours, role)
    reads_all = ours.superuser and connection.info.server_version >= _OLDEST_WITH_READERS
    return Filler(_ways(connection, dsn, name, password), name, reads_all, _keeper=connection)


def _share(connection: Connection, ours: Rights, role: sql.Identifier) -> None:
    """What the connecting role needs to act for the new one, and the new one to load what was saved."""
    if not ours.superuser:
        grant = sql.SQL("GRANT {} TO CURRENT_USER").format(role)
        if connection.info.server_version >= _OLDEST_WITH_SET_OPTION:
            grant += sql.SQL(" WITH INHERIT TRUE, SET TRUE")
        connection.execute(grant)
        return
    for (space,) in connection.execute("SELECT spcname FROM pg_tablespace "
                                       "WHERE NOT starts_with(spcname::text, 'pg_')").fetchall():
        connection.execute(sql.SQL("GRANT CREATE ON TABLESPACE {} TO {}").format(sql.Identifier(space), role))


def lend(live: Connection, hand: Filler, database: str, schemas: Sequence[str]) -> None:
    """Let it make schemas in a live database, and things in `schemas`; and read, which views have to."""
    role = sql.Identifier(hand.role)
    live.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(sql.Identifier(database), role))
    if hand.reads_all:
        live.execute(sql.SQL("GRANT pg_read_all_data TO {}").format(role))
    for (schema,) in live.execute("SELECT nspname FROM pg_namespace WHERE nspname = ANY (%s)",
                                  (list(schemas),)).fetchall():
        live.execute(sql.SQL("GRANT CREATE, USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), role))


def _ways(connection: Connection, dsn: SecretStr, name: str, password: str) -> tuple[SecretStr, ...]:
    """As we came; and by TCP where a socket may ask who the process is, and not for a password."""
    given = {key: value for key, value in conninfo_to_dict(dsn.get_secret_value()).items()
             if key not in _OWN_OPTIONS}
    info = connection.info
    given |= {"user": name, "password": password, "host": info.host, "port": info.port}
    if "," in str(given.get("hostaddr", "")):
        given["hostaddr"] = info.hostaddr
    ways = [given]
    if info.host.startswith(("/", "@")):
        ways.append({**given, "host": "127.0.0.1"})
    return tuple(SecretStr(make_conninfo("", **way)) for way in ways)


def remove(connection: Connection, dsn: SecretStr, name: str) -> None:
    """Remove a role that was made to fill, and what it may do or own in any database; none is no error."""
    role = sql.Identifier(name)
    if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).fetchone() is None:
        return
    for (database,) in connection.execute(_LEFT, (name,)).fetchall():
        with connect(dsn, database=database) as there, explained(where(dsn, database=database)):
            there.execute(sql.SQL("DROP OWNED BY {}").format(role))
    connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
    connection.execute(sql.SQL("DROP ROLE {}").format(role))


def sweep_fillers(connection: Connection, dsn: SecretStr) -> None:
    """Remove the roles of restores that died. One that cannot be removed may not log in, and stays."""
    names = [name for (name,) in connection.execute(
        "SELECT rolname::text FROM pg_roles WHERE starts_with(rolname::text, %s)", (_PREFIX,))]
    for name in names:
        if lock(connection, name):
            with suppress(psycopg.Error, NightscanError):
                remove(connection, dsn, name)
            unlock(connection, name)
