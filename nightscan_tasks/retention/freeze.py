"""Why nothing goes: from a whole store, or of one tier."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from nightscan_tasks.model import Manifest, Tier
from nightscan_tasks.retention.clock import distrusted
from nightscan_tasks.retention.evidence import Entry, Evidence
from nightscan_tasks.wording import age


def store_frozen(entries: Sequence[Entry], evidence: Evidence, now: datetime) -> str | None:
    """Why nothing may go from the store now, or None. `entries` are its sets, the newest first."""
    newest = _newest_complete(entries)
    if problem := distrusted(evidence, now):
        return problem
    if newest is None:
        return "there is no complete set"
    if now - newest.set_id.taken_at > evidence.stale_after:
        return (f"the newest complete set, {newest.set_id}, is {age(newest.set_id.taken_at, now)} old: "
                f"backups have stopped, or the clock has jumped; nothing goes before there is a new one")
    return _wrong(entries, evidence)


def frozen_tiers(entries: Sequence[Entry], evidence: Evidence) -> dict[Tier, str]:
    """Why nothing of a tier may go from the store now, by tier; the others are as they should be."""
    found = {tier: _wrong([each for each in entries if each.set_id.tier is tier], evidence, tier)
             for tier in Tier}
    return {tier: problem for tier, problem in found.items() if problem}


def _wrong(entries: Sequence[Entry], evidence: Evidence, tier: Tier | None = None) -> str | None:
    """What is wrong with the newest set, here or in the primary store, or with the newest complete one."""
    published = [each for each in evidence.published if tier in {None, each.set_id.tier}]
    for newest_set in (max(each, key=_order) for each in (published, entries) if each):
        if newest_set.set_id not in evidence.trusted and (problem := _blemish(newest_set)):
            return f"the newest set, {newest_set.set_id}, {problem}"
    newest = _newest_complete(entries)
    if newest is None or newest.set_id in evidence.verified:
        return None
    if newest.set_id in evidence.damaged:
        return (f"the newest complete set, {newest.set_id}, is damaged in this store: "
                f"`nightscan verify {newest.set_id}` says where, `nightscan scrub --repair` mends it")
    return (f"the newest complete set, {newest.set_id}, is not verified in this store; "
            f"run `nightscan verify {newest.set_id}`")


def _blemish(entry: Entry) -> str | None:
    advice = f'take a new one, or, if it is as it should be: nightscan trust {entry.set_id} --why "…"'
    if not isinstance(entry, Manifest):
        return f"has a manifest that cannot be read: {advice}"
    if not entry.complete:
        failed = ", ".join(failure.part for failure in entry.failures) or "some of it"
        return f"is incomplete ({failed} failed): {advice}"
    if entry.suspicious:
        return f"is suspicious ({'; '.join(entry.suspicious)}): look at what is live first; {advice}"
    return None


def _newest_complete(entries: Iterable[Entry]) -> Manifest | None:
    return next((each for each in entries if isinstance(each, Manifest) and each.complete), None)


def _order(entry: Entry) -> tuple[datetime, Tier]:
    return entry.set_id.taken_at, entry.set_id.tier
