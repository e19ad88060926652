"""The timetable, in the time zone that `NIGHTSCAN_TIMEZONE` names.

Sunday the 1st has three runs due at 02:00. They queue for the lease, in this order, and none is lost.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery.schedules import crontab

# Unbounded: a broker that is down at the due moment delays a run, and does not lose it.
_SENT_WHATEVER_HAPPENS: dict[str, Any] = {
    "retry": True,
    "retry_policy": {"max_retries": None, "interval_start": 0, "interval_step": 1, "interval_max": 30},
}


def schedule() -> dict[str, dict[str, Any]]:
    """Celery's `beat_schedule`."""
    return {
        "daily": _due("nightscan.backup_daily", crontab(hour="2", minute="0")),
        "weekly": _due("nightscan.backup_weekly", crontab(hour="2", minute="0", day_of_week="sunday")),
        "monthly": _due("nightscan.backup_monthly", crontab(hour="2", minute="0", day_of_month="1")),
        "rotate": _due("nightscan.rotate", crontab(hour="8", minute="0")),
        "scrub": _due("nightscan.scrub", crontab(hour="4", minute="30")),  # when little else runs
        # The guide's monthly test and its yearly simulation: when nothing else is due.
        "drill": _due("nightscan.drill", crontab(hour="10", minute="0", day_of_month="15"),
                      scheduled=True),
        "drill_loss": _due("nightscan.drill", crontab(hour="10", minute="0", day_of_month="20",
                                                      month_of_year="1"),
                           scheduled=True, simulate_loss=True),
        # After the monthly backup, and the first look of the day: it tells how the month ended.
        "monthly_report": _due("nightscan.monthly_report", crontab(hour="9", minute="0", day_of_month="1")),
        "check_freshness": _due("nightscan.check_freshness", crontab(hour="*/6", minute="20")),
        # What is asked often may be skipped: the next one comes soon, and a flood after an outage helps
        # nobody.
        "reap": _often("nightscan.reap", timedelta(minutes=1)),
        "reap_restores": _often("nightscan.reap_restores", timedelta(minutes=5)),
        "make_up": _often("nightscan.make_up", timedelta(minutes=10)),
        "replicate": _often("nightscan.replicate", timedelta(hours=1)),
        "notify": _often("nightscan.notify", timedelta(minutes=15), thorough=True),
    }


def _due(task: str, when: crontab, **kwargs: object) -> dict[str, Any]:
    return {"task": task, "schedule": when, "kwargs": kwargs, "options": _SENT_WHATEVER_HAPPENS}


def _often(task: str, every: timedelta, **kwargs: object) -> dict[str, Any]:
    return {"task": task, "schedule": every, "kwargs": kwargs, "options": {"expires": every.total_seconds()}}
