"""One month of backups as values: what ran, how large it was, how it grows, what was proved, what went wrong.

Every figure is computed from records, or says why it is not known. `monthly_computing.compute` makes it,
`monthly_text`, `monthly_html` and `monthly_json` show it, `monthly_keeping` keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from nightscan_tasks.ledger import Ending, Saved
from nightscan_tasks.model import Failure, Json, SetId, Tier
from nightscan_tasks.watch.problem import Problem, Severity

_MONTH = re.compile(r"(\d{4})-(\d{2})")
_DECEMBER = 12


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month in the zone of the timetable; as text `2026-10`."""

    year: int
    number: int

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2026-10`; ValueError says what is expected."""
        match = _MONTH.fullmatch(text.strip())
        if not match or not 1 <= int(match[2]) <= _DECEMBER or not int(match[1]):
            raise ValueError(f"not a month: {text!r}; expected for example 2026-10")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, moment: datetime, zone: ZoneInfo) -> Self:
        """The month that a moment is in, there."""
        day = moment.astimezone(zone).date()
        return cls(day.year, day.month)

    @property
    def first(self) -> date:
        """Its first day."""
        return date(self.year, self.number, 1)

    @property
    def before(self) -> Month:
        """The one before."""
        return Month(self.year - 1, _DECEMBER) if self.number == 1 else Month(self.year, self.number - 1)

    @property
    def after(self) -> Month:
        """The next one."""
        return Month(self.year + 1, 1) if self.number == _DECEMBER else Month(self.year, self.number + 1)

    def begins_at(self, zone: ZoneInfo) -> datetime:
        """Its first moment, there."""
        return datetime.combine(self.first, time(), zone)

    def ends_at(self, zone: ZoneInfo) -> datetime:
        """The first moment of the next one."""
        return self.after.begins_at(zone)

    def has(self, moment: datetime, zone: ZoneInfo) -> bool:
        """Whether a moment is in it."""
        return self.begins_at(zone) <= moment < self.ends_at(zone)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """On the wire a month is its text."""
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else cls.parse(str(value)),
            serialization=core_schema.to_string_ser_schema())


@dataclass(frozen=True)
class Figure:
    """A number, or `why` it is not known: a sentence that languages have. `before` is the month before's."""

    value: float | None = None
    why: str = ""
    before: float | None = None

    @property
    def change(self) -> float | None:
        """By which share of the month before's it changed, where both are known."""
        return None if self.value is None or not self.before else self.value / self.before - 1


@dataclass(frozen=True)
class RunLine:
    """One run of the month; without `ending` it was still under way.

    `late` names the offsite stores that it left without its set; `trusted` is whether somebody said that a
    suspicious set is as it should be.
    """

    set_id: SetId
    ending: Ending | None
    elapsed_seconds: float = 0.0
    plain_bytes: int = 0
    stored_bytes: int = 0
    components: Mapping[str, Saved] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    late: tuple[str, ...] = ()
    suspicious: tuple[str, ...] = ()
    trusted: bool = False
    tag: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it left a complete set: read back in the primary store, though perhaps not in all."""
        return self.ending in {Ending.GOOD, Ending.DEGRADED}


@dataclass(frozen=True)
class TierMonth:
    """The runs of one tier. `missed_at` are moments of the timetable from which no run came."""

    tier: Tier
    good: int
    degraded: int
    incomplete: int
    failed: int
    open: int
    missed_at: tuple[datetime, ...]
    success_rate: Figure
    average_bytes: Figure
    average_seconds: Figure

    @property
    def wanted(self) -> int:
        """How many ended, or should have begun: what the success rate is a share of."""
        return self.good + self.degraded + self.incomplete + self.failed + len(self.missed_at)


@dataclass(frozen=True)
class ComponentMonth:
    """One component: sizes at the month's end (the median of its last sets), in bytes; `growth` as a share.

    `seconds` is how long its parts took on average, one after the other.
    """

    component: str
    saved: int
    failed: int
    plain_bytes: Figure
    stored_bytes: Figure
    growth: Figure
    seconds: Figure


@dataclass(frozen=True)
class DrillLine:
    """One drill. `loss_seconds` is the age of what it restored: what would have been lost.

    `too_slow` names the components that missed their objectives, each of which is one of the problems.
    """

    drilled_at: datetime
    kind: str
    set_id: SetId | None
    store: str
    elapsed_seconds: float
    loss_seconds: float | None
    problems: tuple[str, ...]
    too_slow: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything held."""
        return not self.problems


@dataclass(frozen=True)
class RecoveryTime:
    """The longest that a component took to recover in this month's drills, and what it may take."""

    component: str
    longest_seconds: float
    objective_seconds: int

    @property
    def share(self) -> float:
        """Of the objective; above 1 it was missed."""
        return self.longest_seconds / self.objective_seconds if self.objective_seconds else 0.0


@dataclass(frozen=True)
class RecoveryLine:
    """One real restore of this month."""

    opened_at: datetime
    set_id: SetId
    components: tuple[str, ...]
    ending: str
    elapsed_seconds: float | None


@dataclass(frozen=True)
class Incident:
    """Something that was wrong in the month. None: when it began is not known; it is not over."""

    problem: Problem
    worst: Severity
    noticed_at: datetime
    closed_at: datetime | None

    @property
    def detection_seconds(self) -> float | None:
        """How long nobody noticed."""
        since = self.problem.since
        return None if since is None else max(0.0, (self.noticed_at - since).total_seconds())

    @property
    def lasted_seconds(self) -> float | None:
        """From its beginning, or from when it was noticed, to its end."""
        began = self.problem.since or self.noticed_at
        return None if self.closed_at is None else (self.closed_at - began).total_seconds()


@dataclass(frozen=True)
class StoreMonth:
    """One store: of the month's sets, how many came with their runs, and how many were read back there.

    `late` came later, or not yet; `verified` counts sets that were read back at least once, `damaged` those
    of which the newest reading found damage. What stands at the moment of writing: `sets`, `stored_bytes`,
    `old_bytes` of sets older than half a year, `full_on` by the forecast if there is one (`foreseen`),
    `problem` where it does not answer.
    """

    name: str
    wanted: int
    late: int
    verified: int
    damaged: int
    sets: int = 0
    stored_bytes: int = 0
    old_bytes: int = 0
    full_on: date | None = None
    foreseen: bool = False
    problem: str = ""


@dataclass(frozen=True)
class MonthPoint:
    """One month of the last twelve, for the charts; None is not known."""

    month: Month
    success_rate: float | None
    stored_bytes: float | None
    average_seconds: float | None


@dataclass(frozen=True)
class Advice:
    """What follows from figures: the rule's name, and the figures that triggered it, by unit.

    `_share` is a share of 1, `_bytes` bytes, `_seconds` seconds, `_on` a day as ISO 8601.
    """

    rule: str
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class MonthlyReport:
    """Everything that is told of a month. Shares are of 1, sizes in bytes, lengths of time in seconds.

    `until` is where the figures end: the month's end, or for one that is not over the moment of writing.
    `recorded_since` is where records begin, if that is within the month or after it. Averages are over
    complete sets. `growth` is of all components that were saved in both months; `detection` over what was
    noticed in the month. `alerts_known` is whether anybody ever looked for problems.
    """

    site: str
    month: Month
    zone: str
    written_at: datetime
    until: datetime
    recorded_since: datetime | None
    success_rate: Figure
    average_bytes: Figure
    average_seconds: Figure
    growth: Figure
    detection: Figure
    recovery: Figure
    drills_performed: int
    drills_passed: int
    tiers: tuple[TierMonth, ...] = ()
    components: tuple[ComponentMonth, ...] = ()
    runs: tuple[RunLine, ...] = ()
    drills: tuple[DrillLine, ...] = ()
    recovery_times: tuple[RecoveryTime, ...] = ()
    recoveries: tuple[RecoveryLine, ...] = ()
    incidents: tuple[Incident, ...] = ()
    alerts_known: bool = False
    stores: tuple[StoreMonth, ...] = ()
    encrypted: bool | None = None
    objective_loss_seconds: int = 86400
    trend: tuple[MonthPoint, ...] = ()
    advice: tuple[Advice, ...] = ()
    format_version: int = 1

    @property
    def is_over(self) -> bool:
        """Whether the month was over when this was written."""
        return self.until >= self.month.ends_at(ZoneInfo(self.zone))

    @property
    def begins_at(self) -> datetime:
        """The month's first moment."""
        return self.month.begins_at(ZoneInfo(self.zone))

    @property
    def empty(self) -> bool:
        """Whether there is no record of any run that ended in it, or should have begun."""
        return not any(each.wanted for each in self.tiers)
