"""A story is told: each run is asked for, its faults strike and are mended, and its end is judged."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from chaos import model
from chaos.faults import FAULTS, endings
from chaos.figures import Figures
from chaos.model import Asked
from chaos.restoring import restore_one, scratch
from chaos.returning import restart_seconds, seconds_until_back
from chaos.site import Site, opened
from chaos.story import Chapter, plan_story
from chaos.striking import Striking
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.ledger import Outcome

T = TypeVar("T")
Told = Callable[[str], None]
_LOOK_SECONDS = 0.1
_UNTIL_SECONDS = 180
_GOING_SECONDS = 30


@dataclass(frozen=True)
class Wish:
    """How a story is to go."""

    seed: int
    runs: int
    restores: int
    """Of how many of the sets that are left at the end; all where it is negative."""
    only: Sequence[str] = ()
    """These faults alone; none: all that there are."""
    primary: str = "directory"
    minutes: float = math.inf
    """After so many no further run begins."""


def tell(folder: Path, wish: Wish, told: Told = lambda _line: None) -> Figures:
    """Play the runs of a story, restore sets that are left, and count."""
    figures, began = Figures(wish.seed), time.monotonic()
    with opened(folder, primary=wish.primary) as site:
        possible = [name for name, fault in FAULTS.items() if fault.possible(site)
                    and (not wish.only or name in wish.only)]
        figures.skipped = sorted(set(wish.only or FAULTS) - set(possible))
        for chapter in plan_story(wish.seed, wish.runs, possible):
            if time.monotonic() - began < 60 * wish.minutes:
                _play(site, chapter, figures, told)
        _conclude(site, figures, wish.restores, told)
    figures.elapsed_seconds = time.monotonic() - began
    return figures


def _play(site: Site, chapter: Chapter, figures: Figures, told: Told) -> None:
    marks = site.mark()
    asked = _ask(site, chapter, marks)
    figures.runs += 1
    if asked is None:
        figures.unanswered.append(f"run {chapter.number}: it was asked for, and never opened")
        return
    striking = Striking(site, chapter.strikes, figures.faults)
    try:
        _wait(striking.work)
        outcome = _wait(lambda: site.system.ledger.outcome(asked.run_id))
    finally:
        striking.mend_all()
    if outcome is None:
        figures.unanswered.append(f"{asked.run_id} never ended; faults: {_names(chapter)}")
        return
    _count(site, chapter, asked, outcome, figures)
    told(f"{chapter.number:4} {outcome.ending:10} {asked.run_id} {outcome.elapsed_seconds:5.1f} s  "
         f"{_names(chapter)}")


def _count(site: Site, chapter: Chapter, asked: Asked, outcome: Outcome, figures: Figures) -> None:
    figures.endings[outcome.ending] += 1
    figures.wrong += model.judge(site, asked, outcome, site.marks)
    allowed = frozenset().union(*(endings(site, each.fault) for each in chapter.strikes))
    if outcome.ending not in allowed:
        why = "; ".join([*(f"{each.part}: {each.message}" for each in outcome.failures), *outcome.notes])
        figures.unexpected.append(f"{asked.run_id} is {outcome.ending} after {_names(chapter)}: {why}")


def _ask(site: Site, chapter: Chapter, marks: int) -> Asked | None:
    known = set(site.system.ledger.run_ids())
    site.send("backup_manual", list(chapter.components))
    fresh = _wait(lambda: sorted(set(site.system.ledger.run_ids()) - known))
    if not fresh:
        return None
    run = _wait(lambda: _opened(site, fresh[-1]))
    return None if run is None else Asked(run.run_id, run.set_id, chapter.components, marks)


def _opened(site: Site, run_id: str) -> Asked | None:
    try:
        run = site.system.ledger.opened(run_id)
    except NightscanError:
        return None
    return Asked(run_id, run.set_id, (), 0)


def _wait(seen: Callable[[], T | None]) -> T | None:
    """What it answers at last, or None after too long. A store that does not answer is asked again."""
    deadline = time.monotonic() + _UNTIL_SECONDS
    while time.monotonic() < deadline:
        try:
            if found := seen():
                return found
        except NightscanError:
            pass
        time.sleep(_LOOK_SECONDS)
    return None


def _conclude(site: Site, figures: Figures, restores: int, told: Told) -> None:
    """Everything is mended: what can still finish does, and then nothing may be left over."""
    told("waiting for what is to be caught up")
    left: list[str] = []

    def quiet() -> bool:
        left[:] = model.leftovers(site)
        return not left

    _wait(quiet)
    figures.left += left
    for store in site.system.stores:
        for manifest in model.listed(site):
            if problem := model.unread(site, store.name, manifest):
                figures.lost.append(f"{manifest.set_id} in {store.name}: {problem}")
    site.crew.restart_seconds = restart_seconds()
    figures.back_seconds = seconds_until_back(site)
    figures.restarts = sum(hand.restarts for hand in site.crew.hands.values())
    _dismiss(site)
    figures.left += model.orphans(site)
    with scratch(site) as place:
        for manifest in _some(model.listed(site), restores):
            told(f"restoring {manifest.set_id}")
            if problem := restore_one(site, place, manifest):
                figures.lost.append(f"{manifest.set_id} fails its restore: {problem}")
            figures.restored += 1
    figures.left += [each for each in model.leftovers(site) if each not in figures.left]


def _some(found: list[T], count: int) -> list[T]:
    """So many of them, evenly spread; all where `count` is negative."""
    if count < 0 or count >= len(found):
        return found
    return [found[index * len(found) // count] for index in range(count)]


def _dismiss(site: Site) -> None:
    """The workers end as a server that shuts down ends them."""
    for name in list(site.crew.hands):
        hand = site.crew.hands.pop(name)
        hand.send(signal.SIGTERM)
        deadline = time.monotonic() + _GOING_SECONDS
        while hand.process is not None and hand.process.poll() is None and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        hand.end()


def _names(chapter: Chapter) -> str:
    return ", ".join(f"{each.fault} after {each.after_seconds:.1f} s for {each.for_seconds:.1f} s"
                     for each in chapter.strikes)
