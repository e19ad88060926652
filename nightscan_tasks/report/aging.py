"""How old the newest sets are: by tier and store, with those components together that are as old."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nightscan_tasks.model import Tier
from nightscan_tasks.watch.overview import Overview
from nightscan_tasks.watch.problem import Severity


@dataclass(frozen=True)
class Aged:
    """Components of which a store has the newest from the same moment; None: it never had them."""

    components: tuple[str, ...]
    newest_at: datetime | None
    level: Severity | None


def plan_ages(overview: Overview) -> tuple[tuple[Tier, tuple[tuple[str, tuple[Aged, ...]], ...]], ...]:
    """By tier and store; nothing of a store of which nothing is known."""
    tiers = dict.fromkeys(each.tier for each in overview.freshness)
    return tuple((tier, tuple((store.name, _ages(overview, tier, store.name)) for store in overview.stores))
                 for tier in Tier if tier in tiers)


def _ages(overview: Overview, tier: Tier, store: str) -> tuple[Aged, ...]:
    found: dict[tuple[datetime | None, Severity | None], list[str]] = {}
    for each in overview.freshness:
        if each.tier is tier and each.store == store:
            found.setdefault((each.newest_at, each.level), []).append(each.component)
    return tuple(Aged(tuple(components), at, level) for (at, level), components in found.items())
