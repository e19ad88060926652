"""The values that everything else speaks in: tiers, set ids, artifacts, manifests.

All are frozen. Times are aware, in UTC, and cut to seconds where they become names.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeAlias

from pydantic import GetCoreSchemaHandler, JsonValue
from pydantic_core import CoreSchema, core_schema

from nightscan_tasks.errors import ManifestInvalid
from nightscan_tasks.wording import nearest

Buffer: TypeAlias = bytes | bytearray | memoryview
Chunks: TypeAlias = Iterator[Buffer]
"""A byte stream that is pulled: buffers of any size above 0, each valid until the next is asked for."""

Json: TypeAlias = JsonValue
"""What can be a value on the wire."""

COMPONENTS = ("database", "redis", "user_data", "system_config", "source_code")
MANIFEST_NAME = "manifest.json"
GUIDE_NAME = "RESTORE.md"
FORMAT_VERSION = 2
"""The newest format of a manifest that is read; one without references is written as format 1."""
BLOCK_BYTES = 8 << 20
"""Of a stored artifact; the manifest has its hash up to the end of each block."""

_STAMP = "%Y%m%dT%H%M%SZ"
_SET_ID = re.compile(r"(?P<tier>[a-z_]+)/(?P<stamp>\d{8}T\d{6}Z)")


class Tier(StrEnum):
    """Why a set was taken; each has its own retention."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    PRE_DEPLOY = "pre_deploy"
    MANUAL = "manual"
    PRE_RESTORE = "pre_restore"

    @classmethod
    def _missing_(cls, value: object) -> Tier:
        """`ValueError` names the nearest."""
        raise ValueError(f"there is no tier {value}; {nearest(str(value), [tier.value for tier in cls])}")


@dataclass(frozen=True)
class Keep:
    """How long sets of a tier are kept, in calendar months and days; nothing set means for ever."""

    days: int = 0
    months: int = 0

    def expired(self, taken_at: datetime, *, now: datetime) -> bool:
        """Whether a set that was taken at `taken_at` is past its time at `now`."""
        expires_at = self.expires_at(taken_at)
        return expires_at is not None and now >= expires_at

    def expires_at(self, taken_at: datetime) -> datetime | None:
        """When a set that was taken at `taken_at` is past its time; None: never."""
        if not self.days and not self.months:
            return None
        return _months_later(taken_at, self.months) + timedelta(days=self.days)

    def __str__(self) -> str:
        parts = [f"{count} {noun}" for count, noun in ((self.months, "months"), (self.days, "days"))
                 if count]
        return " ".join(parts) or "until removed"


def _months_later(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.month - 1 + months, 12)
    last = calendar.monthrange(moment.year + year, month + 1)[1]
    return moment.replace(year=moment.year + year, month=month + 1, day=min(moment.day, last))


def Days(count: int) -> Keep:  # noqa: N802 - reads as the value it makes: keep=Days(7)
    """Keep for so many days."""
    return Keep(days=count)


def Weeks(count: int) -> Keep:  # noqa: N802 - keep=Weeks(4)
    """Keep for so many weeks."""
    return Keep(days=7 * count)


def Months(count: int) -> Keep:  # noqa: N802 - keep=Months(12)
    """Keep for so many calendar months."""
    return Keep(months=count)


FOREVER = Keep()


@dataclass(frozen=True)
class Plan:
    """What a workflow saves, and how long it is kept."""

    tier: Tier
    components: tuple[str, ...]
    keep: Keep
    builds_on: tuple[Tier, ...] = ()
    """The tiers of whose sets it refers to archives, instead of making them anew; none: each is in full."""


@dataclass(frozen=True, order=True)
class SetId:
    """The name of a backup set: `TIER/YYYYMMDDThhmmssZ`."""

    tier: Tier
    taken_at: datetime

    def __str__(self) -> str:
        taken_at = self.taken_at.astimezone(UTC)
        return f"{self.tier}/{taken_at.year:04}{taken_at:%m%dT%H%M%SZ}"  # C's %Y pads no year

    @classmethod
    def at(cls, tier: Tier, now: datetime) -> SetId:
        """The id of a set of `tier` that is opened at `now` (aware; cut to seconds)."""
        return cls(tier, now.astimezone(UTC).replace(microsecond=0))

    @classmethod
    def parse(cls, text: str) -> SetId:
        """Read an id as a person or a folder name gives it; ValueError says what is expected."""
        match = _SET_ID.fullmatch(text.strip().strip("/"))
        if not match or match["tier"] not in list(Tier):
            raise ValueError(f"not a set id: {text!r}; expected for example daily/20261123T020000Z")
        taken_at = datetime.strptime(match["stamp"], _STAMP).replace(tzinfo=UTC)
        return cls(Tier(match["tier"]), taken_at)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """On the wire an id is its text."""
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else cls.parse(str(value)),
            serialization=core_schema.to_string_ser_schema())

    @property
    def run_id(self) -> str:
        """The name of the run that makes this set."""
        return str(self).replace("/", "-")

    def key(self, name: str) -> str:
        """The key in a store of this set's file `name`."""
        return f"{self}/{name}"


