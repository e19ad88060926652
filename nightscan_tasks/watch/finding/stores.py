"""What is wrong with stores: one that does not answer, lacks copies, fills up, or from which nothing goes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from nightscan_tasks.ledger.reads import Kind as Read
from nightscan_tasks.model import SetId
from nightscan_tasks.settings import Settings
from nightscan_tasks.system import PRIMARY
from nightscan_tasks.watch.overview import Overview, StoreSeen
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
    """Whole sets that an offsite store lacks: their run could not copy them, or replication had its time."""
    if store.name == PRIMARY:
        return
    failed = _not_copied(overview, store.name)
    late = overview.now - timedelta(hours=settings.copy_hours)
    past = {each.set_id for each in overview.removals if each.expires_at <= overview.now}
    lacking = [each for each in overview.sets
               if each.complete and each.set_id not in past  # what is past its time is copied no more
               and all(copy.store != store.name for copy in each.copies)
               and (each.set_id in failed or (each.settled_at or each.set_id.taken_at) <= late)]
    if lacking:
        reason = next((failed[each.set_id] for each in lacking if each.set_id in failed), None)
        yield Problem(Kind.UNCOPIED, store.name, _lateness(overview, store.name),
                      min(each.settled_at or each.set_id.taken_at for each in lacking),
                      {"store": store.name, "sets": [str(each.set_id) for each in lacking], "reason": reason,
                       "newest_at": _newest_in(overview, store.name)})


def _not_copied(overview: Overview, store: str) -> dict[SetId, str]:
    """The sets whose runs could not copy them to a store, and why."""
    return {run.set_id: each.message.partition("\n")[0] for run in overview.runs if run.outcome
            for each in run.outcome.failures if each.part.endswith(f"@{store}")}


def _lateness(overview: Overview, store: str) -> Severity:
    """Critical once the copies are as old as no set may be."""
    newest = {(each.tier, each.component): each.newest for each in overview.freshness
              if each.store == PRIMARY}
    stale = any(each.level is Severity.CRITICAL for each in overview.freshness if each.store == store
                and each.newest != newest.get((each.tier, each.component)))
    return Severity.CRITICAL if stale else Severity.WARNING


def _newest_in(overview: Overview, store: str) -> str | None:
    """When the newest whole set of a store was taken."""
    return next((each.set_id.taken_at.isoformat() for each in overview.sets if each.complete
                 and any(copy.store == store for copy in each.copies)), None)


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
    mended = [each for each in scrubbed.unsettled if each.kind is Read.MENDED]
    if mended:
        yield Problem(Kind.MENDED, store.name, Severity.WARNING, scrubbed.began_at, {
            "store": store.name, "what": mended[0].key, "source": mended[0].source, "number": len(mended)})
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
