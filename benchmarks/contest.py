"""Contenders, each of which does the same tasks in turn, round after round."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console

from benchmarks.ask import Ask
from benchmarks.measuring import Command, Measured
from benchmarks.outcome import Row, Table, merged


def _nothing() -> None:
    """What is done where nothing has to be."""


@dataclass(frozen=True)
class Step:
    """One task of a contender's. `table` is where it is shown.

    `before` is not timed. `stored` says how much there is in the store, to tell what the task added.
    Then `after`, timed too, but told of in a table of its own: the two together.
    """

    table: str
    command: Command
    before: Callable[[], object] = _nothing
    stored: Callable[[], int] | None = None
    after: tuple[str, Command] | None = None


@dataclass(frozen=True)
class Contender:
    """Who takes part: `fresh` forgets all that it did before, then come its steps, one after the other, and
    `gone` makes room for the next.
    """

    name: str
    steps: Sequence[Step]
    fresh: Callable[[], object] = _nothing
    gone: Callable[[], object] = _nothing


@dataclass(frozen=True)
class Task:
    """What a table is about: its title, whom the ratios are taken of, and what each contender checks."""

    title: str
    against: str
    note: str = ""


def contest(contenders: Sequence[Contender], tasks: dict[str, Task], ask: Ask, *, console: Console,
            shared: Callable[[], object] = _nothing) -> tuple[Table, ...]:
    """Every contender in turn, all of its steps, round after round; the tables in the order of `tasks`.

    `shared` comes before each contender, for what has to be the same for all: it reads the source, so
    that nobody is the first to read it from the disk. What others have not written yet is written first.
    """
    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    taking_part = [each for each in contenders if not ask.only or each.name.startswith(ask.only)]
    for number in range(ask.rounds):
        for contender in taking_part:
            contender.fresh()
            shared()
            for step in contender.steps:
                for table, row in _done(contender.name, step):
                    rows[table, contender.name].append(row)
                    console.print(f"  round {number + 1} of {ask.rounds}: {contender.name}: "
                                  f"{tasks[table].title.lower()}: {row.seconds:.2f} s", highlight=False)
            contender.gone()
    made = {key: tuple(merged(rows[key, each.name]) for each in taking_part if (key, each.name) in rows)
            for key in tasks}
    return tuple(Table(tasks[key].title, tasks[key].against, of_task, tasks[key].note)
                 for key, of_task in made.items() if of_task)


def _done(name: str, step: Step) -> list[tuple[str, Row]]:
    step.before()
    os.sync()
    had = step.stored() if step.stored else 0
    first = step.command.run()
    told = [(step.table, _row(name, first, step.stored() - had if step.stored else None))]
    if step.after:
        table, command = step.after
        told.append((table, _row(name, first + command.run(), told[0][1].stored_bytes)))
    return told


def _row(name: str, measured: Measured, stored_bytes: int | None) -> Row:
    return Row(name, (measured,), stored_bytes)
