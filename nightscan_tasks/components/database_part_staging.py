"""A part of a dump becomes schemas of its own in the live database: filled, compared, touching nothing.

The whole dump is staged first, beside the live database, and compared with what was saved. There the
part is moved into schemas of its own, and these are copied, as they are, into the live database.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql
from pydantic import SecretStr

from nightscan_tasks.components.database_aside import Aside, drop_outer_keys, move, note, staged_prefix
from nightscan_tasks.components.database_crew import StatementFailed, run_statement
from nightscan_tasks.components.database_filler import Filler, lend
from nightscan_tasks.components.database_fingerprint import compare_fingerprints, fingerprint_part
from nightscan_tasks.components.database_guard import Guard, Optional
from nightscan_tasks.components.database_handover import hand_over
from nightscan_tasks.components.database_load import connected, load
from nightscan_tasks.components.database_part import PartSwap
from nightscan_tasks.components.database_script import items
from nightscan_tasks.components.database_selection import Name, Relation, Selection, closure, relations
from nightscan_tasks.components.database_staging import Dump, Loading, filled
from nightscan_tasks.components.database_swap import DatabaseSwap
from nightscan_tasks.components.postgres import Connection, connect, environment, explained, tool, where
from nightscan_tasks.components.restorer import Staged
from nightscan_tasks.components.staged_database import drop
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.model import Chunks, Json
from nightscan_tasks.process import Program

_THERE_ALREADY = (psycopg.errors.DuplicateSchema, psycopg.errors.DuplicateObject,
                  psycopg.errors.DuplicateFunction)


def stage_part(dump: Dump, selection: Selection, swap: DatabaseSwap, part: PartSwap,
               loading: Loading) -> Staged:
    """Fill the run's schemas in the live database; whatever fails removes them again."""
    part.discard()
    with filled(dump, swap, loading) as (connection, whole, hand):
        try:
            staged = _Cutting(selection, swap, part, loading.jobs, dump, hand).copy()
        except BaseException:
            part.discard()
            raise
        drop(connection, swap.staged)
    return replace(staged, notes=whole.notes + staged.notes)


