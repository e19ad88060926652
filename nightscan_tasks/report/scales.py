"""Where the ticks of an axis stand: round numbers of bytes, seconds or shares, and first days of months."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from enum import StrEnum

from babel.dates import format_date

from nightscan_tasks.language import Language

_DECIMAL = (1.0, 2.0, 5.0, 10.0)
_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
_STEPS = 3   # between 0 and the top: as many labels as a small chart bears
_MONTHS = (1, 2, 3, 6, 12)
_LABELS = 5  # days on an axis, at most
_WEEK = 7


class Unit(StrEnum):
    """What an axis measures."""

    BYTES = "bytes"
    SECONDS = "seconds"
    SHARE = "share"  # 1 is all of it

    def write(self, value: float, language: Language) -> str:
        """A value as people read it."""
        if self is Unit.BYTES:
            return language.size(value)
        return language.duration(value) if self is Unit.SECONDS else language.percent(value)


def ticks(top: float, unit: Unit) -> tuple[float, ...]:
    """From 0 to the first round number that is not below `top`."""
    step = _step(max(top, 0.0) / _STEPS, unit)
    reached, found = 0.0, [0.0]
    while reached < top:
        reached += step
        found.append(reached)
    return tuple(found) if len(found) > 1 else (0.0, step)


def _step(least: float, unit: Unit) -> float:
    if least <= 0:
        return 1.0
    if unit is Unit.SECONDS and least > _SECONDS[0]:
        whole = next((each for each in _SECONDS if each >= least), None)
        if whole is not None:
            return float(whole)
    power = 1.0
    while power > least:
        power /= 10
    while power * 10 <= least:
        power *= 10
    return next(power * each for each in _DECIMAL if power * each >= least * (1 - 1e-9))


def days(begin: date, end: date, language: Language) -> tuple[tuple[date, str], ...]:
    """The days that an axis names: the firsts of months, or where there are too few, every so many weeks."""
    firsts = [day for day in _days(begin, end) if day.day == 1]
    for every in _MONTHS:
        chosen = [day for day in firsts if (day.month - 1) % every == 0]
        if len(chosen) <= _LABELS:
            break
    if len(chosen) > 1:
        return tuple((day, _written(day, "LLL" if day.month > 1 else "y", language)) for day in chosen)
    step = max(1, -(-((end - begin).days + 1) // _LABELS))
    step = step if step < _WEEK else -(-step // _WEEK) * _WEEK
    return tuple((day, _written(day, "d MMM", language)) for day in _days(begin, end)
                 if (end - day).days % step == 0)


def _written(day: date, pattern: str, language: Language) -> str:
    return str(format_date(day, pattern, locale=language.locale))


def _days(begin: date, end: date) -> Iterator[date]:
    for count in range((end - begin).days + 1):
        yield begin + timedelta(days=count)
