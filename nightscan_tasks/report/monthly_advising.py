"""What to do, as far as it follows from figures. Each rule states its trigger; none speaks without one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from nightscan_tasks.model import COMPONENTS
from nightscan_tasks.report.monthly import Advice, MonthlyReport, RecoveryTime, RunLine
from nightscan_tasks.system import PRIMARY

LEAST_SUCCESS = 0.95
INCOMPRESSIBLE = 0.9             # of its plain size: what is stored of a database
FULL_WITHIN = timedelta(days=180)
CLOSE_TO_OBJECTIVE = 0.8
DOUBLING_MONTHS = 12
LATE_DETECTION_SECONDS = 12 * 3600  # twice what lies between two looks
SLOWER, NOT_LARGER = 0.25, 0.10  # than in the month before
OLD_SHARE = 0.2                  # of a store's bytes, in sets older than half a year
_COMPRESSIBLE = ("database", "redis")


def plan_advice(report: MonthlyReport) -> Iterator[Advice]:
    """What follows from the figures of a month, the most urgent first; nothing from a month without any."""
    if report.empty:
        return
    yield from _runs(report)
    yield from _sets(report)
    yield from _drills(report)
    yield from _detection(report)
    yield from _stores(report)
    yield from _sizes(report)


def _runs(report: MonthlyReport) -> Iterator[Advice]:
    rate = report.success_rate.value
    if rate is not None and rate < LEAST_SUCCESS and (worst := _worst(report.runs)):
        component, error, message, times = worst
        yield Advice("success_rate", {"rate_share": rate, "least_share": LEAST_SUCCESS, "times": times,
                                      "component": component, "error": error, "said": message})
    missed = sum(len(each.missed_at) for each in report.tiers)
    if missed:
        moments = [at for each in report.tiers for at in each.missed_at]
        yield Advice("missed", {"times": missed, "from_at": min(moments).isoformat(),
                                "to_at": max(moments).isoformat()})


def _worst(runs: tuple[RunLine, ...]) -> tuple[str, str, str, int] | None:
    """The component that failed in the most runs, its most frequent error, and in how many runs."""
    failed: Counter[str] = Counter()
    errors: dict[str, Counter[tuple[str, str]]] = {}
    for run in runs:
        told: dict[str, tuple[str, str]] = {}
        for each in run.failures:
            component = each.part.partition(".")[0]
            if "@" not in each.part and not run.succeeded:
                told.setdefault(component, (each.error, each.message.partition("\n")[0]))
        failed.update(told.keys())
        for component, error in told.items():
            errors.setdefault(component, Counter())[error] += 1
    if not failed:
        return None
    order = {component: number for number, component in enumerate(COMPONENTS)}
    worst, times = min(failed.items(), key=lambda each: (-each[1], order.get(each[0], len(order))))
    (name, said), _ = errors[worst].most_common(1)[0]
    return worst, name, said, times


def _sets(report: MonthlyReport) -> Iterator[Advice]:
    doubtful = [run for run in report.runs if run.suspicious and not run.trusted]
    if doubtful:
        yield Advice("suspicious", {"times": len(doubtful), "set": str(doubtful[0].set_id),
                                    "reason": doubtful[0].suspicious[0]})
    for store in report.stores:
        if store.damaged:
            yield Advice("damaged", {"store": store.name, "times": store.damaged})
        unread = store.wanted - store.verified
        if store.wanted and unread > 0:
            yield Advice("unverified", {"store": store.name, "times": unread, "of": store.wanted})
    if report.encrypted is False:
        yield Advice("not_encrypted")


def _drills(report: MonthlyReport) -> Iterator[Advice]:
    if not report.drills_performed and report.is_over:
        yield Advice("no_drill")
    elif report.drills and len((last := report.drills[-1]).problems) > len(last.too_slow):
        yield Advice("drill_failed", {"drilled_at": last.drilled_at.isoformat(),
                                      "problem": last.problems[0].partition("\n")[0]})
    for each in report.recovery_times:
        if each.share > CLOSE_TO_OBJECTIVE:
            yield Advice("too_slow" if each.share > 1 else "nearly_too_slow", _timed(each))
    losses = [each.loss_seconds for each in report.drills if each.loss_seconds is not None]
    if losses and max(losses) > report.objective_loss_seconds:
        yield Advice("loss", {"loss_seconds": max(losses),
                              "objective_seconds": report.objective_loss_seconds})


def _timed(each: RecoveryTime) -> dict[str, str | float]:
    return {"component": each.component, "longest_seconds": each.longest_seconds,
            "objective_seconds": each.objective_seconds, "used_share": each.share}


def _detection(report: MonthlyReport) -> Iterator[Advice]:
    late = [seconds for each in report.incidents if (seconds := each.detection_seconds) is not None
            and seconds > LATE_DETECTION_SECONDS and each.noticed_at >= report.begins_at]
    if late:
        yield Advice("noticed_late", {"times": len(late), "longest_seconds": max(late),
                                      "limit_seconds": LATE_DETECTION_SECONDS})
    if not report.alerts_known:
        yield Advice("never_looked")


def _stores(report: MonthlyReport) -> Iterator[Advice]:
    if report.stores and not [each for each in report.stores if each.name != PRIMARY]:
        yield Advice("no_offsite")
    for each in report.stores:
        if each.full_on and each.full_on - report.written_at.date() < FULL_WITHIN:
            yield Advice("full_soon", {"store": each.name, "full_on": each.full_on.isoformat(),
                                       "stored_bytes": each.stored_bytes})
        if each.late:
            yield Advice("late_copies", {"store": each.name, "times": each.late, "of": each.wanted})
        if each.stored_bytes and each.old_bytes / each.stored_bytes >= OLD_SHARE and each.name != PRIMARY:
            yield Advice("old_sets", {"store": each.name, "old_bytes": each.old_bytes,
                                      "old_share": each.old_bytes / each.stored_bytes})


def _sizes(report: MonthlyReport) -> Iterator[Advice]:
    growth = report.growth.value
    if growth and growth > 0 and (months := math.log(2) / math.log1p(growth)) <= DOUBLING_MONTHS:
        yield Advice("doubling", {"growth_share": growth, "months": round(months, 1)})
    for each in report.components:
        stored, plain = each.stored_bytes.value, each.plain_bytes.value
        if each.component in _COMPRESSIBLE and stored and plain and stored / plain >= INCOMPRESSIBLE:
            yield Advice("incompressible", {"component": each.component, "stored_share": stored / plain})
    seconds, size = report.average_seconds.change, report.average_bytes.change
    if seconds is not None and size is not None and seconds > SLOWER and size < NOT_LARGER:
        yield Advice("slower", {"slower_share": seconds, "larger_share": size,
                                "average_seconds": report.average_seconds.value})
