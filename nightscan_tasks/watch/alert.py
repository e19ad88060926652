"""What was told of a problem, to whom, and when: one value an alert, from its first look to its last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from nightscan_tasks.watch.problem import Problem, Severity


@dataclass(frozen=True)
class Told:
    """The last that a channel heard of an alert."""

    at: datetime
    severity: Severity


@dataclass(frozen=True)
class Alert:
    """A problem that was noticed. `closed_at` is when it was found to be over.

    `problem` is how it was at the last look; `worst` how bad it has been; `told` what each channel heard.
    """

    problem: Problem
    noticed_at: datetime
    worst: Severity
    told: Mapping[str, Told] = field(default_factory=dict)
    closed_at: datetime | None = None

    @property
    def key(self) -> str:
        """The problem's."""
        return self.problem.key

    @property
    def since(self) -> datetime:
        """When it began, or where that is not known, when it was noticed."""
        return self.problem.since or self.noticed_at


@dataclass(frozen=True)
class Untold:
    """A channel that did not take what it was to be told; `problem` has no secret in it."""

    channel: str
    since: datetime
    problem: str
