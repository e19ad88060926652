"""What is wrong with sets: not verified, damaged, far too small, or far too large."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from statistics import median

from nightscan_tasks.model import Tier
from nightscan_tasks.settings import Settings
from nightscan_tasks.watch.overview import Overview, SetSeen
from nightscan_tasks.watch.problem import Kind, Problem, Severity

_PREDECESSORS = 7
_FEWEST = 3  # with fewer to compare with, growth is how everything begins
_SMALL_BYTES = 10_000_000  # what is as small may double in a day, and nobody minds


def problems(overview: Overview, settings: Settings) -> Iterator[Problem]:
    """Of the newest whole set of each tier; damage of any."""
    for tier in overview.tiers:
        newest = next((each for each in overview.sets if each.set_id.tier is tier), None)
        whole = next((each for each in overview.sets if each.set_id.tier is tier and each.complete), None)
        if whole is not None:
            yield from _unverified(overview, whole, settings)
            yield from _jumps(overview, whole, settings)
        if newest is not None and newest.suspicious and not newest.trusted:
            yield Problem(Kind.SUSPICIOUS, str(newest.set_id), Severity.CRITICAL, newest.settled_at,
                          {"set_id": str(newest.set_id), "reasons": list(newest.suspicious)})
    for each in overview.sets:
        yield from _damaged(each)


def _unverified(overview: Overview, seen: SetSeen, settings: Settings) -> Iterator[Problem]:
    late = timedelta(hours=settings.verify_hours)
    settled = seen.settled_at or seen.set_id.taken_at
    stores = [copy.store for copy in seen.copies if copy.verified_at is None]
    if stores and overview.now - settled > late:
        yield Problem(Kind.UNVERIFIED, seen.set_id.tier.value, Severity.WARNING, settled + late,
                      {"set_id": str(seen.set_id), "stores": list(stores)})


def _damaged(seen: SetSeen) -> Iterator[Problem]:
    for copy in seen.copies:
        if copy.problems:
            yield Problem(Kind.DAMAGED, f"{seen.set_id}@{copy.store}", Severity.CRITICAL, copy.verified_at, {
                "store": copy.store, "what": str(seen.set_id), "problem": copy.problems[0].partition("\n")[0],
                "number": len(copy.problems)})
    if seen.problem:
        yield Problem(Kind.DAMAGED, f"{seen.set_id}@manifest", Severity.CRITICAL, None, {
            "store": seen.copies[0].store if seen.copies else "", "what": str(seen.set_id),
            "problem": seen.problem.partition("\n")[0], "number": 1})


def _jumps(overview: Overview, seen: SetSeen, settings: Settings) -> Iterator[Problem]:
    """A component that outgrew the median of its predecessors, whatever their tier."""
    if not settings.jump_percent or seen.trusted or seen.set_id.tier is Tier.PRE_RESTORE:
        return
    for component, now in seen.components.items():
        before = [each.components[component].plain_bytes for each in overview.sets
                  if each.complete and each.set_id.taken_at < seen.set_id.taken_at
                  and component in each.components][:_PREDECESSORS]
        if len(before) < _FEWEST:
            continue
        usual = median(before)
        if now.plain_bytes > max(usual * (1 + settings.jump_percent / 100), usual + _SMALL_BYTES):
            yield Problem(Kind.JUMP, f"{seen.set_id.tier} {component}", Severity.WARNING, seen.settled_at, {
                "set_id": str(seen.set_id), "component": component, "plain_bytes": now.plain_bytes,
                "usual_bytes": round(usual), "number": len(before)})
