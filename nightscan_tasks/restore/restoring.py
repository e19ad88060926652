"""A restore from its first look to its end: everything is staged and compared, then swapped, then proved.

choose → examine → safety set → stage all → services stop → swap all → services start → health
                                    │                           └────────── undo all ←──────┘
                                    └→ discard: nothing was changed
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from nightscan_tasks.audit import Action
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import DigestMismatch, NightscanError, NotFound, RestoreRefused, RestoreUndone
from nightscan_tasks.ledger.restore_records import (
    RestoredComponent,
    RestoreEnding,
    RestoreOutcome,
    RestoreRun,
    Swapping,
)
from nightscan_tasks.model import Manifest
from nightscan_tasks.restore.application import stopped, unwell
from nightscan_tasks.restore.choosing import choose
from nightscan_tasks.restore.hosts import COMPONENT, plan_host
from nightscan_tasks.restore.interrupted import finish_interrupted
from nightscan_tasks.restore.journal import Journal, holding, journals, open_journal
from nightscan_tasks.restore.limits import note_of, telling, unlimited
from nightscan_tasks.restore.planning import RestorePlan, plan_components
from nightscan_tasks.restore.provenance import origin, record_unsigned
from nightscan_tasks.restore.rates import objective_seconds
from nightscan_tasks.restore.reading import SetSource, Watch, sound_copies
from nightscan_tasks.restore.request import Request, spelled, with_targets
from nightscan_tasks.restore.restorers import Restorers
from nightscan_tasks.restore.safety import save_live
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import System

_DAMAGE = (DigestMismatch, NotFound)

Step = Callable[[str], None]
"""Told what was just done: where tests interrupt."""


@dataclass(frozen=True)
class Restored:
    """What a restore put back, from which set of which store, and what it replaced."""

    run_id: str
    set_id: str
    store: str
    ending: RestoreEnding
    components: tuple[RestoredComponent, ...]
    elapsed_seconds: float
    live: bool
    notes: tuple[str, ...] = ()


def plan_restore(system: System, request: Request) -> RestorePlan:
    """What the restore would do. Changes nothing."""
    system = system if request.limited else unlimited(system)
    request = with_targets(request, system.settings)
    return _Work(system, request, next(journals(system))).plan()


def restore(system: System, request: Request, *, watch: Watch | None = None,
            step: Step = lambda _done: None, stores: Sequence[Store] = ()) -> Restored:
    """Put components of one set back, in the order given. `stores` may have a copy of what is damaged.

    `RestoreRefused`, `DigestMismatch`, …: nothing was changed. `RestoreUndone`: the new state was live,
    was not well, and the old one is live again. Killed at any moment: the next command, or
    `resume`, goes on or back, and says which.
    """
    system = system if request.limited else unlimited(system)
    request = with_targets(request, system.settings)
    journal = open_journal(system)
    work = _Work(system, request, journal, watch, step, stores or system.stores)
    with holding(journal, request.targets.place, work.run_id, system.host):
        work.notes += [journal.note] if journal.note else []
        work.notes += finish_interrupted(system, journal, request.targets)
        return work.run()


@dataclass
class _Work:
    """One restore while it is done."""

    system: System
    request: Request
    journal: Journal
    watch: Watch | None = None
    step: Step = lambda _done: None
    stores: Sequence[Store] = ()
    notes: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.opened_at = self.system.clock()
        self.run_id = f"restore-{self.opened_at:%Y%m%dT%H%M%S%fZ}"
        self.restorers = Restorers(self.system, self.run_id, self.request.targets, self.request.part,
                                   self.request.unguarded)
        choice = self.request.choice
        self.catalog, self.manifest = choose(self.system, choice, self.request.components)
        self.host = plan_host(
            self.manifest, given=choice.host, own=self.system.settings.own_host,
            live=self.request.targets.live) if COMPONENT in self.request.components else ""
        self.origin = origin(self.system, self.catalog, self.manifest, choice)

    @property
    def sources(self) -> dict[str, SetSource]:
        """Each component, as something to read."""
        watch = telling(self.watch, self.system, self.catalog.store)
        return {component: SetSource(self.system, self.catalog, self.manifest, component, watch,
                                     self.host if component == COMPONENT else "")
                for component in self.request.components}

    def plan(self) -> RestorePlan:
        """What would be done."""
        live, settings = self.request.targets.live, self.system.settings
        planned = plan_components(self.system, self.journal.restores, self.sources, self.restorers)
        return RestorePlan(
            str(self.manifest.set_id), self.manifest.set_id.taken_at, self.catalog.store.name,
            self.catalog.store.url, self.request.targets.place, self.request.part,
            planned, safety=self.request.components if live and self.request.safety else (),
            services=tuple(filter(None, (settings.services_stop, settings.services_start))) if live else (),
            problems=tuple(f"{each.component}: {problem}" for each in planned for problem in each.problems),
            expected_seconds=sum(each.expected_seconds for each in planned),
            notes=self.origin + note_of(self.system, self.catalog.store))

    def run(self) -> Restored:
        """All of it. The set is kept from retention until the last byte is read."""
        with _reading(self.catalog, self.journal, self.manifest, self.run_id):
            if problems := self.plan().problems:
                raise RestoreRefused("nothing was changed:\n" + "\n".join(problems))
            self.notes += self.origin
            record_unsigned(self.system, self.catalog, self.manifest, self.run_id)
            self._open()
            try:
                staged = self._prepare()
            except BaseException as exc:
                self._discard(exc)
                raise
        return self._take_over(staged)

    def _open(self) -> None:
        place = self.request.targets.place
        self.system.audit.record(
            Action.RESTORE, self.run_id, phase="begins", set=str(self.manifest.set_id),
            store=self.catalog.store.url, components=", ".join(self.request.components),
            part=spelled(self.request.part), into=spelled(place),
            **({"unguarded": "the dump runs with all rights of the connecting role"}
               if self.request.unguarded else {}))
        self.journal.restores.open(RestoreRun(
            self.run_id, self.manifest.set_id, self.catalog.store.name, self.catalog.store.url,
            self.request.components, self.request.targets.place, self.request.part, self.opened_at,
            self.system.host))
        self.step("opened")

    def _prepare(self) -> tuple[RestoredComponent, ...]:
        """A safety set of what is live, and everything staged beside it and compared."""
        if self.request.targets.live and self.request.safety is not None:
            self.notes += save_live(self.system, self.request.safety, self.request.components,
                                    watch=self.watch)
            self.step("saved")
        return tuple(self._stage(component, source) for component, source in self.sources.items())

    def _stage(self, component: str, source: SetSource) -> RestoredComponent:
        began = time.monotonic()
        try:
            staged = self.restorers.of(component).stage(source)
        except NightscanError as exc:
            if isinstance(exc, _DAMAGE) or isinstance(exc.__cause__, _DAMAGE):
                raise self._offering(component, exc) from exc
            raise
        self.step(f"staged {component}")
        return RestoredComponent(
            component, source.plain_bytes, time.monotonic() - began,
            objective_seconds(self.system.settings, component), notes=staged.notes)

    def _offering(self, component: str, error: NightscanError) -> NightscanError:
        """The error, and which other store has what this one has lost."""
        sound = sound_copies(self.stores, self.catalog, self.manifest, component)
        advice = (f"the copy in {sound[0]} is whole: --set {self.manifest.set_id} --from {sound[0]}" if sound
                  else "no other store has it whole: choose another set, `nightscan list` shows them")
        return type(error)(f"{error}; nothing was changed\n{advice}")

    def _discard(self, error: BaseException) -> None:
        try:
            for component in self.request.components:
                self.restorers.of(component).discard()
        except NightscanError:  # it stays open in the journal, so that the next command clears it away
            return
        self._settle(RestoreEnding.FAILED, (), str(error) or type(error).__name__)

    def _take_over(self, staged: tuple[RestoredComponent, ...]) -> Restored:
        self.journal.restores.swapping(self.run_id, Swapping(self.system.clock(), staged))
        self.step("swapping")
        live = self.request.targets.live
        before = self._unwell() if live else ()
        try:
            with stopped(self.system.settings, live=live) as told:
                done = self._swap(staged)
        except NightscanError as exc:
            self._back()  # raises in its turn, and leaves the journal open, where it cannot
            self._settle(RestoreEnding.FAILED, (), str(exc))
            raise
        self.notes += told
        problems = self._unwell(before) if live else ()
        if problems:
            self._undo(done, problems)
        self._settle(RestoreEnding.RESTORED, done, None)
        return self._result(RestoreEnding.RESTORED, done)

    def _unwell(self, known: tuple[str, ...] = ()) -> tuple[str, ...]:
        if self.request.part:  # what else is wrong with the component is not this restore's to mend
            return unwell(self.system, (), None, known=known)
        return unwell(self.system, self.request.components, self.manifest, known=known)

    def _swap(self, staged: tuple[RestoredComponent, ...]) -> tuple[RestoredComponent, ...]:
        """Each component takes its place."""
        done: list[RestoredComponent] = []
        for each in staged:
            began = time.monotonic()
            try:
                swapped = self.restorers.of(each.component).swap()
            except NightscanError as exc:
                raise RestoreRefused(f"{each.component} could not take its place; everything is as it was: "
                                     f"{exc}") from exc
            self.step(f"swapped {each.component}")
            done.append(replace(each, before=swapped.before, notes=each.notes + swapped.notes,
                                elapsed_seconds=each.elapsed_seconds + time.monotonic() - began))
        return tuple(done)

    def _back(self) -> None:
        """The old state of all components is live, and nothing of this restore is left beside it."""
        for component in reversed(self.request.components):
            restorer = self.restorers.of(component)
            restorer.undo()
            restorer.accept()
            restorer.discard()

    def _undo(self, done: tuple[RestoredComponent, ...], problems: tuple[str, ...]) -> None:
        reason = "; ".join(problems)
        with stopped(self.system.settings, live=True):
            for each in reversed(done):
                self.restorers.of(each.component).undo()
        self._settle(RestoreEnding.ROLLED_BACK, done, reason)
        raise RestoreUndone(
            f"the restored state was not well, and the old state is live again: {reason}\n"
            f"what was restored is kept to be looked at; to let it go: "
            f"nightscan restore accept {self.run_id}")

    def _settle(self, ending: RestoreEnding, done: tuple[RestoredComponent, ...],
                problem: str | None) -> None:
        self.system.audit.ended(Action.RESTORE, self.run_id, ending=ending.value, problem=problem or "")
        self.journal.restores.settle(RestoreOutcome(
            self.run_id, ending, self.system.clock(), time.monotonic() - self.began, done, problem,
            tuple(self.notes)))
        self.step("settled")

    def _result(self, ending: RestoreEnding, done: tuple[RestoredComponent, ...]) -> Restored:
        return Restored(self.run_id, str(self.manifest.set_id), self.catalog.store.name, ending, done,
                        time.monotonic() - self.began, self.request.targets.live, tuple(self.notes))


@contextmanager
def _reading(catalog: Catalog, journal: Journal, manifest: Manifest, run_id: str) -> Iterator[None]:
    """Keep retention away from the set while it is read; several may read one set."""
    resource = f"restore/{manifest.set_id}/{run_id}"
    try:
        with journal.leases.hold(resource, run_id):
            # Retention may have decided before it could see the lease; a set's manifest goes first then.
            catalog.get(manifest.set_id)
            yield
    finally:
        journal.leases.forget(f"{resource}/")
