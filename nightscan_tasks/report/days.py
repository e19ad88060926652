"""Which days went well: weeks, with a row for each weekday of a tier that runs daily, and one for others.

A day on which something was due and nothing ran is a state of its own, and the worst: nobody else tells it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import groupby
from zoneinfo import ZoneInfo

from nightscan_tasks.language import marked
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import SetId, Tier
from nightscan_tasks.watch.overview import Overview, RunSeen

WEEKS = 53
_WEEKS_AT_LEAST = 13
_GRACE = timedelta(hours=1)  # what was due a moment ago is on its way
_OFTEN = 2                   # more runs a week than this: its days are shown one by one
_WEEKDAYS = 7


class State(StrEnum):
    """How a day, or a week, of a tier went; the first is the worst."""

    MISSING = "missing"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    SUSPICIOUS = "suspicious"
    DEGRADED = "degraded"
    RUNNING = "running"
    GOOD = "good"
    IDLE = "idle"        # nothing was due, and nothing ran
    OUTSIDE = "outside"  # it is still to come, or from before the first run


STATES: Mapping[State, str] = {
    State.GOOD: marked("good"), State.DEGRADED: marked("degraded: not in every store, or not signed"),
    State.SUSPICIOUS: marked("suspicious: far smaller than before"),
    State.INCOMPLETE: marked("incomplete: a component is missing"), State.FAILED: marked("failed"),
    State.MISSING: marked("missing: it was due, and nothing ran"), State.RUNNING: marked("under way"),
    State.IDLE: marked("not due"), State.OUTSIDE: "",
}
_ENDINGS = {Ending.GOOD: State.GOOD, Ending.DEGRADED: State.DEGRADED, Ending.INCOMPLETE: State.INCOMPLETE,
            Ending.FAILED: State.FAILED}
_ORDER = {state: index for index, state in enumerate(State)}
TROUBLES = frozenset({State.MISSING, State.FAILED, State.INCOMPLETE, State.SUSPICIOUS, State.DEGRADED})


@dataclass(frozen=True)
class Happened:
    """What became of a tier on one day; without a run nothing did."""

    tier: Tier
    day: date
    state: State
    run: RunSeen | None = None


@dataclass(frozen=True)
class Cell:
    """One square: of a day, or of the week that begins on it."""

    day: date
    state: State


@dataclass(frozen=True)
class Row:
    """One line of squares, the oldest week first. `weekday` (Monday is 0) where each is one day."""

    tier: Tier
    cells: tuple[Cell, ...]
    weekday: int | None = None


@dataclass(frozen=True)
class Tally:
    """How many days of a tier ended how, in the time that is shown."""

    tier: Tier
    counts: Mapping[State, int]

    @property
    def due(self) -> int:
        """Of how many days anything is known."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Calendar:
    """The weeks by their Mondays, and what happened in them; `troubles` the newest first."""

    weeks: tuple[date, ...]
    rows: tuple[Row, ...]
    tallies: tuple[Tally, ...]
    troubles: tuple[Happened, ...]

    @property
    def tiers(self) -> tuple[tuple[Row, ...], ...]:
        """The rows of each tier."""
        return tuple(tuple(rows) for _, rows in groupby(self.rows, key=lambda row: row.tier))


def plan_calendar(overview: Overview, zone: ZoneInfo, *, weeks: int = WEEKS) -> Calendar:
    """The last so many weeks by days of that zone, this one among them; fewer where nothing ran before."""
    today = overview.now.astimezone(zone).date()
    monday = today - timedelta(days=today.weekday())
    begun = overview.begun_at.astimezone(zone).date() if overview.begun_at else today
    shown = max(_WEEKS_AT_LEAST, min(weeks, -(-(monday - begun).days // _WEEKDAYS) + 1))
    mondays = tuple(monday - timedelta(weeks=back) for back in range(shown - 1, -1, -1))
    begins = max(mondays[0], begun)
    happened = {tier: _happened(overview, tier, zone, begins) for tier in _tiers(overview)}
    rows = [row for tier, days in happened.items() for row in _rows(tier, days, mondays, (begins, today))]
    return Calendar(mondays, tuple(rows),
                    tuple(_tally(tier, days.values()) for tier, days in happened.items() if days),
                    tuple(sorted((each for days in happened.values() for each in days.values()
                                  if each.state in TROUBLES), key=lambda each: each.day, reverse=True)))


def _tiers(overview: Overview) -> tuple[Tier, ...]:
    seen = {*overview.expected_at, *(run.set_id.tier for run in overview.runs)}
    return tuple(tier for tier in Tier if tier in seen)


def _happened(overview: Overview, tier: Tier, zone: ZoneInfo, begins: date) -> dict[date, Happened]:
    """By day, the best of its runs: one that failed and was made up for is well. Absent where nothing was."""
    trusted = {each.set_id for each in overview.sets if each.trusted}
    found: dict[date, Happened] = {}
    for run in overview.runs:
        day = run.opened_at.astimezone(zone).date()
        if run.set_id.tier is tier and day >= begins:
            seen = Happened(tier, day, _state(run, trusted), run)
            found[day] = max(seen, found.get(day, seen), key=lambda each: _ORDER[each.state])
    for at in overview.expected_at.get(tier, ()):
        day = at.astimezone(zone).date()
        if day >= begins and at <= overview.now - _GRACE and _after_start(overview, at):
            found.setdefault(day, Happened(tier, day, State.MISSING))
    return found


def _after_start(overview: Overview, at: datetime) -> bool:
    return overview.begun_at is not None and at >= overview.begun_at


def _state(run: RunSeen, trusted: set[SetId]) -> State:
    if run.outcome is None:
        return State.RUNNING
    state = _ENDINGS[run.outcome.ending]
    if state in {State.GOOD, State.DEGRADED} and run.outcome.suspicious and run.set_id not in trusted:
        return State.SUSPICIOUS
    return state


def _rows(tier: Tier, days: Mapping[date, Happened], mondays: tuple[date, ...],
          span: tuple[date, date]) -> list[Row]:
    by_week: dict[date, list[Happened]] = defaultdict(list)
    for each in days.values():
        by_week[each.day - timedelta(days=each.day.weekday())].append(each)
    if tier is not Tier.DAILY and max(map(len, by_week.values()), default=0) <= _OFTEN:
        return [Row(tier, tuple(Cell(monday, _worst(by_week[monday], monday, span)) for monday in mondays))]
    rows = []
    for weekday in range(_WEEKDAYS):
        shown = [monday + timedelta(days=weekday) for monday in mondays]
        rows.append(Row(tier, tuple(Cell(day, days[day].state if day in days else _empty(day, day, span))
                                    for day in shown), weekday))
    return rows


def _worst(happened: Iterable[Happened], monday: date, span: tuple[date, date]) -> State:
    states = [each.state for each in happened]
    if states:
        return min(states, key=lambda state: _ORDER[state])
    return _empty(monday, monday + timedelta(days=_WEEKDAYS - 1), span)


def _empty(first: date, last: date, span: tuple[date, date]) -> State:
    begins, today = span
    return State.OUTSIDE if last < begins or first > today else State.IDLE


def _tally(tier: Tier, happened: Iterable[Happened]) -> Tally:
    counts: dict[State, int] = dict.fromkeys(State, 0)
    for each in happened:
        counts[each.state] += 1
    return Tally(tier, {state: count for state, count in counts.items() if count})
