"""The task that makes the monthly report, keeps it, and mails it."""

from __future__ import annotations

from celery import Task, shared_task

from nightscan_tasks.errors import Busy
from nightscan_tasks.language import language
from nightscan_tasks.model import Json
from nightscan_tasks.report.monthly import Month
from nightscan_tasks.report.monthly_keeping import Shelf
from nightscan_tasks.report.monthly_making import last_month, obtain
from nightscan_tasks.report.monthly_sending import NotMailedYet, mail, refuse_unsent
from nightscan_tasks.system import System
from nightscan_tasks.tasks.arguments import checked
from nightscan_tasks.tasks.glancing import glance


@shared_task(name="nightscan.monthly_report", bind=True, autoretry_for=(Busy, NotMailedYet), max_retries=12,
             retry_backoff=60, retry_backoff_max=7200)
@checked
def monthly_report(self: Task, month: str | None = None, *, occasion: str = "") -> dict[str, Json]:  # noqa: ARG001 - retried through it
    """Report on a month, `2026-10`, or the one that is over: keep the report, and mail it.

    It is kept first. A mail that does not get through is tried again for hours, and then fails the task.
    Delivered twice, it mails nobody twice. On an `occasion` of somebody's own it mails to all, whoever got
    it before, and fails at once where that somebody waits for it.
    """
    system = System.from_env()
    wanted = Month.parse(month) if month else last_month(system.clock(), system.settings.zone)
    report = obtain(system, wanted, lambda: glance(system))
    Shelf(system.primary).keep(report)
    words = language(system.settings.language, system.settings.zone)
    mailed = mail(system, report, words, occasion=occasion)
    refuse_unsent(wanted, mailed, waited_for=bool(occasion))
    return {"month": str(wanted), "sent": list(mailed.sent), "before": list(mailed.before),
            "advice": [each.rule for each in report.advice]}
