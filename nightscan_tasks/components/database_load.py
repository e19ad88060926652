"""A plain dump goes into an empty database, over several connections at once.

The database is scratch until it takes its place, so no transaction holds it together: tables are made
in order, their rows are copied side by side, indexes are built side by side, and then the foreign keys.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, nullcontext

import psycopg
from pydantic import SecretStr

from nightscan_tasks.components.database_crew import Crew, Job, StatementFailed
from nightscan_tasks.components.database_guard import Guard, Optional, shown
from nightscan_tasks.components.database_script import Item, ObjectBytes, Rows
from nightscan_tasks.components.postgres import Connection, connect, explain, where
from nightscan_tasks.errors import RestoreRefused

_PART = rb'(?:"(?:[^"]|"")*"|[\w$\x80-\xff]+)'
_NAME = _PART + rb"(?:\." + _PART + rb")?"
_SETTING = re.compile(rb"SET |SELECT pg_catalog\.set_config\(")
_INDEX = re.compile(rb"CREATE (?:UNIQUE )?INDEX " + _PART + rb" ON (?:ONLY )?(" + _NAME + rb")")
_ADD = rb"ALTER TABLE (?:ONLY )?(" + _NAME + rb")\s+ADD CONSTRAINT " + _PART
_KEY = re.compile(_ADD + rb" (?:PRIMARY KEY|UNIQUE|EXCLUDE) ")
_FOREIGN_KEY = re.compile(_ADD + rb" FOREIGN KEY \([^()]*\) REFERENCES (" + _NAME + rb")\(")
_RARE = re.compile(rb"(?:ALTER|COMMENT ON) (?:EVENT TRIGGER|PUBLICATION|SUBSCRIPTION) ")
_EXPECTED_UNKNOWN = b"SET transaction_timeout = "  # of a newer pg_dump's, and of no meaning here

# What is written here is compared before it counts, and written again if the server dies: no commit
# has to wait for the disk. The rest are the defaults of somebody who has waited long enough.
_OPTIONS = {
    "synchronous_commit": "off", "default_transaction_read_only": "off", "statement_timeout": "0",
    "lock_timeout": "0", "idle_in_transaction_session_timeout": "0", "idle_session_timeout": "0",
    "transaction_timeout": "0",
}
_INDEX_MEMORY = "greatest(pg_size_bytes(current_setting('maintenance_work_mem')), pg_size_bytes('256MB'))"


def load(dump: Iterable[Item], *, dsn: SecretStr, name: str, jobs: int, guard: Guard | None = None,
         ) -> tuple[str, ...]:
    """Fill the database `name` over so many connections; returns what had to be left out, as notes.

    `guard` decides on each statement; without one, all of them run as they are. `RestoreRefused` names
    the statement that failed; `NotUnderstood`, of `database_script`, asks for `psql`. Either way, and if an
    error comes out of `dump`, the database is half full.
    """
    notes: list[str] = []
    with ExitStack() as stack:
        with guard.admitted() if guard else nullcontext():
            crew = Crew([stack.enter_context(connected(dsn, name)) for _ in range(jobs)])
        source = guard.sifted(dump) if guard else iter(dump)
        try:
            for kind, group in itertools.groupby(source, _kind):
                kind(crew, group, notes)
        except StatementFailed as exc:
            raise _explained(exc, where(dsn, database=name),
                             limited=bool(guard and guard.filler.role)) from exc.__cause__
    return tuple(notes)


def connected(dsn: SecretStr, name: str) -> Connection:
    """A connection that is set for filling."""
    connection = connect(dsn, database=name, path="")
    connection.prepare_threshold = None
    for option, value in _OPTIONS.items():
        connection.execute("SELECT pg_catalog.set_config(name, %s, false) FROM pg_catalog.pg_settings "
                           "WHERE name = %s", (value, option))
    connection.execute(f"SELECT pg_catalog.set_config('maintenance_work_mem', {_INDEX_MEMORY} / 1024 "
                       "|| 'kB', false)".encode())
    return connection


_Handler = Callable[[Crew, Iterator[Item], list[str]], None]


def _kind(item: Item) -> _Handler:
    """Who does it: neighbours of one kind are done together, kinds one after the other."""
    if isinstance(item, Rows | ObjectBytes):
        return _copy
    if _SETTING.match(item):
        return _set
    if _INDEX.match(item) or _KEY.match(item):
        return _build_indexes
    if isinstance(item, Optional):
        return _if_allowed
    return _check_foreign_keys if _FOREIGN_KEY.match(item) else _in_order


def _in_order(crew: Crew, group: Iterator[Item], _notes: list[str]) -> None:
    for statement in _statements(group):
        crew.one(statement)


def _if_allowed(crew: Crew, group: Iterator[Item], notes: list[str]) -> None:
    for statement in _statements(group):
        try:
            crew.one(statement)
        except StatementFailed as exc:
            if isinstance(exc.__cause__, psycopg.errors.UndefinedObject) and _RARE.match(statement):
                continue  # it could not be made, and that was said
            if not isinstance(exc.__cause__, psycopg.errors.InsufficientPrivilege):
                raise
            notes.append(f"not restored, since only a superuser may: {shown(statement)}")


def _set(crew: Crew, group: Iterator[Item], notes: list[str]) -> None:
    for statement in _statements(group):
        try:
            crew.each(statement)
        except StatementFailed as exc:
            if not isinstance(exc.__cause__, psycopg.errors.UndefinedObject):
                raise
            if not statement.startswith(_EXPECTED_UNKNOWN):
                notes.append(f"left out, the server does not know it: {shown(statement)}")


def _copy(crew: Crew, group: Iterator[Item], _notes: list[str]) -> None:
    crew.fill(item for item in group if isinstance(item, Rows | ObjectBytes))


def _build_indexes(crew: Crew, group: Iterator[Item], _notes: list[str]) -> None:
    crew.build(Job(statement, _tables(_INDEX.match(statement) or _KEY.match(statement)))
               for statement in _statements(group))


def _check_foreign_keys(crew: Crew, group: Iterator[Item], _notes: list[str]) -> None:
    crew.build(Job(statement, _tables(_FOREIGN_KEY.match(statement))) for statement in _statements(group))


def _tables(match: re.Match[bytes] | None) -> frozenset[bytes]:
    return frozenset(match.groups()) if match else frozenset()


def _statements(group: Iterator[Item]) -> Iterator[bytes]:
    return (item for item in group if isinstance(item, bytes))


def _explained(error: StatementFailed, place: str, *, limited: bool) -> Exception:
    cause = error.__cause__
    reason = explain(str(cause), place)
    if reason.transient:
        return reason
    denied = limited and isinstance(cause, psycopg.errors.InsufficientPrivilege)
    advice = ("; a dump runs without the rights of a superuser: for a set whose origin is certain, "
              "--unguarded gives it those of the connecting role") if denied else ""
    return RestoreRefused(f"the dump cannot be loaded; the live database was not touched: "
                          f"{str(cause).strip()} in `{shown(error.statement)}`{advice}")
