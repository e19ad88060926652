"""Everything that is seen at a glance, as one value: status, page, metrics and alerts are made of it.

It is gathered by `watch.gathering`; nothing in here reads anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from nightscan_tasks.ledger import Outcome
from nightscan_tasks.ledger.reads import Scrubbed
from nightscan_tasks.ledger.restore_records import Drill, RestoreState
from nightscan_tasks.model import SetId, Tier
from nightscan_tasks.restore.rates import Recovery
from nightscan_tasks.watch.alert import Alert
from nightscan_tasks.watch.problem import Health, Problem, Severity
from nightscan_tasks.watch.queue import QueueSeen
from nightscan_tasks.watch.under_way import RunningSeen


@dataclass(frozen=True)
class RunSeen:
    """One run; without an outcome it is open."""

    run_id: str
    set_id: SetId
    outcome: Outcome | None = None

    @property
    def opened_at(self) -> datetime:
        """When it was opened, cut to seconds."""
        return self.set_id.taken_at


@dataclass(frozen=True)
class ComponentSeen:
    """One component of a set, in bytes."""

    plain_bytes: int
    stored_bytes: int


@dataclass(frozen=True)
class CopySeen:
    """One set in one store. `verified_at` is when it was last read back there, with these problems."""

    store: str
    verified_at: datetime | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class SetSeen:
    """One set that is there, in at least one store; `problem` where its manifest cannot be read."""

    set_id: SetId
    complete: bool
    components: Mapping[str, ComponentSeen]
    copies: tuple[CopySeen, ...]
    encrypted: bool = False
    signed: bool = False
    suspicious: tuple[str, ...] = ()
    trusted: bool = False
    held: str = ""
    settled_at: datetime | None = None
    problem: str = ""

    @property
    def stored_bytes(self) -> int:
        """In each store."""
        return sum(each.stored_bytes for each in self.components.values())

    @property
    def plain_bytes(self) -> int:
        """Before compression and encryption."""
        return sum(each.plain_bytes for each in self.components.values())


@dataclass(frozen=True)
class Filling:
    """How full a place is: bytes that are free, how fast they go, and the day on which none is left."""

    free_bytes: int
    total_bytes: int | None
    sampled_at: datetime
    bytes_per_day: float | None = None
    full_on: date | None = None


@dataclass(frozen=True)
class StoreSeen:
    """One store. `problem` says why nothing of it is known; `filling` where its limit is known.

    `medium` is what it lies on: `S3`, or a disk, named by where it is mounted.
    """

    name: str
    url: str
    sets: int = 0
    stored_bytes: int = 0
    filling: Filling | None = None
    problem: str = ""
    scrubbed: Scrubbed | None = None
    medium: str = ""

    @property
    def answers(self) -> bool:
        """Whether it could be read."""
        return not self.problem


@dataclass(frozen=True)
class Freshness:
    """The newest set of a tier that has a component, in a store; `level` None is fresh enough."""

    tier: Tier
    component: str
    store: str
    newest: SetId | None
    level: Severity | None

    @property
    def newest_at(self) -> datetime | None:
        """When it was taken."""
        return self.newest.taken_at if self.newest else None


@dataclass(frozen=True)
class Removal:
    """A set that is past its time on that day, unless something keeps it."""

    set_id: SetId
    expires_at: datetime
    kept_by: str = ""


@dataclass(frozen=True)
class KeySeen:
    """A key that sets are encrypted or signed with: `use` is `encryption` or `signing`."""

    use: str
    name: str
    expires_at: datetime | None
    problem: str = ""


@dataclass(frozen=True)
class Due:
    """When the timetable has something next: a task's name, and what it is for people."""

    task: str
    at: datetime


@dataclass(frozen=True)
class Overview:
    """The state of everything at `now`. Lists are ordered newest first, stores as the settings have them.

    `runs` goes back 400 days, as the ledger does, and so does `expected_at`: the moments at which the
    timetable had a run, none of them in the future. `begun_at` is the first run of all. `queues` and `keys`
    are None where nobody asked for them. `blind` are patterns of the keys of problems that could not be
    looked for this time.
    """

    site: str
    now: datetime
    problems: tuple[Problem, ...]
    health: Health
    alerts: tuple[Alert, ...] = ()
    runs: tuple[RunSeen, ...] = ()
    running: tuple[RunningSeen, ...] = ()
    sets: tuple[SetSeen, ...] = ()
    stores: tuple[StoreSeen, ...] = ()
    freshness: tuple[Freshness, ...] = ()
    drills: tuple[Drill, ...] = ()
    restores: tuple[RestoreState, ...] = ()
    restoring: tuple[str, ...] = ()
    recovery: Recovery | None = None
    removals: tuple[Removal, ...] = ()
    frozen: Mapping[str, str] = field(default_factory=dict)
    queues: tuple[QueueSeen, ...] | None = None
    due: tuple[Due, ...] = ()
    expected_at: Mapping[Tier, tuple[datetime, ...]] = field(default_factory=dict)
    keys: tuple[KeySeen, ...] | None = None
    begun_at: datetime | None = None
    frozen_since: datetime | None = None
    objective_loss_seconds: int = 86400
    live_medium: str = ""
    blind: tuple[str, ...] = ()

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The tiers that have runs or sets, and those of the timetable."""
        seen = {*(run.set_id.tier for run in self.runs), *(each.set_id.tier for each in self.sets),
                *(each.tier for each in self.freshness)}
        return tuple(tier for tier in Tier if tier in seen)
