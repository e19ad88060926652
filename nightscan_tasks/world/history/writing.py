"""A past is written: day by day, through the records that the real thing writes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.ledger import Look, Started, Trust, Verified
from nightscan_tasks.ledger.reads import Reads
from nightscan_tasks.ledger.restore_records import Aftermath, Drill
from nightscan_tasks.ledger.rotations import Rotated, Rotations
from nightscan_tasks.model import Manifest, SetId, Tier
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import PRIMARY, System
from nightscan_tasks.watch.alert import Alert
from nightscan_tasks.watch.book import Book, Page
from nightscan_tasks.watch.samples import Sample, Samples
from nightscan_tasks.workflows import PLANS, RETENTION
from nightscan_tasks.world.history.alarms import make_alerts
from nightscan_tasks.world.history.proofs import (
    Drilling,
    make_drill,
    make_reads,
    make_restore,
    make_scrub,
)
from nightscan_tasks.world.history.runs import Maker, Past
from nightscan_tasks.world.history.sizes import Day, plan_days
from nightscan_tasks.world.history.story import Story, Trouble, plan_story

_LEDGER_DAYS = 400  # older runs are forgotten
_SUNDAY = 6
_BACKUP, _ROTATION, _SCRUB, _DRILL = time(2, 0), time(8, 0), time(4, 30), time(10, 0)
_DRILL_DAY, _LOSS_DAY, _LOSS_MONTH = 15, 20, 1
_RELEASES = 0.06  # of all days
_RESTORED_DAYS_AGO = 17
_READ_BYTES_PER_SECOND = 140e6
_SAMPLED_DAYS = 60
_DISK_BYTES, _DISK_SETS = 640_000_000_000, 30
_TRUSTED = "the test accounts of the spring were removed, as agreed with the team"


@dataclass
class History:
    """What was written. `story` counts days back from the last; `on` has the runs of a trouble."""

    story: Story
    runs: list[Past] = field(default_factory=list)
    drills: list[Drill] = field(default_factory=list)
    restores: list[str] = field(default_factory=list)
    troubles: dict[Trouble, list[Past]] = field(default_factory=dict)
    gap: tuple[date, ...] = ()
    alerts: list[Alert] = field(default_factory=list)
    sets: list[SetId] = field(default_factory=list)
    """Those that are still there."""

    def on(self, trouble: Trouble) -> list[Past]:
        """The runs that something happened to, the earliest first."""
        return self.troubles.get(trouble, [])


def write_history(system: System, *, days: int = 90, seed: int = 1, now: datetime,
                  well: bool = True) -> History:
    """Write `days` of a past that ends at `now` (aware) into the stores of `system`, and say what is in it.

    The stores should be empty. See the package for what it is and is not.
    """
    return _Writer(system, min(days, _LEDGER_DAYS), seed, now, well=well).write()


class _Writer:
    def __init__(self, system: System, days: int, seed: int, now: datetime, *, well: bool) -> None:
        self.system, self.now = system, now
        self.zone = system.settings.zone
        self.today = now.astimezone(self.zone).date()
        self.story = plan_story(days, seed=seed, well=well)
        self.sizes = plan_days(days, last=self.today, seed=seed)
        self.chance = random.Random(f"{seed}/history")
        self.maker = Maker(system, self.chance)
        self.history = History(self.story)
        self.offsite_sets: Mapping[str, list[Manifest]] = {store.name: [] for store in system.stores}
        self.late: list[tuple[Manifest, str]] = []  # sets that a store which was down has to get

    def write(self) -> History:
        """Everything, the oldest first."""
        for back in range(self.story.days - 1, -1, -1):
            self._day(back)
        self._drills()
        self._restore()
        self._last_looks()
        self._alerts()
        self._room()
        self.history.gap = tuple(self._date(back) for back in self.story.on(Trouble.GAP))
        self.history.sets = [each.set_id for each in self.offsite_sets[PRIMARY]]
        return self.history

    def _day(self, back: int) -> None:
        trouble, day, size = self.story.of(back), self._date(back), self.sizes[back]
        if trouble is Trouble.GAP:
            return
        lasting = back == 0 and self.story.of(1) is Trouble.OUTAGE  # and is not over yet
        if trouble is not Trouble.OUTAGE and not lasting:
            self._replicate(self._at(day, time(1, 0)))
        waited = 0.0
        for number, tier in enumerate(_due(day)):
            past = self._run(tier, self._at(day, _BACKUP) + timedelta(seconds=number), size,
                             trouble if tier is Tier.DAILY or trouble in {Trouble.OUTAGE, Trouble.FAILED}
                             else None, waited=waited)
            waited += past.outcome.elapsed_seconds if past else 0.0
        if self.chance.random() < _RELEASES and day.weekday() not in {4, 5, 6}:  # not before a weekend
            major, minor = divmod(self.story.days - back, 40)
            at = self._at(day, time(15, self.chance.randint(0, 59), self.chance.randint(0, 59)))
            self._run(Tier.PRE_DEPLOY, at, size, tag=f"v2.{major}.{minor}",
                      trouble=trouble if trouble is Trouble.OUTAGE else None)

    def _run(self, tier: Tier, at: datetime, size: Day, trouble: Trouble | None = None, *,
             waited: float = 0.0, tag: str | None = None) -> Past | None:
        """One run; None where it is still to come."""
        if at >= self.now:
            return None
        past = self.maker.make(PLANS[tier], at, size, trouble, waited_seconds=waited, tag=tag)
        if past.outcome.settled_at >= self.now:
            return None
        self.history.runs.append(past)
        if trouble is not None:
            self.history.troubles.setdefault(trouble, []).append(past)
        self._record(past, waited)
        if past.manifest is not None:
            self._publish(past, past.manifest)
            if past.manifest.suspicious:
                self.system.ledger.decisions.trust(Trust(
                    past.run.set_id, _TRUSTED, "claire@nightscan-1", at + timedelta(hours=7)))
        return past

    def _record(self, past: Past, waited: float) -> None:
        ledger, run = self.system.ledger, past.run
        ledger.open(run)
        ledger.start(run.run_id, Started(run.opened_at + timedelta(seconds=waited),
                                         len(self.history.runs)))
        ledger.settle(past.outcome)

    def _publish(self, past: Past, manifest: Manifest) -> None:
        """The set in the stores that got it, unless a rotation has removed it since; and its readings."""
        for store in self.system.stores:
            if store.name in past.stores:
                self._put(store, manifest, manifest.settled_at)
            elif manifest.complete:
                self.late.append((manifest, store.name))

    def _replicate(self, at: datetime) -> None:
        """What a store lacks that is back."""
        for manifest, name in self.late:
            if not self._expired(manifest.set_id, at):
                self._put(self.system.store(name), manifest, at)
        self.late = []

    def _put(self, store: Store, manifest: Manifest, at: datetime) -> None:
        read_at = at + timedelta(seconds=30 + manifest.stored_bytes / _READ_BYTES_PER_SECOND)
        if read_at < self.now:
            self.system.ledger.verify(manifest.run_id, Verified(
                manifest.set_id, store.name, read_at, manifest.stored_bytes, (), store.url))
        if not self._expired(manifest.set_id, self._before_now(_ROTATION)):
            Catalog(store).publish(manifest)
            self.offsite_sets[store.name].append(manifest)

    def _drills(self) -> None:
        """The timetable's, and usually one more on the day after one that failed."""
        due = [(back, day.month == _LOSS_MONTH and day.day == _LOSS_DAY) for back in range(self.story.days)
               if (day := self._date(back)).day == _DRILL_DAY
               or (day.month, day.day) == (_LOSS_MONTH, _LOSS_DAY)]
        routine = [back for back, loss in due if not loss]
        failed = dict(enumerate(routine)).get(self.story.failed_drill)
        slow = dict(enumerate(routine)).get(self.story.slow_drill)
        again = [(failed - 1, False)] if failed and self.story.drilled_again else []
        for back, loss in sorted((*due, *again), reverse=True):
            at = self._at(self._date(back), _DRILL)
            if at < self.now and (manifest := self._newest(at)):
                drilling = Drilling(at, manifest, loss=loss, slow=back == slow and not loss,
                                    failed=back == failed and not loss)
                drill = make_drill(self.system, drilling, self.chance)
                self.system.restores.drilled(drill)
                self.history.drills.append(drill)

    def _restore(self) -> None:
        at = self._at(self._date(_RESTORED_DAYS_AGO), time(11, 24, 9))
        manifest = self._newest(at) if self.story.days > _RESTORED_DAYS_AGO else None
        if manifest is None:
            return
        run, outcome = make_restore(self.system, manifest, at, self.chance)
        restores = self.system.restores
        restores.open(run)
        restores.settle(outcome)
        restores.accept(run.run_id, Aftermath(at + timedelta(days=2)))
        self.history.restores.append(run.run_id)

    def _last_looks(self) -> None:
        """What the last scrub and the last rotation left."""
        reads_of = Reads(self.system.primary)
        rotated_at, scrubbed_at = self._before_now(_ROTATION), self._before_now(_SCRUB)
        for store in self.system.stores:
            manifests = self.offsite_sets[store.name]
            read = [each for each in make_reads(store, manifests, scrubbed_at, self.chance) if each.files]
            for reads in read:
                reads_of.record(reads)
            reads_of.scrub(make_scrub(store, read, scrubbed_at))
            Rotations(self.system.primary).record(Rotated(
                store.name, store.url, rotated_at, kept=len(manifests),
                removed=self._removed(rotated_at)))
        self.system.ledger.looks.record(Look(rotated_at, 6 * 3600))

    def _alerts(self) -> None:
        """What was noticed of all that."""
        due = [self._at(self._date(back), _BACKUP) for back in self.story.on(Trouble.GAP)]
        gaps = [(due[0], due[-1])] if due else []
        alerts = list(make_alerts(self.history.runs, self.history.drills, gaps, now=self.now))
        book = Book(self.system.primary)
        book.close(alert for alert in alerts if alert.closed_at)
        book.keep(Page(tuple(alert for alert in alerts if not alert.closed_at),
                       looked_at=self.now - timedelta(hours=2)))
        self.history.alerts = alerts

    def _room(self) -> None:
        """How much was free in the primary store on each of the last days: the disk is not ours alone."""
        samples = Samples(self.system.primary)
        for back in range(min(self.story.days, _SAMPLED_DAYS) - 1, -1, -1):
            at = self._at(self._date(back), _ROTATION)
            if at < self.now:
                stored = sum(self.sizes[back].plain_bytes.values())
                samples.add(self.system.primary, Sample(at, round(_DISK_BYTES - _DISK_SETS * stored)),
                            total_bytes=_DISK_BYTES)

    def _removed(self, at: datetime) -> tuple[SetId, ...]:
        """The sets whose time was over between the rotation before and this one."""
        return tuple(past.run.set_id for past in self.history.runs if past.manifest
                     and self._expired(past.run.set_id, at)
                     and not self._expired(past.run.set_id, at - timedelta(days=1)))

    def _newest(self, at: datetime) -> Manifest | None:
        """The newest complete set that there was at a moment."""
        return next((past.manifest for past in reversed(self.history.runs) if past.manifest
                     and past.manifest.complete and past.outcome.settled_at < at
                     and past.run.set_id.tier is not Tier.PRE_DEPLOY), None)

    def _expired(self, set_id: SetId, at: datetime) -> bool:
        return RETENTION[set_id.tier].expired(set_id.taken_at, now=at)

    def _before_now(self, clock: time) -> datetime:
        """The last time that it was so late."""
        today = self._at(self.today, clock)
        return today if today < self.now else self._at(self._date(1), clock)

    def _date(self, back: int) -> date:
        return self.today - timedelta(days=back)

    def _at(self, day: date, clock: time) -> datetime:
        return datetime.combine(day, clock, self.zone).astimezone(UTC)


def _due(day: date) -> Iterator[Tier]:
    """What the timetable has at two in the morning of a day, in the order in which it queues."""
    yield Tier.DAILY
    if day.weekday() == _SUNDAY:
        yield Tier.WEEKLY
    if day.day == 1:
        yield Tier.MONTHLY
