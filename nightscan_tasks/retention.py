"""Which sets go, and why: decided purely, then done.

Removing needs proof. Whatever is unclear (the newest set is not verified, the clock may have jumped,
a restore reads a set) keeps everything, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from nightscan_tasks.model import Keep, Manifest, SetId, Tier


@dataclass(frozen=True)
class Verdict:
    """What happens to one set, and the reason in words."""

    set_id: SetId
    remove: bool
    reason: str


@dataclass(frozen=True)
class Rotation:
    """A plan for one store: a verdict on every set, and, where nothing may go now, why."""

    store: str
    verdicts: tuple[Verdict, ...]
    held: str | None = None

    @property
    def remove(self) -> tuple[SetId, ...]:
        """The sets to remove, the oldest first."""
        return tuple(sorted((verdict.set_id for verdict in self.verdicts if verdict.remove),
                            key=lambda set_id: set_id.taken_at))

    @property
    def keep(self) -> tuple[SetId, ...]:
        """The sets that stay."""
        return tuple(verdict.set_id for verdict in self.verdicts if not verdict.remove)


@dataclass(frozen=True)
class Evidence:
    """What is known beside the sets themselves.

    `verified` are sets whose every byte was read back whole from this store; `reading` are sets that a
    restore reads now; `last_seen` is the latest moment that anything in the store was written.
    """

    verified: frozenset[SetId] = frozenset()
    reading: frozenset[SetId] = frozenset()
    last_seen: datetime | None = None
    stale_after: timedelta = field(default=timedelta(days=2))


def plan_rotation(sets: Iterable[Manifest], *, store: str, keep: Mapping[Tier, Keep], evidence: Evidence,
                  now: datetime) -> Rotation:
    """A verdict on every set of a store, by each tier's retention. Never removes

    - the last good set of a tier, which is the newest complete one that was verified, or where none
      was, the newest complete one;
    - anything while the newest complete set is unverified, or older than `stale_after` (backups stopped,
      or the clock jumped ahead), or while something in the store is from the future (it jumped back);
    - a set that a restore reads.
    """
    ordered = sorted(sets, key=lambda manifest: manifest.set_id.taken_at, reverse=True)
    held = _held(ordered, evidence, now)
    last_good = {_last_good(ordered, tier, evidence) for tier in Tier}
    verdicts = [_verdict(manifest, keep, last_good, evidence, now) for manifest in ordered]
    if held:
        verdicts = [Verdict(verdict.set_id, remove=False,
                            reason=f"held, otherwise removed: {verdict.reason}" if verdict.remove
                            else verdict.reason) for verdict in verdicts]
    return Rotation(store, tuple(verdicts), held)


def _held(ordered: list[Manifest], evidence: Evidence, now: datetime) -> str | None:
    newest = next((manifest.set_id for manifest in ordered if manifest.complete), None)
    if newest is None:
        return "there is no complete set"
    future = max([newest.taken_at, *([evidence.last_seen] if evidence.last_seen else [])])
    if future > now + timedelta(minutes=5):
        return (f"the clock says {now:%Y-%m-%d %H:%M} UTC, but the store holds something from "
                f"{future:%Y-%m-%d %H:%M} UTC: check the clock")
    if now - newest.taken_at > evidence.stale_after:
        return (f"the newest complete set, {newest}, is {_age(now - newest.taken_at)} old: backups have "
                f"stopped, or the clock has jumped; nothing is removed before there is a new one")
    if newest not in evidence.verified:
        return (f"the newest complete set, {newest}, is not verified in this store; "
                f"run `nightscan verify {newest}`")
    return None


def _last_good(ordered: list[Manifest], tier: Tier, evidence: Evidence) -> SetId | None:
    complete = [m.set_id for m in ordered if m.set_id.tier == tier and m.complete]
    return next((set_id for set_id in complete if set_id in evidence.verified),
                complete[0] if complete else None)


def _verdict(manifest: Manifest, keep: Mapping[Tier, Keep], last_good: set[SetId | None],
             evidence: Evidence, now: datetime) -> Verdict:
    set_id = manifest.set_id
    age = _age(now - set_id.taken_at)
    rule = keep.get(set_id.tier, Keep())
    if not rule.expired(set_id.taken_at, now=now):
        return Verdict(set_id, remove=False, reason=f"{age} old, kept {rule}")
    if set_id in last_good:
        return Verdict(set_id, remove=False, reason=f"{age} old, but the last good {set_id.tier} set")
    if set_id in evidence.reading:
        return Verdict(set_id, remove=False, reason=f"{age} old, but a restore reads it")
    what = "" if manifest.complete else "incomplete, "
    return Verdict(set_id, remove=True, reason=f"{what}{age} old, kept {rule}")


def _age(age: timedelta) -> str:
    if age >= timedelta(days=2):
        return f"{age.days} days"
    return f"{age.total_seconds() / 3600:.0f} hours"
