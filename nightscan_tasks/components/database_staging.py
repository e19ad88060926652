"""A dump becomes a database beside the live one: made, filled, compared with what was saved."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import cast

import psycopg

from nightscan_tasks.components import staged_database as staging
from nightscan_tasks.components.database_extensions import open_extensions
from nightscan_tasks.components.database_filler import Filler, filler, sweep_fillers
from nightscan_tasks.components.database_fingerprint import compare_fingerprints, fingerprint_database
from nightscan_tasks.components.database_guard import Guard
from nightscan_tasks.components.database_handover import borrow_public, hand_over
from nightscan_tasks.components.database_load import load
from nightscan_tasks.components.database_outlook import problems
from nightscan_tasks.components.database_psql import load_by_psql, loader
from nightscan_tasks.components.database_script import Item, NotUnderstood
from nightscan_tasks.components.database_swap import DatabaseSwap
from nightscan_tasks.components.postgres import Connection, connect, explained, where
from nightscan_tasks.components.restorer import Staged
from nightscan_tasks.components.roles import create_roles, require_roles
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.model import Buffer, Json

_DIFFERENCES_SHOWN = 20


@dataclass(frozen=True)
class Dump:
    """What a database is made of: the SQL of its roles, its own, and the fingerprint it has to have.

    `script` is its SQL as it was written, for psql; None where it is in another format.
    """

    role_sql: str
    items: Callable[[], AbstractContextManager[Iterable[Item]]]
    expected: Mapping[str, Json]
    script: Callable[[], AbstractContextManager[Iterable[Buffer]]] | None = None

    @property
    def wanted(self) -> Mapping[str, Json]:
        """What a new database needs before the dump can be loaded into it."""
        return wanted_environment(self.expected)


def wanted_environment(expected: Mapping[str, Json]) -> Mapping[str, Json]:
    """What a fingerprint says of the database as a whole: encoding, owner, extensions and the like."""
    return cast("Mapping[str, Json]", expected.get("environment") or {})


@dataclass(frozen=True)
class Loading:
    """How a dump is loaded: over `jobs` connections; `extensions` may be made though only superusers may.

    `unguarded`: its statements run as they are, with all the rights of the connecting role.
    """

    jobs: int = 2
    extensions: tuple[str, ...] = ()
    unguarded: bool = False


def stage(dump: Dump, swap: DatabaseSwap, loading: Loading) -> Staged:
    """Fill the run's place from a dump and compare it; whatever fails removes it again."""
    with filled(dump, swap, loading) as (connection, staged, _):
        notes = staging.furnish(connection, swap.staged, dump.wanted)
        swap.at("mark")
        swap.mark_whole(connection, str(dump.wanted.get("comment") or ""))
    return replace(staged, notes=staged.notes + notes)


@contextmanager
def filled(dump: Dump, swap: DatabaseSwap, loading: Loading) -> Iterator[tuple[Connection, Staged, Filler]]:
    """The run's place, filled and compared, not yet marked; an error removes it, here and in the context."""
    with swap.place() as connection:
        extensions = open_extensions(connection, swap.dsn, loading.extensions)
        if found := list(problems(connection, swap.target, dump.wanted, role_sql=dump.role_sql,
                                  extensions=None if loading.unguarded else extensions)):
            raise RestoreRefused("nothing was changed: " + "; ".join(found))
        missing = require_roles(connection, cast("list[str]", dump.wanted.get("roles") or []), dump.role_sql)
        swap.at("clear")
        staging.sweep(connection, swap.staged)
        sweep_fillers(connection, swap.dsn)
        with filler(connection, swap.dsn, swap.run_id, unguarded=loading.unguarded) as hand:
            notes = create_roles(connection, missing, dump.role_sql)
            swap.at("create")
            work = _Filling(dump, swap, connection, hand, loading.jobs, extensions)
            staging.create(connection, swap.staged, work.created)
            try:
                staged = work.fill()
                yield connection, replace(staged, notes=notes + staged.notes), work.hand
            except BaseException:
                with suppress(psycopg.Error):  # the error that is on its way says more
                    staging.drop(connection, swap.staged)
                raise


