"""Every contest by name: what it is about, what it needs of a disk, and what holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks import database, growth, memory, user_data, workers
from benchmarks.ask import Ask
from benchmarks.data.plan import FILES, TOTAL_BYTES
from benchmarks.head import head
from benchmarks.outcome import Found, Outcome
from benchmarks.programs import left_out
from benchmarks.scratch import Need, scratch
from nightscan_tasks.wording import count, size


@dataclass(frozen=True)
class _Contest:
    title: str
    about: Callable[[Ask], str]
    need: Callable[[Ask], Need]
    hold: Callable[[Path, Console, Ask], Found]


def _of_user_data(ask: Ask) -> str:
    return (f"{size(TOTAL_BYTES * ask.scale)} in {int(FILES * ask.scale):,} files: recordings that gzip "
            f"shrinks by some 20 % (WAV), pictures and calls that are compressed already (JPEG, MP3), "
            f"models, and many small YAML files.")


def _of_database(ask: Ask) -> str:
    return (f"About {size(database.DUMP_BYTES * ask.scale)} of SQL: tables with keys, foreign keys and "
            f"indexes.")


def _of_workers(ask: Ask) -> str:
    return f"A full backup of the same user data, {size(TOTAL_BYTES * ask.scale)}, by one and by two."


def _of_memory(ask: Ask) -> str:
    amounts = " and of ".join(size(amount * ask.scale) for amount in memory.AMOUNTS)
    return f"Weekly sets of {amounts}, taken by workers, through a broker, with a copy in S3."


def _of_growing_bytes(ask: Ask) -> str:
    return (f"User data of {size(min(ask.bytes))} to {size(max(ask.bytes))}, always in "
            f"{count(growth.FILES_OF_BYTES, 'file')}.")


def _of_growing_files(ask: Ask) -> str:
    return f"User data in {min(ask.files):,} to {max(ask.files):,} files of a kilobyte, on the average."


_MAIN = {
    "user_data": _Contest("User data", _of_user_data, user_data.need, user_data.user_data),
    "database": _Contest("Database", _of_database, database.need, database.database),
    "workers": _Contest("One and two", _of_workers, workers.need, workers.workers),
    "memory": _Contest("Memory of workers", _of_memory, memory.need, memory.memory),
}
_GROWTH = {
    "growth_bytes": _Contest("Growth with bytes", _of_growing_bytes, growth.need_of_bytes, growth.by_bytes),
    "growth_files": _Contest("Growth with files", _of_growing_files, growth.need_of_files, growth.by_files),
}
_CONTESTS = {**_MAIN, **_GROWTH}
# What may be asked for, and which contests that is.
NAMES = {**{name: (name,) for name in _CONTESTS}, "growth": tuple(_GROWTH)}
USUAL = tuple(_MAIN)


def hold(name: str, ask: Ask, console: Console) -> Outcome:
    """Hold one contest in a scratch folder of its own, and leave nothing behind."""
    contest = _CONTESTS[name]
    need, place = contest.need(ask), ask.keep / name if ask.keep else None
    console.print(f"{contest.title}: {contest.about(ask)} {count(ask.rounds, 'round')}; takes up to "
                  f"{size(need.disk_bytes)} and {count(need.files, 'file')} in {place or ask.parent}",
                  highlight=False)
    with scratch(ask.parent, need, keep=place) as folder:
        before = head(folder, ask)
        found = contest.hold(folder, console, ask)
    return Outcome(name, contest.title, contest.about(ask), before, found, left_out())
