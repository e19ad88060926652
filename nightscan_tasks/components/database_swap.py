"""A staged database takes the place of the live one, and gives it back.

Each step is one transaction of renames; who is who afterwards is read from the marks alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

import psycopg
from pydantic import SecretStr

from nightscan_tasks.components.database_exchange import Rename, exchange, kept_name
from nightscan_tasks.components.database_filler import remove, role_name
from nightscan_tasks.components.database_marks import (
    Mark,
    Marked,
    Traces,
    databases,
    traces,
    write_mark,
)
from nightscan_tasks.components.postgres import Connection, explained, where
from nightscan_tasks.components.restorer import Position, Swapped
from nightscan_tasks.components.staged_database import drop, maintenance, reserved, staged_name, target_name
from nightscan_tasks.errors import NightscanError, RestoreRefused


@dataclass(frozen=True)
class DatabaseSwap:
    """The steps of one run after staging, for a whole database."""

    dsn: SecretStr
    run_id: str
    at: Callable[[str], None] = field(default=lambda _: None, compare=False, repr=False)

    @property
    def target(self) -> str:
        """The name that applications connect to."""
        return target_name(self.dsn)

    @property
    def staged(self) -> str:
        """The name under which the run stages."""
        return staged_name(self.run_id)

    @contextmanager
    def place(self) -> Iterator[Connection]:
        """A connection beside the target that owns the run's place; errors say where it was."""
        with maintenance(self.dsn) as connection, explained(where(self.dsn)), \
                reserved(connection, self.staged):
            yield connection

    def traces(self, connection: Connection) -> Traces:
        """What the server has of the run."""
        return traces(databases(connection), self.run_id, target=self.target, staged=self.staged)

    def position(self) -> Position:
        """Where the run is."""
        with maintenance(self.dsn) as connection, explained(where(self.dsn)):
            return _position(self.traces(connection))

    def mark_whole(self, connection: Connection, comment: str) -> None:
        """Say of the staged database that it is filled and compared: only such a one is swapped in."""
        write_mark(connection, self.staged, comment, Mark(target=self.target, restored_by=self.run_id))

    def swap(self) -> Swapped:
        """As `Restorer.swap`."""
        with self.place() as connection:
            found = self.traces(connection)
            if found.staged is None:
                return self._swapped_already(found)
            if found.staged.mark.restored_by != self.run_id:
                raise RestoreRefused(f"{self.staged} was not filled to its end; nothing was changed: "
                                     f"stage it again")
            return self._swap(connection, found, found.staged)

    def undo(self) -> None:
        """As `Restorer.undo`. `RestoreRefused` where the old state, or its place, is not what was left."""
        with self.place() as connection:
            found = self.traces(connection)
            if found.staged is not None:
                drop(connection, self.staged)
            self._forget(connection)
            if _position(replace(found, staged=None)) is Position.SWAPPED:
                exchange(self.dsn, connection, list(self._undoing(connection, found)), at=self.at)

    def accept(self) -> tuple[str, ...]:
        """As `Restorer.accept`."""
        with self.place() as connection:
            found = self.traces(connection)
            gone = [found.restored] if found.undone and found.restored else list(found.kept)
            gone = [database for database in gone if database.name != self.target]
            for database in gone:
                drop(connection, database.name)
            if found.restored and not found.undone:
                write_mark(connection, found.restored.name, found.restored.comment,
                           replace(found.restored.mark, target=self.target, restored_by=self.run_id,
                                   accepted=True))
            return tuple(f"database {database.name}" for database in gone)

    def discard(self) -> None:
        """As `Restorer.discard`."""
        with self.place() as connection:
            drop(connection, self.staged)
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        """Remove the role that filled, where its process died; it may not log in, and own nothing live."""
        with suppress(psycopg.Error, NightscanError):
            remove(connection, self.dsn, role_name(self.run_id))

    def _swapped_already(self, found: Traces) -> Swapped:
        position = _position(found)
        if position is Position.SWAPPED:
            return Swapped(f"database {found.kept[0].name}" if found.kept else None)
        raise RestoreRefused(f"nothing of run {self.run_id} is staged for {where(self.dsn)}" + (
            ": it was undone" if position is Position.UNDONE else "") + "; nothing was changed")

    def _swap(self, connection: Connection, found: Traces, staged: Marked) -> Swapped:
        live = found.live
        mark = replace(staged.mark, before="")
        renames = [Rename(staged, self.target, mark)]
        if live is not None:
            before = kept_name(connection, "before")
            aside = replace(live.mark, target=self.target, kept_by=self.run_id, instead=staged.oid)
            if aside.restored_by == self.run_id:
                aside = replace(aside, restored_by="")
            renames = [Rename(live, before, aside), Rename(staged, self.target, replace(mark, before=before),
                                                           comment=staged.comment or live.comment)]
        exchange(self.dsn, connection, renames, at=self.at)
        return Swapped(f"database {renames[0].new_name}" if live else None)

    def _undoing(self, connection: Connection, found: Traces) -> Iterator[Rename]:
        self._require_undoable(found)
        live, restored = found.live, found.restored
        if live is not None and restored is not None and live.oid == restored.oid:
            mark = replace(restored.mark, target=self.target, restored_by=self.run_id, kept_by=self.run_id)
            yield Rename(live, kept_name(connection, "undone"), mark)
        if found.kept:
            old = found.kept[0]
            yield Rename(old, self.target, replace(old.mark, kept_by="", instead=0))

    def _require_undoable(self, found: Traces) -> None:
        live, restored, target = found.live, found.restored, self.target
        if restored and restored.mark.kept_by:
            raise RestoreRefused(f"run {restored.mark.kept_by} has replaced what run {self.run_id} restored; "
                                 f"nothing was changed: undo that one first")
        if restored and restored.mark.accepted:
            raise RestoreRefused(f"run {self.run_id} was accepted: what was live before it is gone; "
                                 f"restore its safety set instead")
        if live and (restored is None or live.oid != restored.oid):
            there = f"that is now called {restored.name}" if restored else "that is gone"
            raise RestoreRefused(f"database {target} is not what run {self.run_id} restored, {there}; "
                                 f"nothing was changed: rename or drop {target} first")
        if restored and restored.mark.before and not found.kept:
            raise RestoreRefused(f"the old state {restored.mark.before} is gone: there is nothing to go "
                                 f"back to; nothing was changed; restore the run's safety set instead")


def _position(found: Traces) -> Position:
    if found.staged:
        return Position.STAGED
    if found.undone:
        return Position.UNDONE
    return Position.SWAPPED if found.restored or found.kept else Position.ABSENT
