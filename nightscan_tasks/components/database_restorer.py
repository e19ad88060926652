"""The restorer of the database: a new one is filled beside it, compared, and takes its place by rename."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import SecretStr

from nightscan_tasks.components.database_outlook import problems, replaced
from nightscan_tasks.components.database_staging import Dump, stage, wanted_environment
from nightscan_tasks.components.database_swap import DatabaseSwap
from nightscan_tasks.components.postgres import explained, where
from nightscan_tasks.components.restorer import Outlook, Position, Source, Staged, Swapped
from nightscan_tasks.components.staged_database import maintenance, target_name
from nightscan_tasks.model import Artifact


@dataclass(frozen=True)
class DatabaseRestorer:
    """Restores one database, or, where `tables` or `schemas` are named, those and what depends on them.

    `jobs` is how many connections fill it side by side. Everything but the first two is for `examine`
    and `stage` alone: the other steps find out from the server what was restored.
    """

    dsn: SecretStr
    run_id: str
    jobs: int = field(default=2, kw_only=True)
    tables: tuple[str, ...] = field(default=(), kw_only=True)
    schemas: tuple[str, ...] = field(default=(), kw_only=True)
    at: Callable[[str], None] = field(default=lambda _: None, kw_only=True, compare=False, repr=False)
    """Is told the name of each step before it is done."""

    @property
    def _swap(self) -> DatabaseSwap:
        return DatabaseSwap(self.dsn, self.run_id)

    def examine(self, source: Source) -> Outlook:
        """As `Restorer.examine`."""
        wanted = wanted_environment(source.report.fingerprint)
        with maintenance(self.dsn) as connection, explained(where(self.dsn)):
            what, size_bytes = replaced(connection, self.dsn)
            return Outlook(where(self.dsn), what, size_bytes,
                           tuple(problems(connection, target_name(self.dsn), wanted)))

    def stage(self, source: Source) -> Staged:
        """As `Restorer.stage`."""
        role_sql = _roles(source)
        (artifact,) = (each for each in source.artifacts if not _is_roles(each))
        dump = Dump(role_sql, lambda: source.open(artifact), source.report.fingerprint)
        return stage(dump, self._swap, jobs=self.jobs, at=self.at)

    def swap(self) -> Swapped:
        """As `Restorer.swap`."""
        return self._swap.swap()

    def undo(self) -> None:
        """As `Restorer.undo`."""
        self._swap.undo()

    def accept(self) -> tuple[str, ...]:
        """As `Restorer.accept`."""
        return self._swap.accept()

    def discard(self) -> None:
        """As `Restorer.discard`."""
        self._swap.discard()

    def position(self) -> Position:
        """As `Restorer.position`."""
        return self._swap.position()


def _roles(source: Source) -> str:
    """The SQL of the saved roles, empty where none were saved."""
    text = ""
    for artifact in source.artifacts:
        if _is_roles(artifact):
            with source.open(artifact) as chunks:
                text += b"".join(bytes(chunk) for chunk in chunks).decode()
    return text


def _is_roles(artifact: Artifact) -> bool:
    return ".roles." in artifact.name
