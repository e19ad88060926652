"""What a night's scrub reads of a store, and why: decided purely, then done.

Each artifact has to be read again within so many days of the last time that it was read whole. Tonight's
budget is the smallest even amount that, night after night from now on, reads every one in time: for each
deadline the bytes that are due by then, shared among the nights that are left until then, and of these
shares the largest. So what is due is read tonight, what was missed is caught up, and nothing piles up. An
artifact that is larger than the budget waits for the night in which it is due, which has room for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nightscan_tasks.model import SetId
from nightscan_tasks.wording import age, count, size

_NIGHT = timedelta(days=1)
SKEW = timedelta(hours=1)  # clocks of hosts may differ; what is later than that was read by a wrong one
_SPARE = 10  # a tenth of the days is kept in hand, for nights that are missed


@dataclass(frozen=True)
class Copy:
    """One artifact as one store has it. `read_at` is when it was last read whole there.

    `doubt` is why it cannot be whole (damaged when it was last read, missing in the listing), and empty
    where nothing is known against it.
    """

    set_id: SetId
    name: str
    stored_bytes: int
    read_at: datetime
    doubt: str = ""

    @property
    def key(self) -> str:
        """Its key in the store."""
        return self.set_id.key(self.name)


@dataclass(frozen=True)
class Allowance:
    """How much may be read, and how soon everything has to be.

    `most_bytes` is what a night may read (0: as much as the days ask for), `done_bytes` what was read
    earlier in this night. `asked_bytes` is read in any case, whatever the days ask for.
    """

    days: int
    most_bytes: int = 0
    done_bytes: int = 0
    asked_bytes: int | None = None


@dataclass(frozen=True)
class Turn:
    """One artifact to read tonight, and the reason in words."""

    copy: Copy
    reason: str


@dataclass(frozen=True)
class ScrubPlan:
    """What is read tonight, in this order.

    `needs_bytes` is what each night has to read so that every artifact is read within the days; `late` are
    those that were not; `behind` says so in words, and is empty where all is in time.
    """

    turns: tuple[Turn, ...]
    total_bytes: int
    needs_bytes: int
    oldest: Copy | None
    late: tuple[Copy, ...]
    behind: str

    @property
    def planned_bytes(self) -> int:
        """Bytes of all that is read tonight."""
        return sum(turn.copy.stored_bytes for turn in self.turns)


def plan_scrub(copies: Iterable[Copy], allowance: Allowance, *, now: datetime) -> ScrubPlan:
    """Tonight's reading of one store: what is doubtful, and then the oldest-read first.

    With a run each night, no artifact stays unread for longer than the days. One that is larger than all
    that a night may read is read all the same, alone, when it is due.
    """
    ordered = sorted(copies, key=lambda copy: (_read_at(copy, allowance, now), copy.key))
    doubtful = [Turn(copy, copy.doubt) for copy in ordered if copy.doubt]
    regular = [copy for copy in ordered if not copy.doubt]
    needs_bytes = _needed(regular, allowance, now=now)
    chosen = _asked(regular, allowance.asked_bytes) if allowance.asked_bytes is not None else (
        _share(regular, allowance, now))
    turns = (*doubtful, *(Turn(copy, _reason(copy, allowance, now)) for copy in chosen))
    late = tuple(copy for copy in regular if is_late(copy, days=allowance.days, now=now))
    return ScrubPlan(turns, sum(copy.stored_bytes for copy in ordered), needs_bytes,
                     regular[0] if regular else None, late,
                     _behind(late, needs_bytes, allowance, now))


def is_late(copy: Copy, *, days: int, now: datetime) -> bool:
    """Whether it was not read within the days, and one more for the night that was due."""
    return now - copy.read_at > timedelta(days=days + 1)


def _needed(copies: Sequence[Copy], allowance: Allowance, *, now: datetime, spare: bool = False) -> int:
    """The smallest amount that, read each night from tonight on, the oldest first, is in time for all.

    With `spare`, in time even if a tenth of the nights is missed.
    """
    due_bytes, most = allowance.done_bytes, 0
    for copy in copies:
        due_bytes += max(copy.stored_bytes, 1)
        most = max(most, -(-due_bytes // _nights(copy, allowance, now=now, spare=spare)))
    return most


def _nights(copy: Copy, allowance: Allowance, *, now: datetime, spare: bool) -> int:
    """In how many nights, tonight included, a copy can be read in time: at least tonight."""
    days = timedelta(days=allowance.days - (allowance.days // _SPARE if spare else 0))
    return max((_read_at(copy, allowance, now) + days - now) // _NIGHT + 1, 1)


def _share(copies: Sequence[Copy], allowance: Allowance, now: datetime) -> Iterator[Copy]:
    """The oldest-read of those that have room tonight, as many as fit into tonight's budget."""
    pool, budget = _pool(copies, allowance, now)
    budget -= allowance.done_bytes
    if allowance.most_bytes:
        budget = min(budget, allowance.most_bytes - allowance.done_bytes)
    taken = 0
    for copy in pool:
        if taken + copy.stored_bytes > budget:
            if _nights(copy, allowance, now=now, spare=True) == 1:  # due, and more than a night may read
                yield from [] if taken or allowance.done_bytes else [copy]
            elif 0 < allowance.most_bytes < copy.stored_bytes:
                continue  # it waits until it is due
            return  # it is the first tomorrow; what comes after it was read later
        yield copy
        taken += max(copy.stored_bytes, 1)