@dataclass(frozen=True)
class _Cutting:
    """One part on its way from the staged database into the live one, by the hand that filled the first."""

    selection: Selection
    swap: DatabaseSwap
    part: PartSwap
    jobs: int
    dump: Dump
    hand: Filler

    @property
    def reader(self) -> SecretStr:
        """Who reads what was staged: whoever filled it, where the server knows roles that only read."""
        return self.hand.dsn if self.hand.reads_all else self.swap.dsn

    def copy(self) -> Staged:
        """Move the part aside in the staged database, and copy that into the live one."""
        dsn, name = self.swap.dsn, self.swap.staged
        with connect(dsn, database=name) as staged, explained(where(dsn, database=name)), \
                self.part.live() as live:
            chosen = choose(self.selection, staged=staged, live=live)
            self.part.at("set aside")
            with staged.transaction():
                places = self._set_aside(staged, chosen)
            if self.hand.role:
                lend(live, self.hand, self.swap.target, self.selection.schemas)
            notes, found = self._fill(staged, live, [place.name for place in places])
            self.part.at("mark part")
            with live.transaction():
                for place in places:
                    note(live, place)
        return Staged(found, notes)

    def _fill(self, staged: Connection, live: Connection, schemas: Sequence[str],
              ) -> tuple[tuple[str, ...], dict[str, Json]]:
        """What is read of the staged database is made in the live one, compared, and given to its owners."""
        guard = Guard(self.hand, live)
        notes = self._make_surroundings(staged, live, guard)
        self.part.at("copy")
        with self._dumped(staged, schemas) as chunks:
            notes += load(items(chunks), dsn=self.hand.dsn, name=self.swap.target, jobs=self.jobs,
                          guard=guard if self.hand.guarded else None)
        self.part.at("compare part")
        with self.hand.admitted(), connect(self.reader, database=self.swap.staged) as reading:
            expected = fingerprint_part(reading, schemas, content=True)
        with self.hand.admitted(), connect(self.hand.dsn, database=self.swap.target) as reading:
            found = fingerprint_part(reading, schemas, content=True)
        if differences := compare_fingerprints(expected, found):
            raise RestoreRefused(f"the copied part is not the one that was saved; nothing live was "
                                 f"touched: {'; '.join(differences)}")
        if self.hand.role:
            notes += hand_over(live, self.hand.role, guard.later, self.dump.wanted)
        _analyze(live, schemas)
        return notes, found

    def _set_aside(self, staged: Connection, chosen: Mapping[Name, Relation]) -> list[Aside]:
        keys = drop_outer_keys(staged, [each.oid for each in chosen.values()])
        places = []
        for number, schema in enumerate(sorted({name.schema for name in chosen})):
            place = Aside(f"{staged_prefix(self.part.run_id)}{number}", self.part.run_id, "staged", schema,
                          keys=tuple(keys.get(schema, ())), whole=True)
            staged.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(place.name)))
            for each in chosen.values():
                if each.name.schema == schema:
                    move(staged, each, place.name)
            places.append(place)
        return places

    def _make_surroundings(self, staged: Connection, live: Connection, guard: Guard) -> tuple[str, ...]:
        """Types and functions of whole schemas, where the live database lacks them."""
        notes = []
        for schema in self.selection.schemas:
            there = live.execute("SELECT FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
            if there is not None:  # what is said of owners would change what is live
                guard = Guard(self.hand, live)
            with self._dumped(staged, [schema], "--schema-only") as chunks, ExitStack() as stack:
                with self.hand.admitted():
                    made = stack.enter_context(connected(self.hand.dsn, self.swap.target))
                source = guard.sifted(items(chunks)) if self.hand.guarded else items(chunks)
                count = sum(_create(made, item, all_of_it=there is None)
                            for item in source if isinstance(item, bytes))
            if count:
                notes.append(f"schema {schema} lacked {count} things besides its tables, such as types and "
                             f"functions: they were created, and stay if the restore is undone")
        return tuple(notes)

    @contextmanager
    def _dumped(self, staged: Connection, schemas: Sequence[str], *options: str) -> Iterator[Chunks]:
        encoding = staged.info.parameter_status("server_encoding")
        patterns = ('--schema="' + schema.replace('"', '""') + '"' for schema in schemas)
        argv = [str(tool("pg_dump", staged).path), "--format=plain", "--no-password", *patterns, *options,
                *([] if encoding == "SQL_ASCII" else ["--encoding=UTF8"])]
        with ExitStack() as stack:
            with self.hand.admitted():
                with connect(self.reader, database=self.swap.staged) as reading:
                    env = environment(self.reader, reading)
                chunks = stack.enter_context(Program(argv, env=env)).chunks()
                first = bytes(next(chunks, b""))  # so it is connected
            yield itertools.chain([first], chunks)


def _analyze(live: Connection, schemas: Sequence[str]) -> None:
    for name, relation in relations(live).items():
        if name.schema in schemas and relation.kind in "rpm":
            live.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(name.schema, name.name)))


def choose(selection: Selection, *, staged: Connection, live: Connection) -> dict[Name, Relation]:
    """What has to be replaced together, as the staged database has it.

    `RestoreRefused` where something depends on it that was not saved: it would be left behind.
    """
    saved = relations(staged)
    names = selection.among(saved)
    while True:
        chosen = closure(staged, names)
        there = closure(live, chosen)
        if unsaved := [there[name] for name in sorted(set(there) - set(saved))]:
            raise RestoreRefused(f"{', '.join(map(str, unsaved))} depends on what is to be replaced, and was "
                                 f"made after the backup; nothing was changed: drop it first and make it "
                                 f"again afterwards, or restore the whole database")
        if set(there) <= set(chosen):
            return chosen
        names = set(chosen) | set(there)


def _create(connection: Connection, statement: bytes, *, all_of_it: bool) -> int:
    """Run a statement that makes something, unless it is there; 1 if it made it.

    What only changes something is run where all of its schema is new.
    """
    makes = statement.startswith(b"CREATE ")
    if not (makes or all_of_it or statement.startswith(b"SET ") or b"set_config" in statement):
        return 0
    try:
        run_statement(connection, statement)
    except StatementFailed as exc:
        denied = isinstance(exc.__cause__, psycopg.errors.InsufficientPrivilege)
        if isinstance(exc.__cause__, _THERE_ALREADY) or (denied and isinstance(statement, Optional)):
            return 0
        raise RestoreRefused(f"what the schema's tables need cannot be made; nothing live was touched: "
                             f"{exc.__cause__}") from exc.__cause__
    return int(makes and not statement.startswith(b"CREATE SCHEMA"))
