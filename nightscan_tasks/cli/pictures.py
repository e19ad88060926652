"""WorkSeen under way at one moment, as it is shown: a run of parts, or one task."""

from __future__ import annotations

from dataclasses import dataclass

from nightscan_tasks.cli.colours import critical
from nightscan_tasks.ledger import Outcome
from nightscan_tasks.watch.under_way import Phase, WorkSeen
from nightscan_tasks.wording import duration, rate, size


@dataclass(frozen=True)
class Picture:
    """What is shown at one moment; the last one of a run has its outcome."""

    headline: str
    works: tuple[WorkSeen, ...]
    outcome: Outcome | None = None


def sentence(work: WorkSeen) -> str:
    """A piece of work in words."""
    match work.phase:
        case Phase.WAITING:
            return "waiting"
        case Phase.FAILED:
            return critical("FAILED") + f": {work.message}"
        case Phase.DONE:
            return _done(work)
        case Phase.RUNNING:
            return f"{work.doing} {_progress(work)}" if work.done_bytes else work.doing


def brief(work: WorkSeen) -> str:
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


def _progress(work: WorkSeen) -> str:
    of = f" of about {size(work.of_bytes)}" if work.of_bytes else ""
    speed = f", {size(work.bytes_per_second)}/s" if work.bytes_per_second else ""
    return f"{size(work.done_bytes)}{of}{speed}"


def _done(work: WorkSeen) -> str:
    if work.message:
        return work.message
    if "@" in work.name:
        return f"copied and read back, {size(work.stored_bytes)}"
    return (f"saved and read back, {size(work.plain_bytes)} as {size(work.stored_bytes)} in "
            f"{duration(work.elapsed_seconds)}, {rate(work.plain_bytes, work.elapsed_seconds)}")
