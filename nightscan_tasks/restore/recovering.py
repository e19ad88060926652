"""Everything from nothing: a bare machine, this program, the private key, and where the sets are.

Neither broker nor catalog is needed: the sets are found by reading the store. The newest good one is
fetched into the primary store first, so that what follows is read from this machine, and the next backup
finds a catalog that is not empty.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from nightscan_tasks import health
from nightscan_tasks.audit import Action
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import NightscanError, NotFound, Untrusted
from nightscan_tasks.health import Health, run_services
from nightscan_tasks.ledger.restore_records import RestoredComponent
from nightscan_tasks.model import Manifest, SetId
from nightscan_tasks.replication import copy_set
from nightscan_tasks.restore.choosing import Choice, choose
from nightscan_tasks.restore.reading import Watch
from nightscan_tasks.restore.request import LIVE, Request
from nightscan_tasks.restore.restoring import Restored, restore
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import System

APPLICATION = ("system_config", "source_code")
"""Taken from the newest set that has them: not every tier does."""

_USUAL_PREFIX = "nightscan"


@dataclass(frozen=True)
class Stage:
    """One stage of a recovery, how long it took, and why it failed, if it did."""

    name: str
    elapsed_seconds: float
    problem: str = ""


@dataclass(frozen=True)
class Recovered:
    """What is back on a machine that had nothing, stage by stage."""

    set_id: str
    store: str
    run_ids: tuple[str, ...]
    stages: tuple[Stage, ...]
    components: tuple[RestoredComponent, ...]
    health: Health
    elapsed_seconds: float
    notes: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """What is not back."""
        return tuple(f"{stage.name}: {stage.problem}" for stage in self.stages if stage.problem)


def recover(system: System, url: str, choice: Choice | None = None, *, watch: Watch | None = None,
            told: Callable[[Stage], None] = lambda _stage: None) -> Recovered:
    """Put everything back from the store at `url`; `told` hears of each stage at its end.

    The database, Redis and the users' files have to come back, or it raises; what of configuration and
    code does not is told, and the application can be installed otherwise.
    """
    began = time.monotonic()
    clock = _Stages(told)
    with clock.stage("find"):
        source = find_sets(system, url)
        chosen = replace(choice or Choice(), store=source.url)
        _, manifest = choose(system, chosen, LIVE)
    system.audit.record(Action.RESTORE, str(manifest.set_id), phase="recovery begins", store=source.url)
    others, notes = _application(system, source, manifest, chosen.unsigned)
    if source.url != system.primary.url:
        with clock.stage("fetch"):
            for each in (manifest, *others):
                copy_set(source, system.primary, each, seen=_fetching(each, watch))
    back: list[Restored] = []
    for component, set_id in _shares(manifest, others):
        with clock.stage(component, spared=component in APPLICATION):
            wanted = Request(Choice(set_id=set_id, unsigned=chosen.unsigned), (component,))
            back.append(restore(_unserved(system), wanted, watch=watch))
    with clock.stage("services", spared=True):
        run_services(system.settings.services_start, system.settings.services_seconds)
    with clock.stage("health"):
        well = health.check(system, manifest=manifest)
    return Recovered(
        str(manifest.set_id), source.url, tuple(each.run_id for each in back), tuple(clock.stages),
        tuple(component for each in back for component in each.components), well, time.monotonic() - began,
        tuple(dict.fromkeys([*notes, *(note for each in back for note in each.notes)])))


def find_sets(system: System, url: str) -> Store:
    """The store at a URL, or below the usual prefix of a bucket of which only the name is known."""
    place, mark, moment = url.partition("?") if url.startswith("s3://") else (url, "", "")
    candidates = [place.rstrip("/") + mark + moment]
    if place.startswith("s3://") and "/" not in place.removeprefix("s3://").rstrip("/"):
        candidates.append(f"{place.rstrip('/')}/{_USUAL_PREFIX}{mark}{moment}")
    for candidate in candidates:
        store = system.store(candidate)
        if Catalog(store).ids():
            return store
    raise NotFound(f"there are no sets in {' or '.join(candidates)}: give the URL of the folder that holds "
                   f"the tiers (daily/, weekly/, …), for example s3://nightscan-backups/nightscan")


def _unserved(system: System) -> System:
    """The same system, whose application is left alone: it cannot run before all of it is back."""
    none = {"services_stop": "", "services_start": "", "services_check": ""}
    return replace(system, settings=system.settings.model_copy(update=none))


@dataclass
class _Stages:
    """Times each stage."""

    told: Callable[[Stage], None]
    stages: list[Stage] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str, *, spared: bool = False) -> Iterator[None]:
        """Time a stage; the failure of one that is `spared` is told, and does not end the recovery."""
        began, problem = time.monotonic(), ""
        try:
            yield
        except NightscanError as exc:
            problem = str(exc)
            if not spared:
                raise
        finally:
            self.stages.append(Stage(name, time.monotonic() - began, problem))
            self.told(self.stages[-1])


def _application(system: System, source: Store, manifest: Manifest,
                 unsigned: bool) -> tuple[list[Manifest], list[str]]:
    """The newest sets that have what the chosen one lacks of the application, and what is said of others.

    One that must not be used gives way to an older one, and is told: without it the application can be
    installed otherwise.
    """
    catalog = Catalog(source)
    lacking = {component for component in APPLICATION if not manifest.of(component)}
    found, notes = [], []
    for each in catalog.sets():
        has = {component for component in lacking if each.complete and each.of(component)}
        if not has:
            continue
        try:
            system.signatures.require(catalog, each, unsigned=unsigned)
        except Untrusted as exc:
            notes.append(f"{exc}; an older one is taken, if there is one")
            continue
        found.append(each)
        lacking -= has
    return found, notes


def _shares(manifest: Manifest, others: list[Manifest]) -> Iterator[tuple[str, SetId]]:
    """Which component comes from which set, in the order in which they are put back."""
    for component in (*LIVE, *APPLICATION):
        for each in (manifest, *others):
            if each.of(component):
                yield component, each.set_id
                break


def _fetching(manifest: Manifest, watch: Watch | None) -> Callable[[int], None] | None:
    if watch is None:
        return None
    began = time.monotonic()

    def seen(count: int) -> None:
        watch({"part": str(manifest.set_id), "phase": "fetching", "bytes": count,
               "of_bytes": manifest.stored_bytes,
               "bytes_per_second": round(count / max(time.monotonic() - began, 0.001))})

    return seen
