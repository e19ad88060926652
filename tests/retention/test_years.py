"""Years of simulated days: whatever happens, what was promised of retention holds at each rotation.

The world below knows what is true; rotation is told only what it could have found out. The promises are
stated once more, in `Promises`, in terms of what is true, and not of how a plan is made.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st

from nightscan_tasks.ledger import Look
from nightscan_tasks.model import FOREVER, Days, Keep, Manifest, Months, SetId, Tier, Weeks
from nightscan_tasks.retention import (
    Elsewhere,
    Evidence,
    Policy,
    Rotation,
    Sighting,
    good_sets,
    plan_look,
    plan_rotation,
)

DAY = timedelta(days=1)
MINUTES = timedelta(minutes=6)
BEGIN = datetime(2026, 1, 1, 2, 0, tzinfo=UTC)
KEEP = {Tier.DAILY: Days(7), Tier.WEEKLY: Weeks(4), Tier.MONTHLY: Months(12), Tier.PRE_DEPLOY: Days(30),
        Tier.MANUAL: FOREVER, Tier.PRE_RESTORE: Days(7)}

# A history costs about 2 ms a day: a profile with many examples gets long ones, and all of them.
EXAMPLES = settings().max_examples
LONGEST_DAYS = 140 if EXAMPLES <= 100 else 800
SOME = settings(max_examples=max(5, EXAMPLES // 2))
FEW = settings(max_examples=max(4, EXAMPLES // 20))


@dataclass(frozen=True)
class Weather:
    """What may happen: chances in a day or of a run, jumps of the clock, policies from a day on."""

    seed: int = 0
    days: int = 400
    chances: dict[str, float] = field(default_factory=dict)
    jumps: dict[int, float] = field(default_factory=dict)
    policies: dict[int, Policy] = field(default_factory=dict)
    offsites: int = 1
    lock_days: int = 0


@dataclass
class Copy:
    """A set in a store: `sound` None where it was not read back, False where that found damage."""

    manifest: Manifest
    taken: datetime  # the true time
    sound: bool | None = None
    locked_until: datetime | None = None


@dataclass
class World:
    """The stores, what people and restores do, and how wrong the clock is."""

    weather: Weather
    policy: Policy = field(default_factory=lambda: Policy(KEEP))
    true: datetime = BEGIN
    ahead: timedelta = timedelta()
    look: Look | None = None
    looked: tuple[datetime, timedelta] | None = None  # truly, and by how much the clock was wrong then
    was_off: int = 0  # for how many days before that
    off: int = 0  # and since then
    held: set[SetId] = field(default_factory=set)
    trusted: set[SetId] = field(default_factory=set)
    reading: set[SetId] = field(default_factory=set)
    removed: list[tuple[Copy, datetime]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.weather.seed)
        self.stores: dict[str, dict[SetId, Copy]] = {
            name: {} for name in ("primary", "offsite", "offsite2")[:1 + self.weather.offsites]}

    @property
    def now(self) -> datetime:
        """What the clock says."""
        return self.true + self.ahead

    def happens(self, what: str) -> bool:
        return self.random.random() < self.weather.chances.get(what, 0)

    def live(self, day: int) -> Iterator[str]:
        """One day; what it broke of the promises."""
        self.true = BEGIN + day * DAY
        self.ahead += timedelta(hours=self.weather.jumps.get(day, 0))
        self.policy = self.weather.policies.get(day, self.policy)
        if self.happens("off"):
            self.off += 1
            return
        for tier in self.due(day):
            self.run(tier)
            self.true += timedelta(minutes=10)
        self.change()
        for name in self.stores:
            yield from self.rotate(name)
        self.looked, self.was_off, self.off = (self.true, self.ahead), self.off, 0

    def due(self, day: int) -> Iterator[Tier]:
        date = (BEGIN + day * DAY).date()
        timetable = {Tier.DAILY: True, Tier.WEEKLY: date.weekday() == 6, Tier.MONTHLY: date.day == 1,
                     Tier.PRE_DEPLOY: self.random.random() < 0.1, Tier.MANUAL: self.random.random() < 0.05,
                     Tier.PRE_RESTORE: self.random.random() < 0.03}
        return (tier for tier, is_due in timetable.items() if is_due and not self.happens("no run"))

    def run(self, tier: Tier) -> None:
        set_id = SetId.at(tier, self.now)
        manifest = Manifest(
            set_id=set_id, run_id=str(set_id).replace("/", "-"), complete=not self.happens("incomplete"),
            opened_at=self.now, settled_at=self.now + MINUTES, encrypted_for=None, host="h", tag=None,
            components={}, artifacts=(), suspicious=("user_data: 1 file",) if self.happens("shrunk") else ())
        for name, sets in self.stores.items():
            if name == "primary" or not self.happens("copy fails"):
                self.put(sets, Copy(manifest, self.true))

    def put(self, sets: dict[SetId, Copy], copy: Copy) -> None:
        sound = None if self.happens("not verified") else not self.happens("damaged")
        locked = self.true + self.ahead + self.weather.lock_days * DAY if self.weather.lock_days else None
        sets.setdefault(copy.manifest.set_id, replace(copy, sound=sound, locked_until=locked))

    def change(self) -> None:
        """What else happens in a day: damage, late verification, late copies, people, restores."""
        everything = [copy for sets in self.stores.values() for copy in sets.values()]
        if everything and self.happens("rots"):
            self.random.choice(everything).sound = False
        for copy in everything:
            if copy.sound is None and not self.happens("not verified"):
                copy.sound = True
        primary = self.stores["primary"]
        for name, sets in self.stores.items():
            for set_id in [] if name == "primary" or self.happens("copy fails") else primary.keys() - sets:
                if not self.policy.keep[set_id.tier].expired(set_id.taken_at, now=self.now):
                    self.put(sets, primary[set_id])
        self.reading = {self.random.choice(everything).manifest.set_id} if (
            everything and self.happens("restore")) else set()
        if everything and self.happens("hold"):
            self.held.add(self.random.choice(everything).manifest.set_id)
        if self.held and self.happens("release"):
            self.held.remove(min(self.held))
        if self.happens("trust"):
            self.trusted |= {copy.manifest.set_id for copy in everything if copy.manifest.suspicious}

    def rotate(self, name: str) -> Iterator[str]:
        self.look = plan_look(self.look, now=self.now)
        before = dict(self.stores[name])
        plan = plan_rotation([copy.manifest for copy in before.values()], store=name, policy=self.policy,
                             evidence=self.evidence(name), now=self.now)
        yield from (f"{self.now:%Y-%m-%d} {name}: {problem}"
                    for problem in Promises(self, name, plan, before).broken())
        for set_id in plan.remove:
            self.removed.append((self.stores[name].pop(set_id), self.true))

    def evidence(self, name: str) -> Evidence:
        """What rotation of a store would find out."""
        here = self.stores[name]
        others = ["primary"] if name != "primary" else [each for each in self.stores if each != "primary"]
        down = self.happens("store down")
        newest = max((copy.manifest.settled_at for sets in self.stores.values()
                      for each, copy in sets.items() if each not in self.trusted), default=None)
        return Evidence(
            verified=frozenset(each for each, copy in here.items() if copy.sound),
            damaged=frozenset(each for each, copy in here.items() if copy.sound is False),
            reading=frozenset(self.reading), holds=dict.fromkeys(self.held, "held"),
            trusted=frozenset(self.trusted),
            locked={each: copy.locked_until for each, copy in here.items() if copy.locked_until},
            elsewhere=tuple(Elsewhere(other, problem="it is down") if down and other != "primary"
                            else Elsewhere(other, self.good(other)) for other in others),
            published=tuple(copy.manifest for copy in self.stores["primary"].values()), look=self.look,
            latest=Sighting(newest, "the newest set") if newest else None)

    def good(self, name: str) -> frozenset[SetId]:
        sets = self.stores[name]
        return good_sets([copy.manifest for copy in sets.values()], trusted=self.trusted,
                         verified={each for each, copy in sets.items() if copy.sound})


@dataclass(frozen=True)
class Promises:
    """What docs/RETENTION.md promises, asked of one plan; each method tells what the plan breaks."""

    world: World
    name: str
    plan: Rotation
    before: dict[SetId, Copy]

    @property
    def removed(self) -> set[SetId]:
        return set(self.plan.remove)

    def broken(self) -> Iterator[str]:
        if sorted(verdict.set_id for verdict in self.plan.verdicts) != sorted(self.before):
            yield "not one verdict for each set"
        if not all(verdict.reason for verdict in self.plan.verdicts):
            yield "a verdict without a reason"
        if self.removed:
            yield from chain(self.of_each_set(), self.of_the_minimum(), self.of_the_newest(),
                             self.of_other_stores(), self.of_the_clock())

    def good(self, copy: Copy) -> bool:
        is_normal = not copy.manifest.suspicious or copy.manifest.set_id in self.world.trusted
        return copy.manifest.complete and is_normal and copy.sound is True

    def newest(self, tier: Tier | None, fits: Callable[[Copy], bool]) -> list[SetId]:
        return sorted((each for each, copy in self.before.items() if tier in {None, each.tier} and fits(copy)
                       and each.taken_at <= self.world.now),
                      key=lambda each: (each.taken_at, each.tier), reverse=True)

    def of_each_set(self) -> Iterator[str]:
        if self.removed & (self.world.held | self.world.reading):
            yield "a set goes that somebody holds or reads"
        for set_id in self.removed:
            locked = self.before[set_id].locked_until
            if locked and locked > self.world.now:
                yield f"{set_id} goes in spite of its lock"
            if not self.world.policy.keep[set_id.tier].expired(set_id.taken_at, now=self.world.now):
                yield f"{set_id} goes before its time"

    def of_the_minimum(self) -> Iterator[str]:
        minimum = self.world.policy.minimum
        for tier in Tier:
            if self.removed & set(self.newest(tier, self.good)[:minimum]):
                yield f"one of the newest good {tier} sets goes"
            complete = set(self.newest(tier, lambda copy: copy.manifest.complete))
            if self.removed & complete and len(complete - self.removed) < minimum:
                yield f"fewer than {minimum} complete {tier} sets are left"

    def of_the_newest(self) -> Iterator[str]:
        for tier in (None, *{set_id.tier for set_id in self.removed}):
            newest = self.before[self.newest(tier, lambda _copy: True)[0]].manifest
            if (not newest.complete or newest.suspicious) and newest.set_id not in self.world.trusted:
                yield f"something goes while the newest set, {newest.set_id}, is no good one"
            complete = self.newest(tier, lambda copy: copy.manifest.complete)
            if complete and self.before[complete[0]].sound is not True:
                yield f"something goes while {complete[0]} is not verified"

    def of_other_stores(self) -> Iterator[str]:
        others = {name: sets for name, sets in self.world.stores.items()
                  if name != self.name and "primary" in {name, self.name}}
        for set_id in filter(lambda each: self.good(self.before[each]), self.removed):
            for name, sets in others.items():
                good = {each for each, copy in sets.items() if self.good(copy) and each.tier is set_id.tier}
                newer = {each for each in good if each.taken_at > set_id.taken_at}
                if set_id not in good and len(newer) < self.world.policy.minimum:
                    yield f"{set_id} goes, which {name} lacks"

    def of_the_clock(self) -> Iterator[str]:
        if any(each.taken_at > self.world.now + MINUTES for each in self.before.keys() - self.world.trusted):
            yield "something goes while a set is from the future"
        if self.world.looked:
            looked, wrong = self.world.looked
            if self.world.ahead - wrong >= DAY and not self.world.was_off:
                yield "something goes right after the clock jumped ahead"
            if self.world.now < looked + wrong - MINUTES:
                yield "something goes after the clock went back"


def history(weather: Weather) -> tuple[World, list[str]]:
    world = World(weather)
    return world, [problem for day in range(weather.days) for problem in world.live(day)]


CHANCE = st.sampled_from([0, 0, 0.02, 0.1, 0.5])
CHANCES = st.fixed_dictionaries(dict.fromkeys((
    "incomplete", "not verified", "damaged", "rots", "shrunk", "copy fails", "no run", "off", "restore",
    "hold", "release", "trust", "store down"), CHANCE))
KEEPS = st.fixed_dictionaries({
    Tier.DAILY: st.sampled_from([Days(3), Days(7), Days(14)]),
    Tier.WEEKLY: st.sampled_from([Weeks(2), Weeks(4)]),
    Tier.MONTHLY: st.sampled_from([Months(2), Months(12)]), Tier.PRE_DEPLOY: st.just(Days(30)),
    Tier.MANUAL: st.sampled_from([FOREVER, Days(10)]), Tier.PRE_RESTORE: st.just(Days(7))})
POLICIES = st.builds(Policy, KEEPS, st.integers(1, 4))
WEATHER = st.builds(
    Weather, seed=st.integers(0, 2**32), days=st.integers(10, LONGEST_DAYS), chances=CHANCES,
    jumps=st.dictionaries(st.integers(1, LONGEST_DAYS),
                          st.sampled_from([-50, -24, -1, 1, 24, 26, 50, 24 * 9]), max_size=3),
    policies=st.dictionaries(st.integers(0, LONGEST_DAYS), POLICIES, max_size=3), offsites=st.integers(0, 2),
    lock_days=st.sampled_from([0, 0, 5, 40]))


@SOME
@given(weather=WEATHER)
def test_whatever_happens_the_promises_hold(weather: Weather) -> None:
    _world, problems = history(weather)
    assert problems == []


def test_in_three_rough_years_the_promises_hold_and_the_stores_do_not_fill() -> None:
    rough = dict.fromkeys(("incomplete", "not verified", "damaged", "shrunk", "copy fails", "no run", "off",
                           "hold", "store down"), 0.03) | {"trust": 0.3, "release": 0.1, "restore": 0.1}
    world, problems = history(Weather(1, 1100, rough, jumps={200: 50, 400: -30, 600: 24 * 9},
                                      policies={500: Policy(KEEP | {Tier.DAILY: Days(14)}, 3)}, lock_days=5))
    assert problems == []
    assert len(world.removed) > 1000
    assert all(len([each for each in sets if each.tier is not Tier.MANUAL]) < 60
               for sets in world.stores.values())


@FEW
@given(weather=WEATHER)
def test_whatever_happened_once_all_is_well_again_what_is_past_its_time_goes(weather: Weather) -> None:
    policy = Policy(KEEP)
    well = replace(weather, days=min(weather.days, 60), policies={})
    world, _ = history(well)
    world.weather = replace(well, chances={}, jumps={})
    world.held, world.policy = set(), policy
    for day in range(well.days, well.days + 80):
        assert list(world.live(day)) == []
    for name, sets in world.stores.items():
        for tier in (Tier.DAILY, Tier.WEEKLY):
            past = [each for each, copy in sets.items() if each.tier is tier
                    and KEEP[tier].expired(each.taken_at, now=world.now)
                    and not (copy.locked_until and copy.locked_until > world.now)]
            assert past == [], (name, tier)


@FEW
@given(seed=st.integers(0, 2**32), days=st.integers(370, 450), offsites=st.integers(0, 2))
def test_in_good_times_each_set_goes_on_its_day_and_none_before(seed: int, days: int, offsites: int) -> None:
    world, problems = history(Weather(seed, days, offsites=offsites))
    assert problems == []
    for copy, removed_at in world.removed:
        rule = world.policy.keep[copy.manifest.set_id.tier]
        assert rule.expired(copy.taken, now=removed_at)
        assert not rule.expired(copy.taken, now=removed_at - 1.1 * DAY) or copy.manifest.set_id.tier in {
            Tier.PRE_DEPLOY, Tier.PRE_RESTORE}  # rare: the minimum keeps them until there are newer ones
    for sets in world.stores.values():
        counts = {tier: sum(each.tier is tier for each in sets) for tier in Tier}
        assert (counts[Tier.DAILY], counts[Tier.WEEKLY], counts[Tier.MONTHLY]) == (7, 4, 12)


@FEW
@given(day=st.integers(20, 60), hours=st.integers(26, 24 * 400), seed=st.integers(0, 2**32))
def test_after_one_jump_ahead_no_set_goes_before_half_its_time_has_truly_passed(
        day: int, hours: int, seed: int) -> None:
    world, problems = history(Weather(seed, 160, jumps={day: hours}))
    assert problems == []
    for copy, removed_at in world.removed:
        rule = world.policy.keep[copy.manifest.set_id.tier]
        half = Keep(days=(rule.days + 30 * rule.months) // 2)
        assert half.expired(copy.taken, now=removed_at), copy.manifest.set_id
