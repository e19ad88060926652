"""How old the newest of everything is: per tier, component and store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from nightscan_tasks.model import Plan, Tier
from nightscan_tasks.settings import Settings
from nightscan_tasks.watch.overview import Freshness, SetSeen
from nightscan_tasks.watch.problem import Severity


def plan_freshness(sets: Sequence[SetSeen], *, plans: Mapping[Tier, Plan], stores: Sequence[str],
                   settings: Settings, now: datetime, begun_at: datetime | None) -> tuple[Freshness, ...]:
    """One for each component of the tiers that may become stale, in each store.

    A set counts for the components that it has, also where others of it failed. What was never saved is
    stale from `begun_at` on, the first run of all; without one it is critical at once. Sets that were taken
    by a clock in the future count for nothing.
    """
    past = [each for each in sets if each.set_id.taken_at <= now]
    return tuple(each for tier, plan in plans.items() if (limits := settings.stale_seconds(tier))
                 for store in stores
                 for each in _of_tier(past, plan, store, limits, now=now, begun_at=begun_at))


def _of_tier(sets: Sequence[SetSeen], plan: Plan, store: str, limits: tuple[int, int], *, now: datetime,
             begun_at: datetime | None) -> Iterator[Freshness]:
    there = [each for each in sets if each.set_id.tier is plan.tier
             and any(copy.store == store for copy in each.copies)]
    for component in plan.components:
        newest = max((each.set_id for each in there if component in each.components),
                     key=lambda set_id: set_id.taken_at, default=None)
        since = newest.taken_at if newest else begun_at
        yield Freshness(plan.tier, component, store, newest, _level(since, limits, now))


def _level(since: datetime | None, limits: tuple[int, int], now: datetime) -> Severity | None:
    if since is None:
        return Severity.CRITICAL
    warning, critical = limits
    seconds = (now - since).total_seconds()
    if seconds >= critical:
        return Severity.CRITICAL
    return Severity.WARNING if seconds >= warning else None
