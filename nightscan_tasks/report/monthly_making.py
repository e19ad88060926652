"""A report is made, or found where it was kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from nightscan_tasks.report.monthly import Month, MonthlyReport
from nightscan_tasks.report.monthly_computing import compute
from nightscan_tasks.report.monthly_keeping import Shelf
from nightscan_tasks.report.monthly_reading import look_back
from nightscan_tasks.system import System
from nightscan_tasks.watch.overview import Overview

Glance = Callable[[], Overview]
"""Looks at everything: `tasks.glancing.glance`, which only those above this may know."""


def last_month(now: datetime, zone: ZoneInfo) -> Month:
    """The one that is over."""
    return Month.of(now, zone).before


def make(system: System, month: Month, overview: Overview) -> MonthlyReport:
    """The report of a month from what the ledger has now; `StoreError` where it does not answer."""
    return compute(month, overview, look_back(system, month, overview), zone=system.settings.zone)


def obtain(system: System, month: Month, glance: Glance, *, anew: bool = False) -> MonthlyReport:
    """The report of a month as it was kept once the month was over, or else made now.

    What was mailed and what is shown later are so the same. `anew` makes it from the ledger all the same.
    """
    kept = None if anew else Shelf(system.primary).find(month)
    return kept if kept is not None and kept.is_over else make(system, month, glance())


def find(system: System, month: Month, overview: Overview) -> MonthlyReport | None:
    """The report of a month as `obtain` has it; None of one before all records that nobody kept."""
    begun, zone = overview.begun_at, system.settings.zone
    if begun is not None and month < Month.of(begun, zone) and Shelf(system.primary).find(month) is None:
        return None
    return obtain(system, month, lambda: overview)
