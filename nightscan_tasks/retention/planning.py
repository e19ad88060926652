"""The verdict on every set of a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from nightscan_tasks.model import Keep, Manifest, SetId, Tier
from nightscan_tasks.retention.clock import TOLERANCE
from nightscan_tasks.retention.evidence import Elsewhere, Entry, Evidence, Policy, Sighting
from nightscan_tasks.retention.freeze import frozen_tiers, store_frozen
from nightscan_tasks.retention.standing import Standing, has_to_stay, standing
from nightscan_tasks.wording import age, minute

_WORDS = {Standing.GOOD: "good", Standing.UNVERIFIED: "not verified", Standing.SUSPICIOUS: "suspicious",
          Standing.DAMAGED: "damaged"}


@dataclass(frozen=True)
class Verdict:
    """What happens to one set, and the reason in words."""

    set_id: SetId
    remove: bool
    reason: str


@dataclass(frozen=True)
class Rotation:
    """A plan for one store, or what was done: a verdict on every set, the newest first.

    `held` says why nothing may go at all now, `frozen` why nothing of a tier.
    """

    store: str
    verdicts: tuple[Verdict, ...]
    held: str | None = None
    frozen: Mapping[Tier, str] = field(default_factory=dict)

    @property
    def remove(self) -> tuple[SetId, ...]:
        """The sets to remove, the oldest first."""
        return tuple(sorted((verdict.set_id for verdict in self.verdicts if verdict.remove),
                            key=lambda set_id: set_id.taken_at))

    @property
    def keep(self) -> tuple[SetId, ...]:
        """The sets that stay."""
        return tuple(verdict.set_id for verdict in self.verdicts if not verdict.remove)

    def reason(self, set_id: SetId) -> str:
        """Why a set stays, or goes."""
        return next(verdict.reason for verdict in self.verdicts if verdict.set_id == set_id)

    def spared(self, set_id: SetId, reason: str) -> Rotation:
        """The same, but that one set stays after all."""
        return replace(self, verdicts=tuple(
            Verdict(set_id, remove=False, reason=reason) if verdict.set_id == set_id else verdict
            for verdict in self.verdicts))


def plan_rotation(sets: Iterable[Entry], *, store: str, policy: Policy, evidence: Evidence,
                  now: datetime) -> Rotation:
    """A verdict on every set of a store. Never removes

    - a set that somebody holds, that a restore reads, that an object lock keeps, or whose manifest cannot
      be read;
    - a set that a set which stays, or a run that is under way, has archives in;
    - of each tier the newest `minimum` good sets (complete, of a normal size, verified in this store), or,
      where there are fewer, the best of the others in their place;
    - anything while the clock cannot be believed, or the newest complete set is too old;
    - anything while the newest set is incomplete, suspicious, unverified or damaged, nor anything of a tier
      while that is so of the tier's newest set;
    - a complete set that another store lacks, as long as that store has no `minimum` newer good ones.
    """
    ordered = sorted(sets, key=lambda entry: (entry.set_id.taken_at, entry.set_id.tier), reverse=True)
    evidence = _as_of(now, ordered, evidence)
    present = [entry for entry in ordered if entry.set_id.taken_at <= now + TOLERANCE]
    plan = _Plan(policy, evidence, now, has_to_stay(present, evidence, minimum=policy.minimum),
                 frozen_tiers(present, evidence), store_frozen(present, evidence, now))
    verdicts = [plan.verdict(entry) for entry in ordered]
    return Rotation(store, tuple(_spare_needed(verdicts, ordered, evidence, now)), plan.held, plan.frozen)


def _spare_needed(verdicts: Iterable[Verdict], entries: Iterable[Entry], evidence: Evidence,
                  now: datetime) -> Iterator[Verdict]:
    """The same, but what is needed stays. The newest are first, and a set needs only earlier ones."""
    needs = {**{entry.set_id: entry.needs for entry in entries if isinstance(entry, Manifest)},
             **evidence.needs}
    needed: dict[SetId, SetId] = {}
    for run, earlier in evidence.needs.items():
        needed |= dict.fromkeys(earlier, run)
    for verdict in verdicts:
        stays = verdict
        if verdict.remove and verdict.set_id in needed:
            old = age(verdict.set_id.taken_at, now)
            stays = Verdict(verdict.set_id, remove=False,
                            reason=f"{old} old, but archives of {needed[verdict.set_id]} lie in it")
        if not stays.remove:
            for earlier_set in needs.get(verdict.set_id, ()):
                needed.setdefault(earlier_set, verdict.set_id)
        yield stays


def _as_of(now: datetime, entries: Iterable[Entry], evidence: Evidence) -> Evidence:
    """The evidence with what the sets themselves say of the clock, and without sets from the future.

    Of these, one that is trusted says nothing; another stops everything.
    """
    newest = max((entry.set_id for entry in (*entries, *evidence.published)
                  if entry.set_id not in evidence.trusted), key=lambda set_id: set_id.taken_at, default=None)
    latest = evidence.latest
    if newest and (latest is None or latest.moment < newest.taken_at):
        latest = Sighting(newest.taken_at, str(newest))
    published = tuple(entry for entry in evidence.published if entry.set_id.taken_at <= now + TOLERANCE)
    return replace(evidence, published=published, latest=latest)


@dataclass(frozen=True)
class _Plan:
    policy: Policy
    evidence: Evidence
    now: datetime
    stay: Mapping[SetId, Standing]
    frozen: Mapping[Tier, str]
    held: str | None

    def verdict(self, entry: Entry) -> Verdict:
        """What happens to one set."""
        set_id = entry.set_id
        rule = self.policy.keep.get(set_id.tier, Keep())
        why = (self.evidence.holds.get(set_id) or self._read(set_id) or self._young(set_id, rule)
               or self._needed(entry))
        if why:
            return Verdict(set_id, remove=False, reason=why)
        what = "" if isinstance(entry, Manifest) and entry.complete else "incomplete, "
        past = f"{what}{age(set_id.taken_at, self.now)} old, past its {rule}"
        stays = self._stopped(set_id)
        return Verdict(set_id, remove=not stays, reason=f"{past}; {stays}" if stays else past)

    def _read(self, set_id: SetId) -> str | None:
        return "a restore reads it" if set_id in self.evidence.reading else None

    def _young(self, set_id: SetId, rule: Keep) -> str | None:
        if rule.expired(set_id.taken_at, now=self.now):
            return None
        return f"{age(set_id.taken_at, self.now)} old, kept {rule}"

    def _needed(self, entry: Entry) -> str | None:
        """Why a set that is past its time has to stay all the same."""
        set_id = entry.set_id
        old = f"{age(set_id.taken_at, self.now)} old"
        if not isinstance(entry, Manifest):
            return f"{old}, but its manifest cannot be read: repair it, or remove its folder by hand"
        if set_id in self.stay:
            rank = _WORDS[self.stay[set_id]]
            return (f"{old}, but {rank}, and one of the {self.policy.minimum} {set_id.tier} sets that stay "
                    f"whatever their age")
        if standing(entry, self.evidence) not in {Standing.DAMAGED, Standing.USELESS}:
            for store in self.evidence.elsewhere:
                if lacking := self._lacking(set_id, store):
                    return f"{old}, but {lacking}"
        return None

    def _lacking(self, set_id: SetId, store: Elsewhere) -> str | None:
        """Why a set may not go as long as another store is as it is."""
        if store.problem:
            return f"it is not known whether {store.name} has it: {store.problem}"
        newer = sum(each.tier is set_id.tier and each.taken_at > set_id.taken_at for each in store.good)
        if set_id in store.good or newer >= self.policy.minimum:
            return None
        return (f"{store.name} has no verified copy of it, and {newer} newer good {set_id.tier} sets of "
                f"{self.policy.minimum}")

    def _stopped(self, set_id: SetId) -> str | None:
        """What keeps a set for now that is past its time."""
        if self.held:
            return "stays while nothing may go"
        if set_id.tier in self.frozen:
            return f"stays while nothing of {set_id.tier} may go"
        locked = self.evidence.locked.get(set_id)
        return f"kept: locked in the bucket until {minute(locked)}" if locked and locked > self.now else None
