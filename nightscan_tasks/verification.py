"""Reading every stored byte of a set back, and comparing it with what its manifest says."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import DigestMismatch, NotFound
from nightscan_tasks.ledger import Verified
from nightscan_tasks.model import GUIDE_NAME, MANIFEST_NAME, Artifact, Chunks, Manifest, SetId
from nightscan_tasks.signatures import Signatures
from nightscan_tasks.stores.base import Store
from nightscan_tasks.streams import Tally

Known = Callable[[SetId], Verified | None]
"""What the last reading of an earlier set found in the same store."""


def verify_set(catalog: Catalog, manifest: Manifest, *, clock: Callable[[], datetime],
               seen: Callable[[int], None] | None = None, signatures: Signatures | None = None,
               known: Known | None = None, just_read: Collection[str] = ()) -> Verified:
    """What reading a whole set found. Damage is in `problems`, one line an artifact; a store that does
    not answer raises, for then nothing is known. `seen` is told the bytes read so far.

    Where `signatures` count, one that is missing or bad is a problem like damage: nobody could restore it.
    With `known`, what lies with earlier sets that were read already is not read again: it has to be there,
    and those readings say whether it is whole. Nor is what was `just_read`, by name: what its own run has
    read back from this store a moment ago, and nobody has touched since.
    """
    read_bytes = 0
    problems = unsigned(catalog, manifest.set_id, signatures) if signatures and signatures.wanted else []
    for artifact in manifest.artifacts:
        if known and artifact.set_id is not None and (verified := known(artifact.set_id)):
            problems += _known_problems(catalog.store, manifest.key(artifact), artifact, verified)
            continue
        if artifact.set_id is None and artifact.name in just_read:
            read_bytes += artifact.stored_bytes
            continue
        tally = _Reading(read_bytes, seen)
        if problem := find_problem(catalog.store, manifest.set_id, artifact, seen=tally.told):
            problems.append(problem)
        read_bytes += tally.read_bytes
    return Verified(manifest.set_id, catalog.store.name, clock(), read_bytes, tuple(problems),
                    catalog.store.url)


def _known_problems(store: Store, key: str, artifact: Artifact, verified: Verified) -> list[str]:
    entry = store.stat(key)
    if entry is None:
        return [f"{store.name} {key} is missing, though the manifest lists it"]
    if entry.stored_bytes != artifact.stored_bytes:
        lengths = f"{artifact.stored_bytes} bytes expected, {entry.stored_bytes} there"
        return [f"{store.name} {key} is damaged: {lengths}"]
    return [problem for problem in verified.problems if f" {key} " in problem]


def unsigned(catalog: Catalog, set_id: SetId, signatures: Signatures) -> list[str]:
    """What is wrong with the signatures of the manifest and of the guide."""
    problems = []
    for name, ask in ((MANIFEST_NAME, signatures.standing), (GUIDE_NAME, signatures.guide)):
        key = f"{catalog.store.name} {set_id.key(name)}"
        try:
            standing = ask(catalog, set_id)
        except NotFound:
            problems.append(f"{key} is missing")
        else:
            if not standing.sound:
                problems.append(f"{key} is {standing}")
    return problems


def read_back(store: Store, key: str, *, sha256: str, stored_bytes: int,
              seen: Callable[[int], None] | None = None) -> None:
    """Hash an object as the store gives it now; `DigestMismatch` unless it is what was written."""
    with store.open(key) as chunks:
        for _ in checked(chunks, store, key, sha256=sha256, stored_bytes=stored_bytes, seen=seen):
            pass


def checked(chunks: Chunks, store: Store, key: str, *, sha256: str, stored_bytes: int,
            seen: Callable[[int], None] | None = None) -> Chunks:
    """The same stream; at its end `DigestMismatch`, unless it was what was written."""
    tally = Tally(seen)
    yield from tally.through(chunks)
    if tally.total_bytes != stored_bytes:
        raise DigestMismatch(f"{store.name} {key} is damaged: {stored_bytes} bytes expected, "
                             f"{tally.total_bytes} read")
    if tally.sha256 != sha256:
        raise DigestMismatch(f"{store.name} {key} is damaged: sha256 expected {sha256[:12]}…, "
                             f"read {tally.sha256[:12]}…")


def find_problem(store: Store, set_id: SetId, artifact: Artifact, *,
                 seen: Callable[[int], None] | None = None) -> str:
    """What is wrong with an artifact as the store gives it now; empty where it is whole."""
    key = artifact.key(set_id)
    try:
        read_back(store, key, sha256=artifact.stored_sha256, stored_bytes=artifact.stored_bytes, seen=seen)
    except NotFound:
        return f"{store.name} {key} is missing, though the manifest lists it"
    except DigestMismatch as exc:
        return str(exc)
    return ""


@dataclass
class _Reading:
    """How far the reading of one artifact is, after `before` bytes of others."""

    before: int
    seen: Callable[[int], None] | None
    read_bytes: int = 0

    def told(self, total_bytes: int) -> None:
        self.read_bytes = total_bytes
        if self.seen:
            self.seen(self.before + total_bytes)
