"""What is wrong with stores: one that does not answer, lacks copies, fills up, or from which nothing goes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from nightscan_tasks.ledger.reads import Kind as Read
from nightscan_tasks.settings import Settings
from nightscan_tasks.system import PRIMARY
from nightscan_tasks.watch.overview import Overview, SetSeen, StoreSeen
from nightscan_tasks.watch.problem import Kind, Problem, Severity

_ALARM_DAYS = 7


def problems(overview: Overview, settings: Settings) -> Iterator[Problem]:
    """Of every store."""
    if overview.stores and not any(store.name != PRIMARY for store in overview.stores):
        yield Problem(Kind.NO_OFFSITE, "offsite", Severity.WARNING)
    for store in overview.stores:
        if not store.answers:
            severity = Severity.CRITICAL if store.name == PRIMARY else Severity.WARNING
            yield Problem(Kind.UNREACHABLE, store.name, severity, None,
                          {"store": store.name, "url": store.url, "problem": store.problem})
            continue
        yield from _uncopied(overview, store, settings)
        yield from _filling(overview, store, settings)
        yield from _scrubbed(overview, store, settings)
    yield from _frozen(overview)


def _uncopied(overview: Overview, store: StoreSeen, settings: Settings) -> Iterator[Problem]:
    """Whole sets that an offsite store should have had for a while."""
    if store.name == PRIMARY:
        return
    late = overview.now - timedelta(hours=settings.copy_hours)
    lacking = [each for each in overview.sets if each.complete and _is_due(each, late, overview)
               and all(copy.store != store.name for copy in each.copies)]
    if lacking:
        oldest = lacking[-1]
        yield Problem(Kind.UNCOPIED, store.name, Severity.WARNING,
                      (oldest.settled_at or oldest.set_id.taken_at) + timedelta(hours=settings.copy_hours),
                      {"store": store.name, "sets": [str(each.set_id) for each in lacking]})


def _is_due(seen: SetSeen, late: datetime, overview: Overview) -> bool:
    """Whether replication had its time; what is past its own is not copied any more."""
    settled = seen.settled_at or seen.set_id.taken_at
    past = {each.set_id for each in overview.removals if each.expires_at <= overview.now}
    return settled <= late and seen.set_id not in past


def _filling(overview: Overview, store: StoreSeen, settings: Settings) -> Iterator[Problem]:
    filling = store.filling
    if filling is None:
        return
    left = (filling.full_on - overview.now.date()).days if filling.full_on else None
    need = max((each.stored_bytes for each in overview.sets[:10]), default=0)
    if filling.free_bytes <= need or (left is not None and left <= settings.full_days):
        soon = filling.free_bytes <= need or (left is not None and left <= _ALARM_DAYS)
        yield Problem(Kind.FILLING, store.name, Severity.CRITICAL if soon else Severity.WARNING, None, {
            "store": store.name, "free_bytes": filling.free_bytes, "bytes_per_day": filling.bytes_per_day,
            "full_on": filling.full_on.isoformat() if filling.full_on else None,
            "largest_bytes": need})


def _scrubbed(overview: Overview, store: StoreSeen, settings: Settings) -> Iterator[Problem]:
    scrubbed = store.scrubbed
    if scrubbed is None:
        return
    damaged = [each for each in scrubbed.unsettled if each.kind is not Read.MENDED]
    if damaged:
        yield Problem(Kind.DAMAGED, f"files@{store.name}", Severity.CRITICAL, scrubbed.began_at, {
            "store": store.name, "what": damaged[0].key, "problem": damaged[0].what,
            "number": len(damaged)})
    late = timedelta(days=settings.scrub_days + 1)
    if scrubbed.oldest_at is not None and overview.now - scrubbed.oldest_at > late:
        yield Problem(Kind.UNSCRUBBED, store.name, Severity.WARNING, scrubbed.oldest_at + late, {
            "store": store.name, "oldest_at": scrubbed.oldest_at.isoformat(), "days": settings.scrub_days})


def _frozen(overview: Overview) -> Iterator[Problem]:
    """Rotation that removes nothing. Of a tier that is frozen in all stores one is told once."""
    told: dict[str, list[str]] = {}
    for subject in overview.frozen:
        store, _, tier = subject.partition(" ")
        told.setdefault(tier, []).append(store)
    for tier, stores in told.items():
        reason = overview.frozen[f"{stores[0]} {tier}".strip()]
        yield Problem(Kind.FROZEN, tier or "all", Severity.WARNING, overview.frozen_since,
                      {"tier": tier, "stores": list(stores), "reason": reason})
