"""What must be true: of each run once it has ended, and of everything once all is mended and quiet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from chaos.site import Site
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import NightscanError, NotFound
from nightscan_tasks.ledger import Ending, Outcome
from nightscan_tasks.model import Manifest, SetId
from nightscan_tasks.replication import missing
from nightscan_tasks.rotation import sweep
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import System
from nightscan_tasks.verification import verify_set

_TABLE = "public.chaos_marks"


@dataclass(frozen=True)
class Asked:
    """A run as it was asked for: `marks` were in the database and among the files before."""

    run_id: str
    set_id: SetId
    components: tuple[str, ...]
    marks: int


def judge(site: Site, asked: Asked, outcome: Outcome, marks_now: int) -> list[str]:
    """What the ledger says of a run that is not so; empty where it told the truth."""
    found = {store.name: _published(store, asked.set_id) for store in site.system.stores}
    wrong = list(_of_ending(asked, outcome, found))
    for name, manifest in found.items():
        if manifest is not None:
            problems = _of_set(site.system, name, asked, manifest, marks_now)
            wrong += [f"{name}: {problem}" for problem in problems]
    return [f"{asked.run_id} ({outcome.ending}): {each}" for each in wrong]


def _published(store: Store, set_id: SetId) -> Manifest | None:
    with suppress(NotFound):
        return Catalog(store).get(set_id)
    return None


def _of_ending(asked: Asked, outcome: Outcome, found: dict[str, Manifest | None]) -> Iterator[str]:
    """Whether what is in the stores is what the outcome says."""
    primary = found["primary"]
    if outcome.ending is Ending.FAILED:
        yield from (f"it failed, and {name} lists its set" for name, each in found.items() if each)
        if not outcome.failures:
            yield "it failed, and does not say why"
        return
    if primary is None:
        yield "its set is lost: the primary store does not list it"
        return
    yield from (f"{name} should have it, and has not" for name in outcome.stores if found[name] is None)
    failed = {failure.part.partition(".")[0] for failure in primary.failures}
    saved = set(primary.components)
    if outcome.ending is Ending.INCOMPLETE:
        if primary.complete or not failed:
            yield "it is called incomplete, and nothing is missing"
    elif not primary.complete:
        yield "it is called good, and its set is incomplete"
    if unsaid := set(asked.components) - saved - failed:
        yield f"{', '.join(sorted(unsaid))} is missing, and nothing says so"
    if outcome.ending is Ending.GOOD and set(outcome.stores) != set(found):
        yield f"it is called good, and is only in {', '.join(outcome.stores)}"


def _of_set(system: System, store: str, asked: Asked, manifest: Manifest, marks_now: int) -> Iterator[str]:
    """Whether a listed set is whole, and holds what was there."""
    yield from verify_set(system.catalog(store), manifest, clock=system.clock).problems
    report = manifest.components.get("database")
    if report is not None:
        tables: Any = report.fingerprint["tables"]
        rows = int(tables[_TABLE]["rows"])
        if not asked.marks <= rows <= marks_now:
            yield f"the database has {rows} marks, not {asked.marks} to {marks_now}"


def leftovers(site: Site) -> list[str]:
    """What should not be there once every run has ended and everything was mended."""
    return [*_of_ledger(site), *_of_stores(site), *_of_servers(site)]


def _of_ledger(site: Site) -> Iterator[str]:
    system = site.system
    now = system.clock()
    yield from (f"{run.run_id} has not ended" for run in system.ledger.open_runs(now=now))
    for entry in system.primary.list("leases/"):
        resource = entry.key.removeprefix("leases/").rpartition("/")[0]
        held = system.leases.look(resource)
        if held is not None and held.live(now):
            yield f"the lease {resource} is held by {held.beat.holder}, and nothing runs"


def _of_stores(site: Site) -> Iterator[str]:
    """What a sweep of a later day would not find, and what an offsite store lacks."""
    later = System(site.system.settings, clock=lambda: site.system.clock() + timedelta(days=2))
    for store in later.stores:
        sweep(later, store)
        listed = {str(set_id) for set_id in Catalog(store).ids()}
        for entry in store.list():
            folder = entry.key.rpartition("/")[0]
            with suppress(ValueError):
                SetId.parse(folder)
                if folder not in listed:
                    yield f"{store.name} has {entry.key}, of a set that does not exist"
        yield from (f"a second sweep of {store.name} found {each}" for each in store.sweep(later.clock()))
    for store in later.offsites:
        yield from (f"{store.name} lacks {each.set_id}" for each in missing(later, store))
    backups = Path(site.environ["NIGHTSCAN_BACKUP_DIR"])
    yield from (f"a half-written file: {path}" for path in backups.rglob(".nightscan-part-*"))


def _of_servers(site: Site) -> Iterator[str]:
    with psycopg.connect(site.world.superuser_dsn(), autocommit=True) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'nightscan\\_%'")
        yield from (f"a scratch database: {name}" for (name,) in rows)


def orphans(site: Site) -> list[str]:
    """What still runs, or lies in the temporary folder, after the last worker has ended."""
    mark = f"NIGHTSCAN_BACKUP_DIR={site.environ['NIGHTSCAN_BACKUP_DIR']}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and int(entry.name) != os.getpid() and _alive(entry) \
                    and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(f"a process: {(entry / 'comm').read_text(encoding='utf-8').strip()}")
    temporary = Path(site.environ["NIGHTSCAN_TEMP_DIR"])
    return found + [f"a temporary file: {path}" for path in temporary.iterdir()]


def _alive(entry: Path) -> bool:
    return "\nState:\tZ" not in (entry / "status").read_text(encoding="utf-8")


def listed(site: Site) -> list[Manifest]:
    """Every complete set that any store lists, the newest first."""
    return [manifest for manifest in site.system.catalog().sets() if manifest.complete]


def unread(site: Site, store: str, manifest: Manifest) -> str | None:
    """Why a listed set cannot be read whole from a store, if so."""
    try:
        problems = verify_set(site.system.catalog(store), manifest, clock=site.system.clock).problems
    except NightscanError as exc:
        return str(exc)
    return "; ".join(problems) or None
