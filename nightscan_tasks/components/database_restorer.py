"""The restorer of the database: a new one is filled beside it, compared, and takes its place by rename."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import SecretStr

from nightscan_tasks.components.database_extensions import open_extensions
from nightscan_tasks.components.database_outlook import busy, notes, problems, replaced
from nightscan_tasks.components.database_part import PartSwap
from nightscan_tasks.components.database_part_outlook import part_outlook
from nightscan_tasks.components.database_part_staging import stage_part
from nightscan_tasks.components.database_saved import Saved, is_roles
from nightscan_tasks.components.database_selection import Selection
from nightscan_tasks.components.database_staging import Dump, Loading, stage, wanted_environment
from nightscan_tasks.components.database_swap import DatabaseSwap
from nightscan_tasks.components.postgres import explained, where
from nightscan_tasks.components.restorer import Outlook, Position, Source, Staged, Swapped
from nightscan_tasks.components.staged_database import maintenance, target_name


@dataclass(frozen=True)
class DatabaseRestorer:
    """Restores one database, or, where `tables` or `schemas` are named, those and what depends on them.

    `loading` says how. Everything but the first two is for `examine` and `stage` alone: the other steps find
    out from the server what was restored.
    """

    dsn: SecretStr
    run_id: str
    loading: Loading = field(default=Loading(), kw_only=True)
    tables: tuple[str, ...] = field(default=(), kw_only=True)
    schemas: tuple[str, ...] = field(default=(), kw_only=True)
    temp_dir: Path = field(default=Path(tempfile.gettempdir()), kw_only=True)
    """Where the table of contents lies meanwhile, of a dump that has one."""
    at: Callable[[str], None] = field(default=lambda _: None, kw_only=True, compare=False, repr=False)
    """Is told the name of each step before it is done."""

    @property
    def _whole(self) -> DatabaseSwap:
        return DatabaseSwap(self.dsn, self.run_id, self.at)

    @property
    def _part(self) -> PartSwap:
        return PartSwap(self.dsn, self.run_id, self.at)

    def examine(self, source: Source) -> Outlook:
        """As `Restorer.examine`."""
        report, target = source.report, target_name(self.dsn)
        with maintenance(self.dsn) as connection, explained(where(self.dsn)):
            extensions = None if self.loading.unguarded else open_extensions(
                connection, self.dsn, self.loading.extensions)
            found = [*problems(connection, target, wanted_environment(report.fingerprint),
                               role_sql=_roles(source), extensions=extensions),
                     *busy(connection, self.run_id), *Saved(source, self.temp_dir).problems()]
            remarks = list(notes(connection, target, report, run_id=self.run_id))
            what, size_bytes = replaced(connection, self.dsn)
        if self.tables or self.schemas:
            part = part_outlook(self.dsn, Selection(self.tables, self.schemas), report.fingerprint)
            return replace(part, problems=(*found, *part.problems), notes=(*remarks, *part.notes))
        return Outlook(where(self.dsn), what, size_bytes, tuple(found), tuple(remarks))

    def stage(self, source: Source) -> Staged:
        """As `Restorer.stage`."""
        saved = Saved(source, self.temp_dir)
        dump = Dump(_roles(source), saved.items, source.report.fingerprint, saved.script)
        if self.tables or self.schemas:
            selection = Selection(self.tables, self.schemas)
            return stage_part(dump, selection, self._whole, self._part, self.loading)
        return stage(dump, self._whole, self.loading)

    def swap(self) -> Swapped:
        """As `Restorer.swap`."""
        return self._part.swap() if self._part.there() else self._whole.swap()

    def undo(self) -> None:
        """As `Restorer.undo`."""
        if self._part.there():
            self._part.undo()
        self._whole.undo()

    def accept(self) -> tuple[str, ...]:
        """As `Restorer.accept`."""
        return self._part.accept() if self._part.there() else self._whole.accept()

    def discard(self) -> None:
        """As `Restorer.discard`."""
        if self._part.there():
            self._part.discard()
        self._whole.discard()

    def position(self) -> Position:
        """As `Restorer.position`."""
        return self._part.position() if self._part.there() else self._whole.position()


def _roles(source: Source) -> str:
    """The SQL of the saved roles, empty where none were saved."""
    text = ""
    for artifact in source.artifacts:
        if is_roles(artifact):
            with source.open(artifact) as chunks:
                text += b"".join(bytes(chunk) for chunk in chunks).decode()
    return text

