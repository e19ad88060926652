"""Every contest by name: what it is about, what it needs of a disk, and what holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks import database, memory, user_data
from benchmarks.data.plan import FILES, TOTAL_BYTES
from benchmarks.head import head
from benchmarks.outcome import Found, Outcome
from benchmarks.programs import left_out
from benchmarks.scratch import Need, scratch
from nightscan_tasks.wording import size


@dataclass(frozen=True)
class Ask:
    """How a contest is to be held. `scale` makes its data smaller; `keep` is a folder that stays."""

    rounds: int = 3
    seed: int = 1
    scale: float = 1.0
    parent: Path = Path("/var/tmp")  # noqa: S108 - only the place of a folder of one's own, made by mkdtemp
    keep: Path | None = None


@dataclass(frozen=True)
class _Contest:
    title: str
    about: Callable[[float], str]
    need: Callable[[float], Need]
    hold: Callable[..., Found]


def _of_user_data(scale: float) -> str:
    return (f"{size(TOTAL_BYTES * scale)} in {int(FILES * scale):,} files: recordings that gzip shrinks by "
            f"some 20 % (WAV), pictures and calls that are compressed already (JPEG, MP3), models, and many "
            f"small YAML files.")


def _of_database(scale: float) -> str:
    return (f"{size(database.SQL_BYTES * scale * 0.98)} of SQL, near enough: tables with keys, foreign keys "
            f"and indexes.")


def _of_memory(scale: float) -> str:
    amounts = " and of ".join(size(amount * scale) for amount in memory.AMOUNTS)
    return f"Weekly sets of {amounts}, taken by workers, through a broker, with a copy in S3."


_CONTESTS = {
    "user_data": _Contest("User data", _of_user_data, user_data.need, user_data.user_data),
    "database": _Contest("Database", _of_database, database.need, database.database),
    "memory": _Contest("Memory of workers", _of_memory, memory.need, memory.memory),
}
NAMES = tuple(_CONTESTS)


def hold(name: str, ask: Ask, console: Console) -> Outcome:
    """Hold one contest in a scratch folder of its own, and leave nothing behind."""
    contest = _CONTESTS[name]
    need = contest.need(ask.scale)
    console.print(f"{contest.title}: {contest.about(ask.scale)} {ask.rounds} rounds; takes up to "
                  f"{size(need.disk_bytes)} in {ask.keep or ask.parent}", highlight=False)
    with scratch(ask.parent, need, keep=ask.keep) as folder:
        before = head(folder, seed=ask.seed, rounds=ask.rounds, scale=ask.scale)
        found = contest.hold(folder, console, rounds=ask.rounds, seed=ask.seed, scale=ask.scale)
    return Outcome(name, contest.title, contest.about(ask.scale), before, found, left_out=left_out())
