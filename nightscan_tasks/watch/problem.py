"""What is not well: one value a problem, whoever shows it, in whatever language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from nightscan_tasks.model import Json


class Severity(StrEnum):
    """How bad it is: to be seen to soon, or now."""

    WARNING = "warning"
    CRITICAL = "critical"


class Health(StrEnum):
    """All problems in one word, as the guide has it; `unknown` where nothing could be looked at."""

    GOOD = "good"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class Kind(StrEnum):
    """What is wrong. Each kind has its words in `watch.words`, in every language."""

    NEVER = "never"                # a tier of which there is no set, though it was due
    STALE = "stale"                # the newest good set of a tier is too old, in a store
    FAILED = "failed"              # the last run of a tier failed, or lacks components
    DEGRADED = "degraded"          # it is whole, and not in every store, or not signed
    STUCK = "stuck"                # a run is past its deadline, and nobody settles it
    SUSPICIOUS = "suspicious"      # a set is far smaller than those before it
    JUMP = "jump"                  # or far larger
    NO_OFFSITE = "no_offsite"      # there is no offsite store at all
    UNCOPIED = "uncopied"          # an offsite store lacks sets
    UNREACHABLE = "unreachable"    # a store does not answer
    FROZEN = "frozen"              # rotation removes nothing
    UNVERIFIED = "unverified"      # a newest set was not read back for too long
    DAMAGED = "damaged"            # stored bytes are not what was saved
    MENDED = "mended"              # they were, and have been replaced by a whole copy
    UNSCRUBBED = "unscrubbed"      # stored bytes are not read again in time
    UNDRILLED = "undrilled"        # no drill passed for too long
    DRILL_FAILED = "drill_failed"  # the last drill did not hold
    TOO_SLOW = "too_slow"          # a recovery would take longer than it may
    UNFINISHED = "unfinished"      # a restore was cut off
    KEY_EXPIRES = "key_expires"
    KEY_UNUSABLE = "key_unusable"
    FILLING = "filling"            # a disk or bucket is full, or will be soon
    NO_WORKER = "no_worker"        # a queue from which no worker takes
    WAITING = "waiting"            # tasks wait too long in a queue
    NO_BROKER = "no_broker"
    UNTOLD = "untold"              # alerts do not get through a channel
    UNPINGED = "unpinged"          # the dead man's switch does not answer
    UNWRITTEN = "unwritten"        # the file of metrics cannot be written


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `subject` names what of its kind it is: a tier, a store, a queue.

    `since` is when it began, as far as that is known. `facts` are what its words need: times as ISO 8601,
    sizes in bytes, lengths of time in seconds.
    """

    kind: Kind
    subject: str
    severity: Severity
    since: datetime | None = None
    facts: Mapping[str, Json] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The same for the same problem, as long as it lasts."""
        return f"{self.kind}:{self.subject}"


def health(problems: tuple[Problem, ...]) -> Health:
    """The worst there is."""
    severities = {each.severity for each in problems}
    if Severity.CRITICAL in severities:
        return Health.CRITICAL
    return Health.WARNING if severities else Health.GOOD
