"""How time and memory grow with the bytes of user data, and with the number of its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmarks.ask import Ask
from benchmarks.contest import contest
from benchmarks.data.tree import Tree
from benchmarks.outcome import Found, Line, Point, Table
from benchmarks.scratch import Need, empty
from benchmarks.site import Site, site
from benchmarks.user_data import OURS, SERVICES, TASKS, Contenders
from nightscan_tasks.wording import count, size

FILES_OF_BYTES = 2_000  # the same, however many bytes they have

_TOOK_PART = ("restic", OURS)
_SAVED = ("first", "unchanged")
_BYTES_A_FILE = 1_000
_BLOCK_BYTES = 4_096  # what the smallest file takes of a disk
_RECORD_BYTES = 300  # what a repository knows of each file


def by_bytes(folder: Path, console: Console, ask: Ask) -> Found:
    """Ever more bytes, in as many files."""
    return _grown(folder, console, ask, "bytes", [(each, each, FILES_OF_BYTES) for each in ask.bytes])


def by_files(folder: Path, console: Console, ask: Ask) -> Found:
    """Ever more files, as small on the average."""
    return _grown(folder, console, ask, "files", [(each, _BYTES_A_FILE * each, each) for each in ask.files])


def need_of_bytes(ask: Ask) -> Need:
    """Of the largest step."""
    return _need(max(ask.bytes), FILES_OF_BYTES)


def need_of_files(ask: Ask) -> Need:
    """Of the largest step."""
    return _need(_BYTES_A_FILE * max(ask.files), max(ask.files))


def _need(total_bytes: int, files: int) -> Need:
    """The data, a repository of it, and what was added to that."""
    of_files = (_BLOCK_BYTES + 2 * _RECORD_BYTES) * files
    return Need(int(2.3 * total_bytes) + of_files + 500_000_000, files + 50_000)


def _grown(folder: Path, console: Console, ask: Ask, axis: str,
           steps: Sequence[tuple[int, int, int]]) -> Found:
    """A first backup, and one of nothing new, at each step: the amount, the bytes, the files."""
    points: dict[tuple[str, str], list[Point]] = {}
    with site(folder, SERVICES) as place:
        for amount, total_bytes, files in sorted(steps):
            console.print(f"writing {size(total_bytes)} in {count(files, 'file')} …", highlight=False)
            empty(place.root)
            tree = Tree(place.root, total_bytes, files, ask.seed)
            tree.write()
            for table in _measured(place, tree, console, ask):
                for row in table.rows:
                    points.setdefault((row.name, table.title), []).append(Point(amount, row.median))
    return Found(lines=tuple(Line(name, task, axis, tuple(found)) for (name, task), found in points.items()))


def _measured(place: Site, tree: Tree, console: Console, ask: Ask) -> tuple[Table, ...]:
    savers = [replace(each, steps=[step for step in each.steps if step.table in _SAVED])
              for each in Contenders(place, tree).all() if each.name in _TOOK_PART]
    return contest(savers, {key: TASKS[key] for key in _SAVED}, ask, console=console,
                   shared=place.reading().run)
