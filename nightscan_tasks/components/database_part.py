"""A part of a database takes the place of what is live, and gives it back.

What is to come lies in schemas of its own in the live database, ready with rows, indexes and triggers.
One transaction moves what is live out, into schemas that are kept, and the new in; both go on by object
id, so everything that belongs to a table moves with it. Foreign keys that lead out of the part are
left off what is not live: they would hold rows that the application deletes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psycopg
from psycopg import sql
from pydantic import SecretStr

from nightscan_tasks.components.database_aside import (
    Aside,
    OuterKey,
    asides,
    drop_outer_keys,
    move,
    move_all,
    note,
    staged_prefix,
)
from nightscan_tasks.components.database_exchange import kept_name
from nightscan_tasks.components.database_selection import Name, Relation, closure, outside, relations
from nightscan_tasks.components.postgres import Connection, connect, explained, where
from nightscan_tasks.components.restorer import Position, Swapped
from nightscan_tasks.errors import RestoreRefused, SourceRefused

_NAME_BYTES = 63
_PATIENCE_SECONDS = 2.0
_PAUSE_SECONDS = 0.1
_LOCK_SECONDS = 30


@dataclass(frozen=True)
class PartSwap:
    """The steps of one run after staging, for a part of a database."""

    dsn: SecretStr
    run_id: str
    at: Callable[[str], None] = field(default=lambda _: None, compare=False, repr=False)

    @contextmanager
    def live(self) -> Iterator[Connection]:
        """A connection to the live database; errors say where it was."""
        with connect(self.dsn) as connection, explained(where(self.dsn)):
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("SET statement_timeout = 0")
            yield connection

    def there(self) -> bool:
        """Whether the live database holds anything of the run."""
        try:
            with self.live() as connection:
                return bool(asides(connection, self.run_id)) or bool(self._staged_names(connection))
        except SourceRefused:  # no such database, or one so damaged that nobody gets in
            return False

    def position(self) -> Position:
        """Where the run is."""
        with self.live() as connection:
            kinds = {aside.kind for aside in asides(connection, self.run_id)}
            if self._staged_names(connection):
                return Position.STAGED
            return (Position.SWAPPED if "before" in kinds else
                    Position.UNDONE if "undone" in kinds else Position.ABSENT)

    def discard(self) -> None:
        """As `Restorer.discard`."""
        with self.live() as connection:
            for name in self._staged_names(connection):
                _drop_schema(connection, name)

    def swap(self) -> Swapped:
        """As `Restorer.swap`."""
        with self.live() as connection:
            self._in_one(connection, lambda: self._swap(connection))
            return Swapped("schema " + ", ".join(aside.name for aside in asides(connection, self.run_id)))

    def undo(self) -> None:
        """As `Restorer.undo`."""
        self.discard()
        with self.live() as connection:
            self._in_one(connection, lambda: self._undo(connection))

    def accept(self) -> tuple[str, ...]:
        """As `Restorer.accept`."""
        with self.live() as connection, connection.transaction():
            gone = [aside for aside in asides(connection, self.run_id) if aside.kind != "staged"]
            everything = relations(connection).values()
            kept = {aside.name for aside in gone}
            mine = [each for each in everything if each.name.schema in kept]
            _require_alone(connection, [each.oid for each in mine])
            if more := sorted(map(str, set(closure(connection, [each.name for each in mine]).values())
                                  - set(mine))):
                raise RestoreRefused(f"{', '.join(more)} depends on what was kept; drop it first")
            for aside in gone:
                _drop_schema(connection, aside.name)
            return tuple(f"schema {aside.name}" for aside in gone)

    def _staged_names(self, connection: Connection) -> list[str]:
        return [name for (name,) in connection.execute(
            "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s) ORDER BY 1",
            (staged_prefix(self.run_id),))]

    def _swap(self, connection: Connection) -> None:
        mine = asides(connection, self.run_id)
        staged = [aside for aside in mine if aside.kind == "staged"]
        if not self._staged_names(connection) and any(aside.kind == "before" for aside in mine):
            return
        if not staged or not all(aside.whole for aside in staged):
            raise RestoreRefused(f"what run {self.run_id} staged in {where(self.dsn)} was not filled to "
                                 f"its end; nothing was changed: stage it again")
        self._move_in(connection, staged)

    def _undo(self, connection: Connection) -> None:
        before = [aside for aside in asides(connection, self.run_id) if aside.kind == "before"]
        if before:
            self._move_back(connection, before)

    def _move_in(self, connection: Connection, staged: Sequence[Aside]) -> None:
        of = {aside.name: aside.of for aside in staged}
        new = [each for each in relations(connection).values() if each.name.schema in of]
        places = {Name(of[each.name.schema], each.name.name) for each in new}
        old = closure(connection, places)
        if more := sorted(map(str, set(old) - places)):
            raise RestoreRefused(f"since it was staged, {', '.join(more)} came to depend on what is to be "
                                 f"replaced; nothing was changed: stage it again")
        _require_alone(connection, [each.oid for each in old.values()])
        stamp = kept_name(connection, "before")
        before = [Aside(_cut(f"{stamp}_{aside.of}"), self.run_id, "before", aside.of,
                        instead=tuple(each.oid for each in new if each.name.schema == aside.name))
                  for aside in staged]
        self._put_aside(connection, before, old.values())
        for aside in staged:
            self.at(f"move in {aside.of}")
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(aside.of)))
            move_all(connection, aside.name, aside.of)
            _drop_schema(connection, aside.name)
        for aside in staged:
            for key in aside.keys:
                _add_key(connection, aside.of, key)

    def _move_back(self, connection: Connection, before: Sequence[Aside]) -> None:
        ours = {oid for aside in before for oid in aside.instead}
        new = [each for each in relations(connection).values() if each.oid in ours]
        more = [each for each in closure(connection, [each.name for each in new]).values()
                if each.oid not in ours]
        if more:
            raise RestoreRefused(f"{', '.join(map(str, more))} was made since, and depends on what run "
                                 f"{self.run_id} restored; nothing was changed: drop it first")
        _require_alone(connection, ours)
        stamp = kept_name(connection, "undone")
        self._put_aside(connection, [Aside(_cut(f"{stamp}_{aside.of}"), self.run_id, "undone", aside.of)
                                     for aside in before], new)
        for aside in before:
            self.at(f"move back {aside.of}")
            move_all(connection, aside.name, aside.of)
            _drop_schema(connection, aside.name)
        for aside in before:
            for key in aside.keys:
                _add_key_again(connection, aside.of, key)

    def _put_aside(self, connection: Connection, places: Sequence[Aside], moved: Iterable[Relation]) -> None:
        """Move relations into new schemas, one for each that they are in, without their outer keys."""
        moved = list(moved)
        keys = drop_outer_keys(connection, [each.oid for each in moved])
        for place in places:
            mine = [each for each in moved if each.name.schema == place.of]
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(place.name)))
            note(connection, Aside(**{**vars(place), "keys": tuple(keys.get(place.of, ()))}))
            self.at(f"move out {place.of}")
            for each in mine:
                move(connection, each, place.name)

    def _in_one(self, connection: Connection, steps: Callable[[], None]) -> None:
        """Do steps in one transaction, or none; whoever holds a table for long is thrown out."""
        pid = connection.info.backend_pid
        with connect(self.dsn) as second, ThreadPoolExecutor(1, "part") as pool:
            moving = pool.submit(_transaction, connection, self.run_id, steps)
            wait([moving], _PATIENCE_SECONDS)
            while not moving.done():
                with suppress(psycopg.errors.InsufficientPrivilege):  # then the lock's timeout tells
                    second.execute("SELECT pg_terminate_backend(p) FROM unnest(pg_blocking_pids(%s)) p",
                                   (pid,))
                wait([moving], _PAUSE_SECONDS)
            moving.result()


def _transaction(connection: Connection, run_id: str, steps: Callable[[], None]) -> None:
    try:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", (run_id,))
            connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'".encode())
            steps()
    except psycopg.errors.LockNotAvailable as exc:
        raise RestoreRefused(f"a session that may not be ended holds a table; nothing was changed: "
                             f"{str(exc).strip()}; stop the application, or let a role with "
                             f"pg_signal_backend restore") from exc


def _add_key(connection: Connection, schema: str, key: OuterKey, *, more: str = "") -> None:
    statement = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}{}").format(
        sql.Identifier(schema, key.table), sql.Identifier(key.name), sql.SQL(key.definition), sql.SQL(more))
    try:
        connection.execute(statement)
    except (psycopg.errors.ForeignKeyViolation, psycopg.errors.UndefinedTable,
            psycopg.errors.InvalidForeignKey) as exc:
        raise RestoreRefused(f"{schema}.{key.table} does not fit the {key.leads_to} that is live: "
                             f"{str(exc).strip()}; nothing was changed: restore {key.leads_to} too, with "
                             f"--table {key.leads_to}") from exc


def _add_key_again(connection: Connection, schema: str, key: OuterKey) -> None:
    """Put back a key that was there; where rows left meanwhile, it holds for new ones only."""
    try:
        with connection.transaction():
            _add_key(connection, schema, key)
    except RestoreRefused:
        if not key.definition.endswith("NOT VALID"):
            _add_key(connection, schema, key, more=" NOT VALID")


def _require_alone(connection: Connection, oids: Iterable[int]) -> None:
    if found := outside(connection, oids):
        raise RestoreRefused(f"{'; '.join(found)}; nothing was changed: drop what depends first and make it "
                             f"again afterwards, or restore the whole database")


def _drop_schema(connection: Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))


def _cut(name: str) -> str:
    return name.encode()[:_NAME_BYTES].decode(errors="ignore")