def _pool(copies: Sequence[Copy], allowance: Allowance, now: datetime) -> tuple[Sequence[Copy], int]:
    """The copies that have room tonight, and what of them is to be read.

    One that is larger than the budget waits, until it is due or the budget has grown; and its share of the
    budget is not spent on others, which would then be read every night.
    """
    while True:
        budget = _needed(copies, allowance, now=now, spare=True)
        fitting = [copy for copy in copies if copy.stored_bytes <= budget]
        if len(fitting) == len(copies):
            return copies, budget
        copies = fitting


def _asked(copies: Sequence[Copy], asked_bytes: int) -> Iterator[Copy]:
    """Whatever fits into the bytes that were asked for, or where the first does not, that one alone."""
    taken = 0
    for copy in copies:
        if taken + copy.stored_bytes <= asked_bytes:
            yield copy
            taken += max(copy.stored_bytes, 1)
        elif not taken and copy is copies[0]:
            yield copy
            return


def _read_at(copy: Copy, allowance: Allowance, now: datetime) -> datetime:
    """When it was last read; what a wrong clock put into the future counts as due."""
    return copy.read_at if copy.read_at <= now + SKEW else now - timedelta(days=allowance.days)


def _reason(copy: Copy, allowance: Allowance, now: datetime) -> str:
    if copy.read_at > now + SKEW:
        return f"the clock was wrong when it was last read: that was {copy.read_at:%Y-%m-%d}"
    due = copy.read_at + timedelta(days=allowance.days) - now < _NIGHT
    return f"last read {age(copy.read_at, now)} ago{'; due' if due else ''}"


def _behind(late: Sequence[Copy], needs_bytes: int, allowance: Allowance, now: datetime) -> str:
    said = []
    if late:
        oldest = min(late, key=lambda copy: copy.read_at)
        said.append(f"{count(len(late), 'artifact')} not read within {allowance.days} days; unread longest "
                    f"is {oldest.key}, last read {age(oldest.read_at, now)} ago")
    if allowance.most_bytes and needs_bytes > allowance.most_bytes:
        said.append(f"it needs {size(needs_bytes)} a night, and NIGHTSCAN_SCRUB_BYTES allows "
                    f"{size(allowance.most_bytes)}: raise it to {needs_bytes}, or NIGHTSCAN_SCRUB_DAYS")
    return "; ".join(said)
