"""What came of a contest, as it is kept: values that are JSON, and back."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.measuring import Measured


@dataclass(frozen=True)
class Row:
    """One contender in one table: every round it took part in, and what it stored."""

    name: str
    rounds: tuple[Measured, ...]
    stored_bytes: int | None = None
    note: str = ""

    @property
    def seconds(self) -> float:
        """The median."""
        return statistics.median(each.seconds for each in self.rounds)

    @property
    def median(self) -> Measured:
        """The round whose time is the median's, or the one just below it."""
        return sorted(self.rounds, key=lambda each: each.seconds)[(len(self.rounds) - 1) // 2]

    @property
    def cpu_seconds(self) -> float:
        """The median."""
        return statistics.median(each.cpu_seconds for each in self.rounds)

    @property
    def tree_bytes(self) -> int:
        """The most of all rounds."""
        return max(each.tree_bytes for each in self.rounds)

    @property
    def process_bytes(self) -> int:
        """The most of all rounds."""
        return max(each.process_bytes for each in self.rounds)


@dataclass(frozen=True)
class Table:
    """Contenders at one task. `against` names the row that ratios are taken of."""

    title: str
    against: str
    rows: tuple[Row, ...]
    note: str = ""

    def row(self, name: str) -> Row | None:
        """The row of that name, if it took part."""
        return next((row for row in self.rows if row.name == name), None)

    @property
    def measure(self) -> Row:
        """What the others are compared with: `against`, or the first row where that one was left out."""
        return self.row(self.against) or self.rows[0]


@dataclass(frozen=True)
class Sheet:
    """Any table, as it is shown: texts in rows, the first column's left, the others' right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Head:
    """Where, when and with what a contest was run. `facts` are name and value, in the order of reading.

    `only` is empty where everybody who is there took part.
    """

    facts: tuple[tuple[str, str], ...]
    seed: int
    rounds: int
    scale: float
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Point:
    """A step of growth: how much there was, and what one task took."""

    amount: int
    measured: Measured


@dataclass(frozen=True)
class Line:
    """How one task of one contender grows: `axis` is `bytes` or `files`."""

    name: str
    task: str
    axis: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Found:
    """What a contest found, in whichever form suits it."""

    tables: tuple[Table, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What a contest found, what it is about, and whom it lacks."""

    key: str
    title: str
    about: str
    head: Head
    found: Found
    left_out: tuple[str, ...] = ()

    def save(self, folder: Path) -> Path:
        """Write it as `KEY.json` into the folder, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        path, draft = folder / f"{self.key}.json", folder / f"{self.key}.json.new"
        draft.write_bytes(_JSON.dump_json(self, indent=1) + b"\n")
        draft.replace(path)
        return path

    @classmethod
    def load(cls, path: Path) -> Outcome:
        """As it was saved; pydantic's ValidationError where the file is something else."""
        return _JSON.validate_json(path.read_bytes())


def loaded(folder: Path) -> dict[str, Outcome]:
    """Every outcome in a folder, by key; none where there is no folder."""
    return {path.stem: Outcome.load(path) for path in sorted(folder.glob("*.json"))}


def merged(rounds: Iterable[Row]) -> Row:
    """Rows of single rounds as one row; what is stored is the median."""
    rows = list(rounds)
    stored = [row.stored_bytes for row in rows if row.stored_bytes is not None]
    return Row(rows[0].name, tuple(each for row in rows for each in row.rounds),
               int(statistics.median(stored)) if stored else None, rows[0].note)


def followed(first: Row, then: Row) -> Row:
    """What a contender needs for one task and then another one, round by round."""
    rounds = tuple(one + other for one, other in zip(first.rounds, then.rounds, strict=True))
    return Row(first.name, rounds, first.stored_bytes, first.note)


_JSON = TypeAdapter(Outcome)
