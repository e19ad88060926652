"""What a rotation goes by: the policy, and what is known beside the sets themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from nightscan_tasks.catalog import Broken
from nightscan_tasks.ledger import Look
from nightscan_tasks.model import Keep, Manifest, SetId, Tier

Entry: TypeAlias = Manifest | Broken
"""A set of a store: one whose manifest cannot be read is a set too, and never removed."""


@dataclass(frozen=True)
class Policy:
    """How long each tier is kept, and how many good sets of it stay however old they are."""

    keep: Mapping[Tier, Keep]
    minimum: int = 2


@dataclass(frozen=True)
class Sighting:
    """The latest moment that anything in the stores or in the ledger speaks of, and what does."""

    moment: datetime
    what: str


@dataclass(frozen=True)
class Elsewhere:
    """What another store has, which this one must not fall short of; `problem`: it could not be asked."""

    name: str
    good: frozenset[SetId] = frozenset()
    problem: str | None = None


@dataclass(frozen=True)
class Evidence:
    """What is known of one store's sets.

    `verified` were read back whole from this store, `damaged` were not when they were read last; `reading`
    are read by restores; `holds` says who keeps a set, and why; `trusted` were looked at by a person;
    `locked` until when, by an object lock. `needs` says which earlier sets a set has archives in, where its
    manifest does not: of open runs, and of sets whose manifest cannot be read. `published` are the sets of
    the primary store: a newest one that is wrong stops every store. `latest` and `look` tell whether the
    clock can be believed.
    """

    verified: frozenset[SetId] = frozenset()
    damaged: frozenset[SetId] = frozenset()
    reading: frozenset[SetId] = frozenset()
    holds: Mapping[SetId, str] = field(default_factory=dict)
    trusted: frozenset[SetId] = frozenset()
    locked: Mapping[SetId, datetime] = field(default_factory=dict)
    needs: Mapping[SetId, frozenset[SetId]] = field(default_factory=dict)
    elsewhere: tuple[Elsewhere, ...] = ()
    published: tuple[Entry, ...] = ()
    latest: Sighting | None = None
    look: Look | None = None
    stale_after: timedelta = timedelta(days=2)
