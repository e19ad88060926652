"""The timetable as moments: when something is due next, and when it was due."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from celery.schedules import crontab

from nightscan_tasks.model import Tier
from nightscan_tasks.watch.overview import Due

_TIERS = {f"nightscan.backup_{tier}": tier for tier in Tier}
_AHEAD_DAYS = 400


def due_next(timetable: Mapping[str, Mapping[str, Any]], *, now: datetime, zone: ZoneInfo) -> tuple[Due, ...]:
    """The next moment of every entry that has a time of day, the earliest first."""
    found = []
    for entry in timetable.values():
        when = entry["schedule"]
        if isinstance(when, crontab):
            later = (at for at in moments(when, now, now + timedelta(days=_AHEAD_DAYS), zone) if at > now)
            found += [Due(str(entry["task"]), at) for at in [next(later, None)] if at is not None]
    return tuple(sorted(found, key=lambda due: due.at))


def due_before(timetable: Mapping[str, Mapping[str, Any]], *, since: datetime, now: datetime,
               zone: ZoneInfo) -> dict[Tier, tuple[datetime, ...]]:
    """When each tier of the timetable was due, from `since` up to now, the oldest first."""
    return {_TIERS[entry["task"]]: tuple(moments(entry["schedule"], since, now, zone))
            for entry in timetable.values()
            if entry["task"] in _TIERS and isinstance(entry["schedule"], crontab)}


def moments(when: crontab, since: datetime, until: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Every moment of a crontab from `since` to `until`, as Celery's has them: day of week *and* of month."""
    day = since.astimezone(zone).date()
    while day <= until.astimezone(zone).date():
        if _has(when, day):
            for hour in sorted(when.hour):
                for minute in sorted(when.minute):
                    at = datetime.combine(day, time(hour, minute), zone).astimezone(UTC)
                    if since <= at <= until:
                        yield at
        day += timedelta(days=1)


def _has(when: crontab, day: date) -> bool:
    return (day.isoweekday() % 7 in when.day_of_week and day.day in when.day_of_month
            and day.month in when.month_of_year)
