"""What Sentry is told of runs, as values; `sentry` sends them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from nightscan_tasks.model import Tier


class Status(StrEnum):
    """What a check-in says."""

    IN_PROGRESS = "in_progress"
    OK = "ok"
    ERROR = "error"


@dataclass(frozen=True)
class CheckIn:
    """That a run of a tier began, or how it ended. `schedule` is a crontab's five fields."""

    tier: Tier
    run_id: str
    status: Status
    schedule: str
    elapsed_seconds: float | None = None


@dataclass(frozen=True)
class Failed:
    """A component that a run did not save, or of which a store lacks the copy."""

    run_id: str
    tier: Tier
    component: str
    store: str
    error: str
    message: str
