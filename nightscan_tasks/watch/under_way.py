"""A run that is under way, piece by piece: what a command shows, apart from all else there is to see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from nightscan_tasks.model import SetId


class Phase(StrEnum):
    """Where a piece of work stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class WorkSeen:
    """One part of a run, or with `part@store` the copying of one, as it is now.

    `doing` says what, while it runs; `message` what became of it, where the figures do not say it.
    """

    name: str
    phase: Phase
    doing: str = ""
    done_bytes: int = 0
    of_bytes: int = 0
    bytes_per_second: int = 0
    plain_bytes: int = 0
    stored_bytes: int = 0
    elapsed_seconds: float = 0
    message: str = ""

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1."""
        if self.phase in {Phase.DONE, Phase.FAILED}:
            return 1
        return min(self.done_bytes / self.of_bytes, 1) if self.of_bytes else 0


@dataclass(frozen=True)
class RunningSeen:
    """A run that is under way; `waits_for` says why it has not started."""

    run_id: str
    set_id: SetId
    started_at: datetime | None
    deadline_at: datetime | None
    works: tuple[WorkSeen, ...]
    waits_for: str = ""
