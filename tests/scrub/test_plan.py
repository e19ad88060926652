"""What is read tonight: over months of nights, with sets that come and go, and stores that do not answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from nightscan_tasks.model import SetId, Tier
from nightscan_tasks.scrubbing import Allowance, Copy, plan_scrub

NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def copy(name: str, *, read: float, size: int = 100, doubt: str = "") -> Copy:
    """An artifact that was last read so many days ago."""
    set_id = SetId(Tier.MONTHLY, datetime(2026, 1, 1, 2, tzinfo=UTC))
    return Copy(set_id, name, size, NOW - read * DAY, doubt)


def names(copies: list[Copy], allowance: Allowance) -> list[str]:
    return [turn.copy.name for turn in plan_scrub(copies, allowance, now=NOW).turns]


def test_what_is_due_is_read_tonight_and_the_oldest_first() -> None:
    copies = [copy("b", read=31), copy("c", read=2), copy("a", read=40)]
    assert names(copies, Allowance(days=30))[:2] == ["a", "b"]


def test_what_was_all_read_on_one_day_is_spread_over_the_days() -> None:
    copies = [copy(str(number), read=1) for number in range(300)]
    plan = plan_scrub(copies, Allowance(days=30), now=NOW)
    assert len(plan.turns) == 11
    assert plan.needs_bytes == 100 * 10


def test_what_was_damaged_comes_before_everything_and_takes_nothing_from_the_rest() -> None:
    regular = [copy("a", read=31), copy("b", read=31)]
    copies = [*regular, copy("damaged", read=1, size=10**9, doubt="it is missing")]
    assert names(copies, Allowance(days=30, most_bytes=200)) == ["damaged", "a", "b"]


def test_a_huge_artifact_is_read_alone_and_keeps_no_other_from_its_turn() -> None:
    copies = [copy("small", read=50), copy("huge", read=40, size=10**9), copy("next", read=35)]
    allowance = Allowance(days=30, most_bytes=1000)
    assert names(copies, allowance) == ["small"]
    assert names(copies[1:], allowance) == ["huge"]
    assert names(copies[1:], replace(allowance, done_bytes=1)) == []


def test_a_limit_that_cannot_keep_the_days_is_told_with_what_it_needs() -> None:
    copies = [copy(str(number), read=20) for number in range(110)]
    allowance = Allowance(days=30, most_bytes=500)
    assert "it needs 1.0 kB a night, and NIGHTSCAN_SCRUB_BYTES allows 500 B: raise it to 1000" in plan_scrub(
        copies, allowance, now=NOW).behind
    assert plan_scrub(copies, replace(allowance, most_bytes=1000), now=NOW).behind == ""


def test_what_is_unread_longest_is_named_when_it_is_late() -> None:
    copies = [copy("a", read=31.5), copy("b", read=33), copy("c", read=30.5)]
    late = plan_scrub(copies, Allowance(days=30), now=NOW)
    assert [each.name for each in late.late] == ["b", "a"]
    assert "2 artifacts not read within 30 days; unread longest is monthly/2026" in late.behind
    assert late.behind.endswith("T020000Z/b, last read 33 days ago")


def test_what_was_read_earlier_in_the_night_counts() -> None:
    copies = [copy(str(number), read=number / 10) for number in range(270)]
    tonight = plan_scrub(copies, Allowance(days=30), now=NOW)
    half = len(tonight.turns) // 2
    read = {turn.copy.name for turn in tonight.turns[:half]}
    rest = [replace(each, read_at=NOW) if each.name in read else each for each in copies]
    again = plan_scrub(rest, Allowance(days=30, done_bytes=100 * half), now=NOW)
    assert [turn.copy for turn in again.turns] == [turn.copy for turn in tonight.turns[half:]]


def test_what_is_due_is_read_however_much_was_read_earlier_in_the_night() -> None:
    """A scrub that was killed is gone on with: what it read is not taken off what it did not."""
    copies = [copy(str(number), read=29) for number in range(4)]
    assert len(names(copies, Allowance(30, done_bytes=10**6))) == 4


def test_asked_for_bytes_are_read_whatever_the_days_ask_for() -> None:
    copies = [copy(str(number), read=1 + number / 100) for number in range(10)]
    assert len(names(copies, Allowance(days=30, done_bytes=5000, asked_bytes=300))) == 3
    assert len(names(copies, Allowance(days=30, most_bytes=100, asked_bytes=10**9))) == 10


def test_what_a_wrong_clock_read_in_the_future_is_due() -> None:
    assert names([copy("a", read=-3650), copy("b", read=1)], Allowance(days=30))[0] == "a"


def test_where_nothing_is_there_is_nothing_to_read() -> None:
    plan = plan_scrub([], Allowance(days=30), now=NOW)
    assert (plan.turns, plan.needs_bytes, plan.oldest, plan.behind) == ((), 0, None, "")


@dataclass
class Simulated:
    """A store, and the nights in which it is scrubbed."""

    days: int
    now: datetime = NOW
    copies: dict[str, Copy] = field(default_factory=dict)
    amounts: list[int] = field(default_factory=list)

    def add(self, sizes: list[int]) -> None:
        for number, size in enumerate(sizes):
            made = Copy(SetId.at(Tier.DAILY, self.now), str(number), size, self.now - timedelta(hours=2))
            self.copies[made.key] = made

    def drop(self, older_than: timedelta) -> None:
        self.copies = {key: each for key, each in self.copies.items()
                       if self.now - each.set_id.taken_at <= older_than}

    def night(self) -> None:
        plan = plan_scrub(self.copies.values(), Allowance(self.days), now=self.now)
        for turn in plan.turns:
            self.copies[turn.copy.key] = replace(turn.copy, read_at=self.now)
        self.amounts.append(plan.planned_bytes)

    def oldest(self) -> timedelta:
        return max((self.now - each.read_at for each in self.copies.values()), default=timedelta())


SIZES = st.lists(st.one_of(st.integers(1, 1000), st.integers(50_000, 100_000)), max_size=4)
NIGHTS = st.lists(st.tuples(SIZES, st.booleans(), st.integers(-60, 60)), min_size=60, max_size=90)


@settings(max_examples=20)
@given(nights=NIGHTS, days=st.integers(1, 40), kept=st.integers(5, 200), down=st.integers(0, 60))
def test_nothing_stays_unread_for_longer_than_the_days_while_the_store_answers(
        nights: list[tuple[list[int], bool, int]], days: int, kept: int, down: int) -> None:
    """Sets come and go, single nights are missed, the store is away for days, runs start early or late."""
    store = Simulated(days)
    missed = False
    for number, (sizes, miss, minutes) in enumerate(nights):
        store.now = NOW + number * DAY + timedelta(minutes=minutes)
        store.add(sizes)
        store.drop(timedelta(days=kept))
        away = 20 <= number < 20 + down
        missed = miss and not missed
        if away or missed:
            continue
        store.night()
        # What is unread now is read in time even if the next night is a little late, or missed.
        assert store.oldest() + DAY <= timedelta(days=days + 1)


@settings(max_examples=20)
@given(sizes=st.lists(st.integers(1, 1000), min_size=30, max_size=60), days=st.integers(3, 40))
def test_the_nightly_amount_stays_even(sizes: list[int], days: int) -> None:
    """However unevenly it was read at first, and however long nobody scrubbed."""
    store = Simulated(days)
    store.add(sizes)
    for number in range(3 * days):
        store.now = NOW + number * DAY
        store.night()
        assert store.oldest() <= timedelta(days=days)
    even = sum(sizes) / (days - days // 10)
    assert max(store.amounts) <= even + 4 * max(sizes)  # none can be read in part


@settings(max_examples=20)
@given(sizes=st.lists(st.integers(100, 1000), min_size=1, max_size=60), huge=st.integers(100, 1_000_000),
       days=st.integers(3, 40))
def test_no_more_is_read_than_the_days_ask_for(sizes: list[int], huge: int, days: int) -> None:
    """A few large artifacts are not read each night because there is always a budget."""
    store = Simulated(days)
    store.add([*sizes, huge])
    for number in range(4 * days):
        store.now = NOW + number * DAY
        store.night()
    rounds = 4 * days / (days - days // 10)
    assert sum(store.amounts) <= (sum(sizes) + huge) * rounds * 1.3 + 2 * max(*sizes, huge)


@settings(max_examples=20)
@given(sizes=st.lists(st.integers(1, 1000), min_size=1, max_size=30), days=st.integers(2, 30),
       percent=st.integers(50, 300))
def test_a_limit_is_kept_and_is_enough_or_it_is_said_that_it_is_not(sizes: list[int], days: int,
                                                                    percent: int) -> None:
    store = Simulated(days)
    store.add(sizes)
    limit = max(sum(sizes) * percent // (100 * days), 1)
    warned = False
    for number in range(3 * days):
        store.now = NOW + number * DAY
        plan = plan_scrub(store.copies.values(), Allowance(days, limit), now=store.now)
        assert plan.planned_bytes <= limit or len(plan.turns) == 1
        warned = warned or bool(plan.behind)
        assert store.oldest() <= timedelta(days=days + 1) or warned
        for turn in plan.turns:
            store.copies[turn.copy.key] = replace(turn.copy, read_at=store.now)
