"""Clocks that tests move, and the one that they wait for."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path


@dataclass
class Clock:
    """A clock that a test moves, and that moves by a millisecond whenever it is read."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class StandingClock(Clock):
    """A clock that nobody but a test moves."""

    now: datetime = field(default=datetime(2026, 11, 23, 2, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now


def wait_for_age(root: Path) -> None:
    """Wait until what was changed below `root` a moment ago is no longer so new that it is saved again."""
    newest = max((os.lstat(path).st_ctime_ns for path in root.rglob("*")), default=0)
    while time.time_ns() - newest < 150_000_000:
        time.sleep(0.02)
