"""Where each set is: its copies against the 3-2-1 rule, three on two media, one of them elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from nightscan_tasks.model import Tier
from nightscan_tasks.system import PRIMARY
from nightscan_tasks.watch.overview import CopySeen, Overview, SetSeen, StoreSeen

_COPIES, _MEDIA = 3, 2


class Standing(StrEnum):
    """What is known of a set in a store."""

    VERIFIED = "verified"
    UNREAD = "unread"    # it is there, and was not read back yet
    DAMAGED = "damaged"
    LACKING = "lacking"
    UNKNOWN = "unknown"  # the store does not answer


@dataclass(frozen=True)
class Place:
    """A set in one store, which is a `medium`; `at` is when it was read back."""

    store: str
    medium: str
    standing: Standing
    at: datetime | None = None
    problems: tuple[str, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether it is a copy that can be relied on."""
        return self.standing in {Standing.VERIFIED, Standing.UNREAD}


@dataclass(frozen=True)
class Copies:
    """All copies of one set. What is live, on `live_medium`, is one of the three."""

    seen: SetSeen
    places: tuple[Place, ...]
    live_medium: str

    @property
    def copies(self) -> int:
        """How many there are, what is live among them."""
        return 1 + sum(place.counts for place in self.places)

    @property
    def media(self) -> frozenset[str]:
        """On what media they are."""
        return frozenset({self.live_medium, *(place.medium for place in self.places if place.counts)})

    @property
    def elsewhere(self) -> int:
        """How many are in offsite stores."""
        return sum(place.counts for place in self.places if place.store != PRIMARY)

    @property
    def kept(self) -> bool | None:
        """Whether the rule is kept; None where a store that does not answer may have the copy."""
        if self.copies >= _COPIES and len(self.media) >= _MEDIA and self.elsewhere:
            return True
        return None if any(place.standing is Standing.UNKNOWN for place in self.places) else False


def plan_copies(overview: Overview) -> tuple[tuple[Copies, ...], tuple[Copies, ...]]:
    """The newest set of each tier, and all others, both the newest first."""
    newest: dict[Tier, Copies] = {}
    others = []
    for each in sorted(overview.sets, key=lambda seen: seen.set_id.taken_at, reverse=True):
        copies = copies_of(overview, each)
        if newest.setdefault(each.set_id.tier, copies) is not copies:
            others.append(copies)
    return tuple(newest[tier] for tier in Tier if tier in newest), tuple(others)


def copies_of(overview: Overview, seen: SetSeen) -> Copies:
    """Where one set is, in every store."""
    return Copies(seen, tuple(_place(seen, store) for store in overview.stores), overview.live_medium)


def keeps_rule(newest: Sequence[Copies]) -> bool | None:
    """Whether every newest set keeps the rule; None where that is not known, or there is no set."""
    kept = [each.kept for each in newest]
    if False in kept:
        return False
    return True if kept and None not in kept else None


def _place(seen: SetSeen, store: StoreSeen) -> Place:
    copy = next((each for each in seen.copies if each.store == store.name), None)
    if not store.answers:
        return Place(store.name, store.medium, Standing.UNKNOWN)
    if copy is None:
        return Place(store.name, store.medium, Standing.LACKING)
    return Place(store.name, store.medium, _standing(copy), copy.verified_at, copy.problems)


def _standing(copy: CopySeen) -> Standing:
    if copy.problems:
        return Standing.DAMAGED
    return Standing.VERIFIED if copy.verified_at else Standing.UNREAD
