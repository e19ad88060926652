"""The 3-2-1 rule for the newest whole set: how it stands, in a few words."""

from __future__ import annotations

from dataclasses import dataclass

from nightscan_tasks.report.copies import copies_of
from nightscan_tasks.system import PRIMARY
from nightscan_tasks.watch.overview import Overview


@dataclass(frozen=True)
class Rule:
    """How a set stands by the rule. What is live counts as the first copy, what is damaged as none."""

    set_id: str | None
    copies: int
    media: tuple[str, ...]
    offsite: tuple[str, ...]
    kept: bool


def plan_rule(overview: Overview) -> Rule:
    """The rule, for the newest whole set."""
    newest = next((each for each in overview.sets if each.complete), None)
    if newest is None:
        return Rule(None, 1, (overview.live_medium,), (), kept=False)
    found = copies_of(overview, newest)
    offsite = tuple(place.store for place in found.places if place.counts and place.store != PRIMARY)
    return Rule(str(newest.set_id), found.copies, tuple(sorted(found.media)), offsite,
                kept=found.kept is True)
