"""What the ledger records: small frozen values, one JSON file each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from nightscan_tasks.model import Failure, PartRecord, Plan, SetId


@dataclass(frozen=True)
class Run:
    """One execution of a workflow, as it was opened. `parts` and `offsites` say what it has to do."""

    run_id: str
    set_id: SetId
    plan: Plan
    parts: tuple[str, ...]
    archives: int
    offsites: tuple[str, ...]
    opened_at: datetime
    deadline_seconds: int
    host: str
    tag: str | None = None
    base: SetId | None = None
    """The earlier set that user data may be referred to in."""
    rehash: bool = False
    """Whether files that seem not to have changed are read all the same, and compared."""

    def component(self, part: str) -> str:
        """Which component a part belongs to: `user_data.03` is of `user_data`."""
        return part.partition(".")[0]


@dataclass(frozen=True)
class Started:
    """When a run got its lease, and the token that fences what it publishes."""

    started_at: datetime
    token: int


@dataclass(frozen=True)
class Copied:
    """One part, whole and read back in an offsite store."""

    part: str
    store: str
    stored_bytes: int
    copied_at: datetime
    sha256s: Mapping[str, str] = field(default_factory=dict)
    """What was copied, by artifact: a part that was dumped again is not copied yet."""

    def is_of(self, record: PartRecord) -> bool:
        """Whether this is a copy of what the part's record says is saved now."""
        return self.sha256s == {each.name: each.stored_sha256 for each in record.artifacts}


@dataclass(frozen=True)
class Sent:
    """When the work of a run was last handed to the broker, and for how many times.

    `vanished` is how often a part was sent again because whoever had begun it was gone.
    """

    sent_at: datetime
    times: int
    vanished: Mapping[str, int] = field(default_factory=dict)


class Ending(StrEnum):
    """How a run ended."""

    GOOD = "good"
    DEGRADED = "degraded"      # saved and read back, but not in every store
    INCOMPLETE = "incomplete"  # some components failed; the others are kept
    FAILED = "failed"          # nothing that can be restored


@dataclass(frozen=True)
class Saved:
    """What a run saved of one component, and how long its parts took, one after the other."""

    plain_bytes: int
    stored_bytes: int
    elapsed_seconds: float
    artifacts: int = 1


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and what it saved; `components` is empty in what older versions recorded."""

    run_id: str
    set_id: SetId
    ending: Ending
    settled_at: datetime
    elapsed_seconds: float
    plain_bytes: int = 0
    stored_bytes: int = 0
    stores: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    suspicious: tuple[str, ...] = ()
    components: Mapping[str, Saved] = field(default_factory=dict)
    tag: str | None = None


@dataclass(frozen=True)
class Verified:
    """What reading a set back found, in one store; sound when there are no problems."""

    set_id: SetId
    store: str
    verified_at: datetime
    read_bytes: int
    problems: tuple[str, ...] = ()
    url: str = ""
    """Where the store was: names are given by the order of the settings, which may change."""


@dataclass(frozen=True)
class Snapshot:
    """That the database's snapshot was taken: files listed from now on are no older than it."""

    taken_at: datetime
    token: str


@dataclass(frozen=True)
class RunState:
    """Everything the ledger knows of one run."""

    run: Run
    started: Started | None = None
    outcome: Outcome | None = None
    sent: Sent | None = None
    parts: Mapping[str, PartRecord] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)
    copies: Mapping[tuple[str, str], Copied] = field(default_factory=dict)
    snapshot: Snapshot | None = None

    def is_copied(self, record: PartRecord, store: str) -> bool:
        """Whether a store has the part as it is saved now."""
        copied = self.copies.get((record.part, store))
        return copied is not None and copied.is_of(record)
