"""Copying artifacts and whole sets from the primary store to an offsite one, and reading them back."""

from __future__ import annotations

from collections.abc import Callable

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import DigestMismatch
from nightscan_tasks.model import MANIFEST_NAME, Artifact, Chunks, Manifest, PartRecord, SetId
from nightscan_tasks.stores.base import Store
from nightscan_tasks.streams import Tally
from nightscan_tasks.system import PRIMARY, System
from nightscan_tasks.verification import read_back

Seen = Callable[[int], None]


def copy_artifact(source: Store, target: Store, set_id: SetId, artifact: Artifact, *,
                  seen: Seen | None = None) -> None:
    """Copy one artifact, and read the copy back; `DigestMismatch` says which of the two is damaged."""
    key = artifact.key(set_id)
    if _there(target, key, artifact):
        return
    tally = Tally(seen)
    with source.open(key) as chunks:
        target.put(key, _whole(source, key, artifact, tally, chunks))
    read_back(target, key, sha256=artifact.stored_sha256, stored_bytes=artifact.stored_bytes)


def has(store: Store, set_id: SetId, record: PartRecord) -> bool:
    """Whether a store lists every artifact of a part with its right length."""
    entries = [(store.stat(each.key(set_id)), each.stored_bytes) for each in record.artifacts]
    return all(entry is not None and entry.stored_bytes == expected for entry, expected in entries)


def missing(system: System, target: Store) -> list[Manifest]:
    """The sets of the primary store that an offsite one lacks, the oldest first."""
    there = set(Catalog(target).ids())
    return [manifest for manifest in reversed(system.catalog(PRIMARY).sets())
            if manifest.set_id not in there]


def replicate_set(system: System, manifest: Manifest, target: Store, *, seen: Seen | None = None) -> None:
    """Copy a whole set from the primary store: artifacts first, manifest last."""
    copy_set(system.primary, target, manifest, seen=seen)


def copy_set(source: Store, target: Store, manifest: Manifest, *, seen: Seen | None = None) -> None:
    """Copy a whole set from any store to any other; what is there already, and whole, is only read.

    Guide and manifest are copied byte by byte, with their signatures: a copy is as good as what it is of.
    The sets that have archives of this one are copied before it, where the other store lacks them.
    """
    for needed in sorted(manifest.needs):
        if target.stat(needed.key(MANIFEST_NAME)) is None:
            copy_set(source, target, Catalog(source).get(needed))
    done = 0
    for artifact in manifest.artifacts:
        copy_artifact(source, target, manifest.set_id, artifact, seen=after(done, seen))
        done += artifact.stored_bytes
    lock_earlier(target, manifest)
    Catalog(source).copy_papers(manifest.set_id, Catalog(target))


def lock_earlier(store: Store, manifest: Manifest) -> None:
    """Keep what lies with earlier sets locked for as long as the set itself, where a store locks sets."""
    for artifact in manifest.artifacts:
        if artifact.set_id is not None:
            store.lock_as(manifest.key(artifact), manifest.set_id.key(MANIFEST_NAME))


def _there(target: Store, key: str, artifact: Artifact) -> bool:
    entry = target.stat(key)
    if entry is None or entry.stored_bytes != artifact.stored_bytes:
        return False
    try:
        read_back(target, key, sha256=artifact.stored_sha256, stored_bytes=artifact.stored_bytes)
    except DigestMismatch:
        return False
    return True


def _whole(source: Store, key: str, artifact: Artifact, tally: Tally, chunks: Chunks) -> Chunks:
    """The source's bytes; raises at their end, before the target commits, when they are not the artifact."""
    yield from tally.through(chunks)
    if tally.seen is not None:
        tally.seen(tally.total_bytes)  # the last moment for a watcher that knows that its lease is lost
    if tally.sha256 != artifact.stored_sha256:
        raise DigestMismatch(f"{source.name} {key} is damaged: sha256 expected "
                             f"{artifact.stored_sha256[:12]}…, read {tally.sha256[:12]}…")


def after(done: int, seen: Seen | None) -> Seen | None:
    """The same watcher, for the artifact that follows `done` bytes of others."""
    return None if seen is None else lambda count: seen(done + count)
