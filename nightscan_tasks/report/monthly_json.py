"""A month's report as JSON: the guide's keys, as people read them, beside exact figures."""

from __future__ import annotations

from typing import Any

from nightscan_tasks import wire
from nightscan_tasks.language import Language
from nightscan_tasks.report.monthly import Figure, MonthlyReport
from nightscan_tasks.report.monthly_advice import advise


def render(report: MonthlyReport, language: Language) -> bytes:
    """UTF-8, with a newline at its end."""
    return wire.encode(as_json(report, language))


def as_json(report: MonthlyReport, language: Language) -> dict[str, Any]:
    """`backup_success_rate` and the guide's other keys; null is not known, and `not_known` says why.

    `figures` has everything exactly, in bytes, seconds and shares of 1.
    """
    rate, growth = report.success_rate.value, report.growth.value
    named = {"backup_success_rate": report.success_rate, "average_backup_size": report.average_bytes,
             "average_backup_time": report.average_seconds, "storage_growth_rate": report.growth,
             "recovery_tests.average_rto": report.recovery}
    return {
        "month": str(report.month),
        "backup_success_rate": None if rate is None else round(100 * rate, 1),
        "average_backup_size": _written(report.average_bytes, language.size),
        "average_backup_time": _written(report.average_seconds, language.duration),
        "storage_growth_rate": None if growth is None else _growth(growth, language),
        "recovery_tests": {"performed": report.drills_performed, "successful": report.drills_passed,
                           "average_rto": _written(report.recovery, language.duration)},
        "not_known": {name: language.text(figure.why) for name, figure in named.items()
                      if figure.value is None},
        "recommendations": [advise(each, language) for each in report.advice],
        "figures": wire.plain(report),
    }


def _written(figure: Figure, write: Any) -> str | None:
    return None if figure.value is None else str(write(figure.value)).replace("\u202f", " ")


def _growth(share: float, language: Language) -> str:
    change = f"{'+' if share >= 0 else ''}{language.percent(share, digits=1)}".replace("\u202f", " ")
    return language.text("{change} per month", change=change)
