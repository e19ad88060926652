"""The application with a timetable for the impatient: what is done hourly is done every few seconds.

`celery -A chaos.timetable beat`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from worker.app import app

_EVERY_SECONDS = {"nightscan.reap": 1, "nightscan.replicate": 4, "nightscan.rotate": 15}


def _entry(task: str, seconds: float) -> dict[str, Any]:
    return {"task": task, "schedule": timedelta(seconds=seconds), "options": {"expires": 3 * seconds}}


app.conf.beat_schedule = {task: _entry(task, seconds) for task, seconds in _EVERY_SECONDS.items()}
app.conf.beat_max_loop_interval = 0.5

__all__ = ["app"]
