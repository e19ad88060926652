"""How good a set is, by the evidence; and which sets of a tier are the ones that have to stay."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import IntEnum

from nightscan_tasks.model import Manifest, SetId, Tier
from nightscan_tasks.retention.evidence import Entry, Evidence


class Standing(IntEnum):
    """The lower, the better. Only `GOOD` is proof; the others fill up where there are too few."""

    GOOD = 0        # complete, of a normal size, and read back whole from this store
    UNVERIFIED = 1
    SUSPICIOUS = 2
    DAMAGED = 3
    USELESS = 4     # incomplete, or its manifest cannot be read: never one that has to stay


def standing(entry: Entry, evidence: Evidence) -> Standing:
    """How good a set of the store is."""
    if not isinstance(entry, Manifest) or not entry.complete:
        return Standing.USELESS
    if entry.set_id in evidence.damaged:
        return Standing.DAMAGED
    if entry.suspicious and entry.set_id not in evidence.trusted:
        return Standing.SUSPICIOUS
    return Standing.GOOD if entry.set_id in evidence.verified else Standing.UNVERIFIED


def good_sets(entries: Iterable[Entry], *, verified: Collection[SetId],
              trusted: Collection[SetId]) -> frozenset[SetId]:
    """The sets of a store that are proven good there."""
    evidence = Evidence(verified=frozenset(verified), trusted=frozenset(trusted))
    return frozenset(entry.set_id for entry in entries if standing(entry, evidence) is Standing.GOOD)


def has_to_stay(entries: Iterable[Entry], evidence: Evidence, *, minimum: int) -> dict[SetId, Standing]:
    """Of each tier the newest `minimum` good sets; where there are fewer, the best of the others too."""
    ranked = sorted(((standing(entry, evidence), entry.set_id) for entry in entries),
                    key=lambda each: (each[0], -each[1].taken_at.timestamp()))
    stay: dict[SetId, Standing] = {}
    for tier in Tier:
        usable = [(rank, set_id) for rank, set_id in ranked
                  if set_id.tier is tier and rank is not Standing.USELESS]
        stay |= {set_id: rank for rank, set_id in usable[:minimum]}
    return stay