@dataclass
class _Filling:
    """One new database while it is filled."""

    dump: Dump
    swap: DatabaseSwap
    connection: Connection
    hand: Filler
    jobs: int
    extensions: Collection[str]

    @property
    def created(self) -> Mapping[str, Json]:
        """What the new database is made as: until it is handed over it belongs to whoever fills it."""
        return {**self.dump.wanted, "owner": self.hand.role} if self.hand.role else self.dump.wanted

    def fill(self) -> Staged:
        """Load, compare, hand over."""
        self.hand = self.hand.proved(self.swap.staged)
        self.swap.at("load")
        if not self.hand.guarded:
            notes = self._load_as_it_is()
            self.swap.at("compare")
            return Staged(_compare(self.hand, self.swap.staged, self.dump.expected), notes)
        with connect(self.swap.dsn, database=self.swap.staged) as administrator:
            guard = Guard(self.hand, administrator, self.extensions)
            public = borrow_public(administrator, self.hand.role) if self.hand.role else ()
            notes = self._load(guard)
            self.swap.at("compare")
            found = _compare(self.hand, self.swap.staged, self.dump.expected)
            if self.hand.role:
                notes += hand_over(administrator, self.hand.role, guard.later, self.dump.wanted,
                                   public=public)
        if self.hand.role:
            staging.give(self.connection, self.swap.staged, self.dump.wanted)
        return Staged(found, notes)

    def _load(self, guard: Guard) -> tuple[str, ...]:
        try:
            with self.dump.items() as dump:
                return load(dump, dsn=self.hand.dsn, name=self.swap.staged, jobs=self.jobs, guard=guard)
        except NotUnderstood as exc:
            raise RestoreRefused(
                f"the dump was tampered with, or was not made by pg_dump: {exc}; the live database was not "
                f"touched: choose another set; for a set whose origin is certain, --unguarded loads it by "
                f"psql") from exc

    def _load_as_it_is(self) -> tuple[str, ...]:
        """The fast way; a dump that is not understood goes the plain way, from its beginning."""
        try:
            with self.dump.items() as dump:
                return load(dump, dsn=self.hand.dsn, name=self.swap.staged, jobs=self.jobs)
        except NotUnderstood as exc:
            if self.dump.script is None:
                raise RestoreRefused(f"the dump is not as pg_dump writes one: {exc}; the live database was "
                                     f"not touched: `pg_restore` may still read it, as its RESTORE.md has it"
                                     ) from exc
            staging.drop(self.connection, self.swap.staged)
            staging.create(self.connection, self.swap.staged, self.created)
            with self.dump.script() as chunks:
                load_by_psql(chunks, loader(), dsn=self.hand.dsn, name=self.swap.staged)
            return ()


def _analyze(connection: Connection) -> None:
    """Rough statistics, in a tenth of the time: nobody plans without any; autovacuum makes them fine."""
    connection.execute("SET default_statistics_target = 10")
    connection.execute("ANALYZE")


def _compare(hand: Filler, name: str, expected: Mapping[str, Json]) -> dict[str, Json]:
    """The new database's fingerprint; `RestoreRefused` if it is not the one that was saved.

    It is read by whoever filled it: what waits there to be called gets no other rights.
    """
    tables = cast("Mapping[str, Mapping[str, Json]]", expected.get("tables") or {})
    # Beside each other: one connection alone does not keep two processors busy.
    with ExitStack() as stack:
        with hand.admitted():
            connection, second = (stack.enter_context(connect(hand.dsn, database=name)) for _ in range(2))
        stack.enter_context(explained(where(hand.dsn, database=name)))
        pool = stack.enter_context(ThreadPoolExecutor(1, "analyze"))
        analyzing = pool.submit(_analyze, second)
        found = fingerprint_database(connection, content=any("hash" in t for t in tables.values()))
        analyzing.result()
    differences = compare_fingerprints(expected, found) if expected else []
    if differences:
        shown = "\n  ".join(differences[:_DIFFERENCES_SHOWN])
        raise RestoreRefused(f"the loaded database is not the one that was saved; the live one was "
                             f"not touched; {len(differences)} differences:\n  {shown}")
    return found
