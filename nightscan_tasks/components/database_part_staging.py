"""A part of a dump becomes schemas of its own in the live database: filled, compared, touching nothing.

The whole dump is staged first, beside the live database, and compared with what was saved. There the
part is moved into schemas of its own, and these are copied, as they are, into the live database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql

from nightscan_tasks.components.database_aside import Aside, drop_outer_keys, move, note, staged_prefix
from nightscan_tasks.components.database_crew import StatementFailed, run_statement
from nightscan_tasks.components.database_fingerprint import compare_fingerprints, fingerprint_part
from nightscan_tasks.components.database_load import connected, load
from nightscan_tasks.components.database_part import PartSwap
from nightscan_tasks.components.database_script import items
from nightscan_tasks.components.database_selection import Name, Relation, Selection, closure, relations
from nightscan_tasks.components.database_staging import Dump, filled
from nightscan_tasks.components.database_swap import DatabaseSwap
from nightscan_tasks.components.postgres import Connection, connect, environment, explained, tool, where
from nightscan_tasks.components.restorer import Staged
from nightscan_tasks.components.staged_database import drop
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.model import Chunks
from nightscan_tasks.process import Program

_THERE_ALREADY = (psycopg.errors.DuplicateSchema, psycopg.errors.DuplicateObject,
                  psycopg.errors.DuplicateFunction)


def stage_part(dump: Dump, selection: Selection, swap: DatabaseSwap, part: PartSwap, *, jobs: int) -> Staged:
    """Fill the run's schemas in the live database; whatever fails removes them again."""
    part.discard()
    with filled(dump, swap, jobs=jobs) as (connection, whole):
        cutting = _Cutting(selection, swap, part, jobs)
        try:
            staged = cutting.copy()
        except BaseException:
            part.discard()
            raise
        drop(connection, swap.staged)
    return replace(staged, notes=whole.notes + staged.notes)


@dataclass(frozen=True)
class _Cutting:
    """One part on its way from the staged database into the live one."""

    selection: Selection
    swap: DatabaseSwap
    part: PartSwap
    jobs: int

    def copy(self) -> Staged:
        """Move the part aside in the staged database, and copy that into the live one."""
        dsn, name = self.swap.dsn, self.swap.staged
        with connect(dsn, database=name) as staged, explained(where(dsn, database=name)), \
                self.part.live() as live:
            chosen = choose(self.selection, staged=staged, live=live)
            self.part.at("set aside")
            with staged.transaction():
                places = self._set_aside(staged, chosen)
            notes = self._make_surroundings(staged, live)
            self.part.at("copy")
            schemas = [place.name for place in places]
            with self._dumped(staged, schemas) as chunks:
                notes += load(chunks, dsn=dsn, name=self.swap.target, jobs=self.jobs)
            self.part.at("compare part")
            expected = fingerprint_part(staged, schemas, content=True)
            found = fingerprint_part(live, schemas, content=True)
            if differences := compare_fingerprints(expected, found):
                raise RestoreRefused(f"the copied part is not the one that was saved; nothing live was "
                                     f"touched: {'; '.join(differences)}")
            _analyze(live, schemas)
            self.part.at("mark part")
            with live.transaction():
                for place in places:
                    note(live, place)
        return Staged(found, notes)

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

    def _make_surroundings(self, staged: Connection, live: Connection) -> tuple[str, ...]:
        """Types and functions of whole schemas, where the live database lacks them."""
        notes = []
        for schema in self.selection.schemas:
            there = live.execute("SELECT FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
            with self._dumped(staged, [schema], "--schema-only") as chunks, \
                    connected(self.swap.dsn, self.swap.target) as made:
                count = sum(_create(made, item, all_of_it=there is None)
                            for item in items(chunks) if isinstance(item, bytes))
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
        with Program(argv, env=environment(self.swap.dsn, staged)) as program:
            yield program.chunks()


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
        if isinstance(exc.__cause__, _THERE_ALREADY):
            return 0
        raise RestoreRefused(f"what the schema's tables need cannot be made; nothing live was touched: "
                             f"{exc.__cause__}") from exc.__cause__
    return int(makes and not statement.startswith(b"CREATE SCHEMA"))
