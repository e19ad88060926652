"""Work under way at one moment, as it is shown: a run of parts, or one task."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nightscan_tasks.ledger import Outcome
from nightscan_tasks.wording import duration, rate, size


class Phase(StrEnum):
    """Where a piece of work stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Work:
    """A part, or with `part@store` the copying of one. `doing` says what, while it runs."""

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
class Picture:
    """What is shown at one moment; the last one of a run has its outcome."""

    headline: str
    works: tuple[Work, ...]
    outcome: Outcome | None = None


def running(name: str, progress: dict[str, Any]) -> Work:
    """A piece of work from what it says of itself: a lease's progress, or a task's."""
    return Work(name, Phase.RUNNING, doing=str(progress.get("phase", "starting")),
                done_bytes=_number(progress.get("bytes")), of_bytes=_number(progress.get("of_bytes")),
                bytes_per_second=_number(progress.get("bytes_per_second")))


def sentence(work: Work) -> str:
    """A piece of work in words."""
    match work.phase:
        case Phase.WAITING:
            return "waiting"
        case Phase.FAILED:
            return f"FAILED: {work.message}"
        case Phase.DONE:
            return _done(work)
        case Phase.RUNNING:
            return f"{work.doing} {_progress(work)}" if work.done_bytes else work.doing


def brief(work: Work) -> str:
    """The same in the few columns beside a bar."""
    match work.phase:
        case Phase.WAITING:
            return "waiting"
        case Phase.FAILED:
            return "FAILED"
        case Phase.DONE:
            return work.message or f"{size(work.stored_bytes)} stored"
        case Phase.RUNNING:
            return _progress(work) if work.done_bytes else work.doing


def _progress(work: Work) -> str:
    of = f" of about {size(work.of_bytes)}" if work.of_bytes else ""
    speed = f", {size(work.bytes_per_second)}/s" if work.bytes_per_second else ""
    return f"{size(work.done_bytes)}{of}{speed}"


def _done(work: Work) -> str:
    if work.message:
        return work.message
    if "@" in work.name:
        return f"copied and read back, {size(work.stored_bytes)}"
    return (f"saved and read back, {size(work.plain_bytes)} as {size(work.stored_bytes)} in "
            f"{duration(work.elapsed_seconds)}, {rate(work.plain_bytes, work.elapsed_seconds)}")


def _number(value: object) -> int:
    return int(value) if isinstance(value, (int, float)) else 0
