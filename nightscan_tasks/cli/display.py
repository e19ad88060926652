"""Work while it is watched: bars on a terminal, a line for each change elsewhere.

All of it goes to standard error, so that the result alone is on standard output.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

import click

from nightscan_tasks.cli.pictures import Picture, brief, sentence
from nightscan_tasks.cli.session import Session
from nightscan_tasks.watch.under_way import Phase

Shown: TypeAlias = Callable[[Picture], None]
_QUIET_SECONDS = 30.0  # after so long without a change, a line says how far it is


def show(session: Session, pictures: Iterable[Picture]) -> Picture:
    """Show all pictures, the last of which is returned."""
    last = Picture("", ())
    with display(session) as shown:
        for last in pictures:
            shown(last)
    return last


def display(session: Session) -> AbstractContextManager[Shown]:
    """Bars where a person watches standard error, lines elsewhere; beside JSON in a pipe, nothing."""
    if session.watched:
        return _bars()
    return _lines((lambda _line: None) if session.as_json else session.tell)


class Changes:
    """The lines that tell what changed from one picture to the next."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._headline = ""
        self._phases: dict[str, Phase] = {}
        self._told_at = clock()

    def lines(self, picture: Picture) -> Iterator[str]:
        """What is new since the picture before; after a long silence, how far it is."""
        if picture.headline != self._headline:
            self._headline = picture.headline
            yield picture.headline
        quiet = self._clock() - self._told_at > _QUIET_SECONDS
        for work in picture.works:
            before = self._phases.get(work.name, Phase.WAITING)
            self._phases[work.name] = work.phase
            if work.phase != before or (quiet and work.phase is Phase.RUNNING):
                self._told_at = self._clock()
                yield f"{work.name}: " + sentence(work)


@contextmanager
def _lines(tell: Callable[[str], None]) -> Iterator[Shown]:
    changes = Changes()

    def shown(picture: Picture) -> None:
        for line in changes.lines(picture):
            tell(line)

    yield shown


@contextmanager
def _bars() -> Iterator[Shown]:
    # Imported here: only a terminal needs it, and it takes a third of a second.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None),
               TextColumn("{task.fields[said]}", justify="right"))
    context = click.get_current_context(silent=True)
    plain = True if context and context.color is False else None  # None: as the environment says
    console = Console(stderr=True, highlight=False, markup=False, no_color=plain)
    with Progress(*columns, console=console, expand=True) as bars:
        tasks: dict[str, TaskID] = {}
        headlines = {""}

        def shown(picture: Picture) -> None:
            if picture.headline not in headlines:
                headlines.add(picture.headline)
                bars.console.print(picture.headline)
            for work in picture.works:
                if work.name not in tasks:
                    tasks[work.name] = bars.add_task(work.name, total=1, said="")
                bars.update(tasks[work.name], completed=work.share, said=brief(work))

        yield shown
