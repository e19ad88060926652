"""What is wrong with keys: they expire, or cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from nightscan_tasks.settings import Settings
from nightscan_tasks.watch.overview import Overview
from nightscan_tasks.watch.problem import Kind, Problem, Severity

_ALARM_DAYS = 7


def problems(overview: Overview, settings: Settings) -> Iterator[Problem]:
    """Of each key that is used, if they were looked at."""
    for key in overview.keys or ():
        if key.problem:
            yield Problem(Kind.KEY_UNUSABLE, key.use, Severity.CRITICAL, None,
                          {"use": key.use, "name": key.name, "problem": key.problem})
        elif key.expires_at and key.expires_at - overview.now < timedelta(days=settings.key_days):
            soon = key.expires_at - overview.now < timedelta(days=_ALARM_DAYS)
            yield Problem(Kind.KEY_EXPIRES, key.use, Severity.CRITICAL if soon else Severity.WARNING, None, {
                "use": key.use, "name": key.name, "expires_on": key.expires_at.date().isoformat()})
