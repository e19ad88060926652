"""A drill: restore, compare, measure, record."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.components.database_filler import reader
from nightscan_tasks.components.entry import unquoted
from nightscan_tasks.drill.scratch import Scratch, scratch
from nightscan_tasks.errors import NightscanError, NotFound
from nightscan_tasks.ledger.restore_records import Drill, RestoredComponent
from nightscan_tasks.model import Manifest, Tier
from nightscan_tasks.reconcile import Saved, Site, parse_columns, reconcile
from nightscan_tasks.restore.aftermath import accept, rollback
from nightscan_tasks.restore.choosing import Choice, choose
from nightscan_tasks.restore.hosts import hosts_in
from nightscan_tasks.restore.reading import Watch, plain
from nightscan_tasks.restore.recovering import recover
from nightscan_tasks.restore.request import LIVE, Request
from nightscan_tasks.restore.restoring import restore
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import PRIMARY, System
from nightscan_tasks.wording import count, duration

ROUTINE, LOSS = "routine", "simulated loss"


def drill(system: System, *, tier: Tier | None = None, store: str | None = None,
          simulate_loss: bool = False, unsigned: bool = False, watch: Watch | None = None) -> Drill:
    """Restore the newest set, of a tier or of any, into a scratch NightScan, and say whether it held.

    `simulate_loss` is for the case that the primary store is lost as well: it reads an offsite store alone,
    and recovers configuration and code too. Every drill is recorded, also one that fails; what did not
    hold is in `problems`: damage, fingerprints that differ, rows without files, objectives that were missed.
    """
    work = _Work(system, LOSS if simulate_loss else ROUTINE, watch, unsigned=unsigned)
    try:
        work.source = _source(system, store, simulate_loss=simulate_loss)
        work.run(tier)
    except NightscanError as exc:
        work.problems.append(str(exc))
    return work.record()


@dataclass
class _Work:
    """One drill while it is done."""

    system: System
    kind: str
    watch: Watch | None
    unsigned: bool = False
    began: float = field(default_factory=time.monotonic)
    source: Store | None = None
    manifest: Manifest | None = None
    components: tuple[RestoredComponent, ...] = ()
    stages: tuple[tuple[str, float], ...] = ()
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began_at: datetime = self.system.clock()

    def run(self, tier: Tier | None) -> None:
        """Everything but the record."""
        source = self.source or self.system.primary
        wanted = Choice(tier=tier, store=source.url, unsigned=self.unsigned)
        _, self.manifest = choose(self.system, wanted, LIVE)
        self.system = self._as_a_host(self.manifest)
        lease = f"restore/{self.manifest.set_id}/drill-{self.began_at:%Y%m%dT%H%M%S%fZ}"
        with (self.system.leases.hold(lease, f"drill {self.system.host}"),
              scratch(self.system, self.manifest) as place):
            self.notes += place.notes
            runs = self._restore(place, source, self.manifest)
            self._reconcile(place)
            if place.kept:
                self._clear(place, runs)
        self.system.leases.forget(f"{lease}/")
        self.problems += self._missed(self.manifest)

    def _as_a_host(self, manifest: Manifest) -> System:
        """Of several hosts' files a drill puts one host's back: this one's, or else the first's."""
        hosts, settings = hosts_in(manifest), self.system.settings
        if not hosts or settings.own_host in hosts:
            return self.system
        self.notes.append(f"of {', '.join(hosts)} only the files of {hosts[0]} were put back: a drill on "
                          f"each of them tries its own")
        named = settings.model_copy(update={"host": hosts[0], "hosts": hosts})
        return replace(self.system, settings=named)

    def record(self) -> Drill:
        """The drill as it is recorded, and recorded."""
        manifest = self.manifest
        lost_since = manifest.opened_at if manifest else None
        done = Drill(
            f"drill-{self.began_at:%Y%m%dT%H%M%S%fZ}", manifest.set_id if manifest else None,
            self.source.name if self.source else PRIMARY, self.kind, self.began_at,
            time.monotonic() - self.began, self.components, lost_since,
            (self.began_at - lost_since).total_seconds() if lost_since else None, tuple(self.problems),
            tuple(self.notes), self.stages)
        self.system.restores.drilled(done)
        return done

    def _restore(self, place: Scratch, source: Store, manifest: Manifest) -> tuple[str, ...]:
        """By the code that restores what is live: the scratch application is live in its own eyes."""
        choice = Choice(set_id=manifest.set_id, store=source.url, unsigned=self.unsigned)
        if self.kind == LOSS:
            back = recover(place.system, source.url, choice, watch=self.watch)
            self.components, self.problems = back.components, [*self.problems, *back.problems]
            self.stages = tuple((stage.name, stage.elapsed_seconds) for stage in back.stages)
            self.notes += back.notes
            return back.run_ids
        done = restore(place.system, Request(choice, LIVE), watch=self.watch, stores=self.system.stores)
        self.components = done.components
        self.stages = tuple((each.component, each.elapsed_seconds) for each in done.components)
        self.notes += done.notes
        return (done.run_id,)

    def _clear(self, place: Scratch, runs: tuple[str, ...]) -> None:
        """A server that outlives the drill is left as it was found."""
        for run_id in reversed(runs):
            rollback(place.system, run_id)
            accept(place.system, run_id)

    def _reconcile(self, place: Scratch) -> None:
        """Rows of the restored database against the restored files, with no set to look into."""
        restored, live = place.system.settings, self.system.settings.root
        with reader(restored.dsn) as dsn:
            found = reconcile(
                Site(dsn=dsn, root=restored.root, columns=parse_columns(restored.reconcile),
                     aliases=(live,), exclude=restored.user_data_exclude, temp_dir=restored.temp_dir),
                Saved(partial(plain, self.system)), now=self.system.clock())
        there = [name for name in found.first_lost
                 if os.path.lexists(os.fsencode(live) + b"/" + unquoted(name))]
        if there:
            self.problems.append(f"rows name files that are there and that the set has not, for example "
                                 f"{there[0]}: nightscan reconcile")
        elif found.missing:
            self.notes.append(f"{count(found.missing, 'row')} name files that the set has not, and that are "
                              f"not live either: nightscan reconcile")

    def _missed(self, manifest: Manifest) -> Iterator[str]:
        """The objectives that were not met."""
        for each in self.components:
            if not each.met:
                yield (f"{each.component} took {duration(each.elapsed_seconds)}, and may take "
                       f"{duration(each.objective_seconds)}")
        loss = (self.began_at - manifest.opened_at).total_seconds()
        allowed = self.system.settings.objective_loss_seconds
        if loss > allowed:
            yield (f"data since {manifest.opened_at:%Y-%m-%d %H:%M} UTC, {duration(loss)} ago, would be "
                   f"lost, and {duration(allowed)} may be")


def _source(system: System, name: str | None, *, simulate_loss: bool) -> Store:
    """Where to read from: as asked; for a simulated loss, the first offsite store that has a set."""
    if name is not None:
        return system.store(name)
    if not simulate_loss:
        return system.primary
    problems = []
    for store in system.offsites:
        try:
            if Catalog(store).ids():
                return store
            problems.append(f"{store.name} has no set")
        except NightscanError as exc:
            problems.append(str(exc))
    raise NotFound("a loss cannot be simulated, since nothing would be left: " + (
        "; ".join(problems) or "there is no offsite store: set AWS_BACKUP_BUCKET or NIGHTSCAN_OFFSITE"))
