"""What the ledger records of restores and drills: small frozen values, one JSON file each."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from nightscan_tasks.model import SetId


@dataclass(frozen=True)
class Part:
    """What of a component is meant, where it is not all of it."""

    tables: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    databases: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tables or self.schemas or self.databases or self.keys or self.paths)


@dataclass(frozen=True)
class Place:
    """Where a restore goes, without any password; what is empty is not a target of it.

    `live` is the application itself, wherever the settings say that it is.
    """

    live: bool = True
    database: str = ""
    redis: str = ""
    root: str = ""


@dataclass(frozen=True)
class RestoreRun:
    """One restore, as it was opened: what of which set goes where."""

    run_id: str
    set_id: SetId
    store: str
    store_url: str
    components: tuple[str, ...]
    place: Place
    part: Part
    opened_at: datetime
    host: str


@dataclass(frozen=True)
class RestoredComponent:
    """One component of a restore or a drill: what was read, how long it took, and what it may take.

    `elapsed_seconds` is staging, comparing and swapping. `before` names where the old state is kept.
    """

    component: str
    plain_bytes: int
    elapsed_seconds: float
    objective_seconds: int
    before: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        """Whether it was as fast as it has to be."""
        return self.elapsed_seconds <= self.objective_seconds

    @property
    def bytes_per_second(self) -> float:
        """How fast it went, in plain bytes."""
        return self.plain_bytes / self.elapsed_seconds if self.elapsed_seconds else 0.0


@dataclass(frozen=True)
class Swapping:
    """From here on the old state is being replaced: whoever finds this without an outcome goes on."""

    began_at: datetime
    staged: tuple[RestoredComponent, ...]


class RestoreEnding(StrEnum):
    """How a restore ended."""

    RESTORED = "restored"
    ROLLED_BACK = "rolled_back"  # the new state was live for a moment, and was not well
    FAILED = "failed"            # nothing was changed


@dataclass(frozen=True)
class RestoreOutcome:
    """How a restore ended; `problem` says why, where it did not end well."""

    run_id: str
    ending: RestoreEnding
    settled_at: datetime
    elapsed_seconds: float
    components: tuple[RestoredComponent, ...] = ()
    problem: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Aftermath:
    """What a person decided later: that the old state is live again, or that it was let go."""

    decided_at: datetime
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class RestoreState:
    """Everything the ledger knows of one restore."""

    run: RestoreRun
    swapping: Swapping | None = None
    outcome: RestoreOutcome | None = None
    undone: Aftermath | None = None
    accepted: Aftermath | None = None


@dataclass(frozen=True)
class Drill:
    """A restore into a scratch environment, compared with what was saved, and timed.

    `lost_since` is from when on data would have been lost; `problems` are all that did not hold.
    """

    drill_id: str
    set_id: SetId | None
    store: str
    kind: str
    drilled_at: datetime
    elapsed_seconds: float
    components: tuple[RestoredComponent, ...] = ()
    lost_since: datetime | None = None
    loss_seconds: float | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stages: tuple[tuple[str, float], ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether everything held."""
        return not self.problems