@dataclass(frozen=True)
class Stored:
    """One object as a store holds it.

    `version` changes whenever the object is replaced (an inode and time, or an ETag); `sha256` is
    of the bytes that were handed over, lower-case hex, and `prefixes` of them up to the end of each
    `BLOCK_BYTES`.
    """

    key: str
    stored_bytes: int
    sha256: str
    version: str
    prefixes: tuple[str, ...]


@dataclass(frozen=True)
class Artifact:
    """One stored file of a component: what went in (plain) and what lies in the store (stored)."""

    name: str
    component: str
    part: str
    plain_bytes: int
    plain_sha256: str
    """Empty for an archive of files: its list has the hash of each, and one of all would tell no more."""
    stored_bytes: int
    stored_sha256: str
    block_bytes: int = 0
    stored_prefixes: tuple[str, ...] = ()
    """The SHA-256 of the stored file up to the end of each `block_bytes`; older sets have none."""
    set_id: SetId | None = None
    """The earlier set in whose folder it lies; None: it lies with the set that lists it."""

    def key(self, listed_by: SetId) -> str:
        """Its key in every store."""
        return (self.set_id or listed_by).key(self.name)


@dataclass(frozen=True)
class Report:
    """What a component says of itself once it was read to its end.

    `fingerprint` is what a restore is compared with; `versions` of servers and tools; `notes` are
    facts that do not spoil the artifact (a file that changed while it was read, a pattern that
    matched nothing).
    """

    fingerprint: Mapping[str, Json]
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class PartRecord:
    """The ledger's record of one part that is saved whole: its artifacts and what they hold."""

    part: str
    component: str
    artifacts: tuple[Artifact, ...]
    report: Report
    started_at: datetime
    finished_at: datetime
    objects: Mapping[str, str] = field(default_factory=dict)
    """By artifact: the version its object had in the primary store when it was read back."""
    snapshot: str | None = None
    """Which snapshot of the database the part goes with: its own, or the one its files followed."""
    problem: str | None = None
    """What could not be read although the rest was saved; such a part never counts as whole."""
    signature: str = ""
    """Of all the rest, and of the run that it belongs to, by the host that saved it."""


@dataclass(frozen=True)
class Failure:
    """Why a part, or the copying of it, did not succeed."""

    part: str
    error: str
    message: str
    failed_at: datetime


@dataclass(frozen=True)
class Manifest:
    """What a set is. Written last: a set exists when, and only when, its manifest does."""

    set_id: SetId
    run_id: str
    complete: bool
    opened_at: datetime
    settled_at: datetime
    encrypted_for: str | None
    host: str
    tag: str | None
    components: Mapping[str, Report]
    artifacts: tuple[Artifact, ...]
    failures: tuple[Failure, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    format_version: int = 1
    suspicious: tuple[str, ...] = ()
    """Where it is far smaller than the sets before it, in words and numbers; retention stops until it is
    looked at."""

    @property
    def plain_bytes(self) -> int:
        """Bytes before compression and encryption, over all artifacts."""
        return sum(artifact.plain_bytes for artifact in self.artifacts)

    @property
    def stored_bytes(self) -> int:
        """Bytes in a store, over all artifacts: also those that lie with earlier sets."""
        return sum(artifact.stored_bytes for artifact in self.artifacts)

    @property
    def own(self) -> tuple[Artifact, ...]:
        """The artifacts that lie with this set, and go when it goes."""
        return tuple(artifact for artifact in self.artifacts if artifact.set_id is None)

    @property
    def own_bytes(self) -> int:
        """Bytes in a store that lie with this set."""
        return sum(artifact.stored_bytes for artifact in self.own)

    @property
    def needs(self) -> frozenset[SetId]:
        """The earlier sets that have archives of this one."""
        return frozenset(artifact.set_id for artifact in self.artifacts if artifact.set_id is not None)

    def key(self, artifact: Artifact) -> str:
        """The key in every store of one of its artifacts."""
        return artifact.key(self.set_id)

    def of(self, component: str) -> tuple[Artifact, ...]:
        """The artifacts of one component, in the order of their names."""
        return tuple(sorted((a for a in self.artifacts if a.component == component),
                            key=lambda artifact: artifact.name))

    def artifact(self, name: str) -> Artifact:
        """The artifact called `name`; ManifestInvalid if the set lists none."""
        for artifact in self.artifacts:
            if artifact.name == name:
                return artifact
        raise ManifestInvalid(f"{self.set_id}: the manifest lists no {name}")
