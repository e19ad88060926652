"""A set, put back component by component: staged, checked against its manifest, swapped in."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.model import Artifact, Chunks, Json, Manifest
from nightscan_tasks.restore.choosing import Choice, choose
from nightscan_tasks.restore.reading import plain
from nightscan_tasks.restore.swapping import swap_folders
from nightscan_tasks.streams import Tally
from nightscan_tasks.system import System

LIVE = ("database", "redis", "user_data")
"""The components with one live place, which is the order they are put back in."""

Watch = Callable[[dict[str, Json]], None]


@dataclass(frozen=True)
class RestoredComponent:
    """One component that is back: what was compared, and where the old state is."""

    component: str
    plain_bytes: int
    elapsed_seconds: float
    before: str | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Restored:
    """What a restore put back, from which set of which store."""

    set_id: str
    store: str
    components: tuple[RestoredComponent, ...]
    elapsed_seconds: float


def restore(system: System, choice: Choice, components: tuple[str, ...] = LIVE, *,
            target_root: Path | None = None, watch: Watch | None = None) -> Restored:
    """Put components of one set back, in the order given.

    `target_root` is where files go; without it, user data goes to its live place. Configuration and
    code are only unpacked into a `target_root`: what to take of them over a running system is for a
    person to decide. Whatever fails leaves that component as it was, and those before it restored.
    """
    began = time.monotonic()
    if not target_root and set(components) - set(LIVE):
        raise RestoreRefused("system_config and source_code are unpacked beside the live ones: name a folder "
                             "with --target-root")
    catalog, manifest = choose(system, choice, components)
    source = _Source(system, catalog, manifest, watch, target_root)
    with _reading(system, manifest):
        done = tuple(_one(source, component) for component in components)
    return Restored(str(manifest.set_id), catalog.store.name, done, time.monotonic() - began)


@dataclass(frozen=True)
class _Source:
    """One set, as everything that reads it needs it."""

    system: System
    catalog: Catalog
    manifest: Manifest
    watch: Watch | None
    target_root: Path | None

    @property
    def run_id(self) -> str:
        return self.manifest.run_id

    def expected(self, component: str) -> Mapping[str, Json]:
        """The fingerprint that what is restored has to have."""
        return self.manifest.components[component].fingerprint

    def tally(self, artifact: Artifact) -> Tally:
        """Counts what is read, and tells whoever watches, once a second."""
        began = time.monotonic()
        told = [began]

        def seen(total: int) -> None:
            now = time.monotonic()
            if self.watch and now - told[0] >= 1:
                told[0] = now
                self.watch({"part": artifact.part, "phase": "restoring", "bytes": total,
                            "of_bytes": artifact.plain_bytes,
                            "bytes_per_second": round(total / max(now - began, 0.001))})

        return Tally(seen)


@contextmanager
def _reading(system: System, manifest: Manifest) -> Iterator[None]:
    """Keep retention away from the set while it is read."""
    with system.leases.hold(f"restore/{manifest.set_id}", f"restore on {system.host}"):
        yield


def _one(source: _Source, component: str) -> RestoredComponent:
    began = time.monotonic()
    writers = {"database": _database, "redis": _redis, "user_data": _user_data}
    before, notes = writers.get(component, _unpacked)(source, component)
    read = sum(artifact.plain_bytes for artifact in source.manifest.of(component))
    return RestoredComponent(component, read, time.monotonic() - began, before, notes)


def _database(source: _Source, component: str) -> tuple[str | None, tuple[str, ...]]:
    from nightscan_tasks.components.database_restore import restore_database

    artifacts = source.manifest.of(component)
    roles = [artifact for artifact in artifacts if ".roles." in artifact.name]
    (dump,) = (artifact for artifact in artifacts if ".roles." not in artifact.name)
    with ExitStack() as stack:
        role_chunks = stack.enter_context(_plain(source, roles[0])) if roles else None
        done = restore_database(
            stack.enter_context(_plain(source, dump)), dsn=source.system.settings.dsn, roles=role_chunks,
            expected=source.expected(component), run_id=source.run_id)
    return done.old_name, done.notes


def _redis(source: _Source, component: str) -> tuple[str | None, tuple[str, ...]]:
    from nightscan_tasks.components.redis_restore import restore_redis

    (artifact,) = source.manifest.of(component)
    with _plain(source, artifact) as chunks:
        done = restore_redis(
            chunks, "rdb" if ".rdb." in artifact.name else "resp", url=source.system.settings.redis,
            expected=source.expected(component), temp_dir=source.system.settings.temp_dir,
            run_id=source.run_id)
    return None, done.notes


def _user_data(source: _Source, component: str) -> tuple[str | None, tuple[str, ...]]:
    if source.target_root:
        return _unpacked(source, component)
    root = source.system.settings.root
    stamp = source.system.clock().strftime("%Y%m%dT%H%M%SZ")
    staged = root / f".nightscan_staged_{source.run_id}"
    with _staged(staged):
        notes = _extract(source, component, staged)
        swapped = swap_folders(staged, root, before=root / f".nightscan_before_{stamp}")
    return str(swapped.before) if swapped.before else None, notes


def _unpacked(source: _Source, component: str) -> tuple[str | None, tuple[str, ...]]:
    """Unpack into a folder of the component's name below `target_root`, which must not exist."""
    if source.target_root is None:
        raise RestoreRefused(f"{component} needs a --target-root")
    target = source.target_root / component
    if target.exists():
        raise RestoreRefused(f"{target} exists: choose another --target-root, or move it away")
    staged = source.target_root / f".nightscan_staged_{source.run_id}"
    with _staged(staged):
        notes = _extract(source, component, staged)
        staged.rename(target)
    return None, (*notes, f"unpacked into {target}")


@contextmanager
def _staged(folder: Path) -> Iterator[None]:
    """An empty folder to restore into, gone afterwards whatever happens; a dead restore's is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o750)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _extract(source: _Source, component: str, staged: Path) -> tuple[str, ...]:
    """Unpack every archive of a component, and compare what came out with the manifest."""
    from nightscan_tasks.components.extraction import extract
    from nightscan_tasks.components.files import fingerprint_tree

    notes: list[str] = []
    for artifact in source.manifest.of(component):
        if ".tar." in artifact.name:
            with _plain(source, artifact) as chunks:
                notes += extract(chunks, staged).notes
    found, expected = fingerprint_tree(staged), source.expected(component)
    if expected and found != expected:
        raise RestoreRefused(
            f"{component} of {source.manifest.set_id} does not come out as it was saved: expected "
            f"{_shown(expected)}, found {_shown(found)}; the live files are untouched")
    return tuple(notes)


def _shown(fingerprint: Mapping[str, Json]) -> str:
    counts = f"{fingerprint.get('files')} files, {fingerprint.get('bytes')} bytes"
    return f"{counts}, {str(fingerprint.get('digest'))[:12]}…"


def _plain(source: _Source, artifact: Artifact) -> AbstractContextManager[Chunks]:
    return plain(source.system, source.catalog, source.manifest, artifact, watch=source.tally(artifact))
