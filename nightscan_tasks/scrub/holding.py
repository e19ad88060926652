"""A set as one store has it, and what is known of its files there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import ManifestInvalid, NotFound
from nightscan_tasks.ledger import Verified
from nightscan_tasks.ledger.reads import Reads, SetReads
from nightscan_tasks.model import Artifact, Manifest, SetId, Tier
from nightscan_tasks.scrubbing import SKEW, Copy
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import System

Listed = Mapping[str, int]
"""The files of a set as the store lists them: names, and stored bytes."""


@dataclass(frozen=True)
class Holding:
    """One set in one store: its manifest, its listing, and what reading it found."""

    store: Store
    manifest: Manifest
    listed: Listed
    reads: SetReads
    verified: Verified | None

    def copies(self) -> Iterator[Copy]:
        """Its own artifacts, for the plan: those of earlier sets are read with these."""
        for artifact in self.manifest.own:
            yield Copy(self.manifest.set_id, artifact.name, artifact.stored_bytes, self._read_at(artifact),
                       self._doubt(artifact))

    def problem(self, artifact: Artifact) -> str:
        """What the last reading found wrong with an artifact; empty where it was whole."""
        read = self.reads.of(artifact.name)
        told = self._verified_problem(artifact)
        if self.verified and (read is None or read.read_at < self.verified.verified_at):
            return told
        return read.problem if read else ""

    def whole_at(self, artifact: Artifact) -> datetime | None:
        """When it was last read whole here by a scrub or a verification; None where it never was."""
        read = self.reads.of(artifact.name)
        moments = [read.whole_at] if read and read.whole_at else []
        if self.verified and not self._verified_problem(artifact):
            moments.append(self.verified.verified_at)
        return max(moments, default=None)

    def _read_at(self, artifact: Artifact) -> datetime:
        """The same, or the run's opening: each copy is read back when it is made, and that is later."""
        return self.whole_at(artifact) or self.manifest.opened_at

    def _doubt(self, artifact: Artifact) -> str:
        length = self.listed.get(artifact.name)
        if length is None:
            return "it is missing in the store's listing"
        if length != artifact.stored_bytes:
            return f"it has {length} bytes, not {artifact.stored_bytes}"
        if self.problem(artifact):
            return "it was damaged when it was last read"
        read = self.reads.of(artifact.name)  # a disk that lost it once may do so again
        return f"it was replaced from {read.mended_from}" if read and read.mended_from else ""

    def _verified_problem(self, artifact: Artifact) -> str:
        key = self.manifest.key(artifact)
        problems = self.verified.problems if self.verified else ()
        return next((problem for problem in problems if f" {key} " in problem), "")


def list_sets(store: Store) -> dict[SetId, Listed]:
    """All folders of a store that are named as sets are, with a manifest or without."""
    found: dict[SetId, dict[str, int]] = defaultdict(dict)
    for tier in Tier:
        for entry in store.list(f"{tier}/"):
            folder, _, name = entry.key.rpartition("/")
            try:
                found[SetId.parse(folder)][name] = entry.stored_bytes
            except ValueError:
                continue  # somebody's own folder
    return dict(found)


def holdings(system: System, store: Store) -> list[Holding]:
    """The sets of a store whose manifests can be read, the oldest first."""
    known = Reads(system.primary).of(store)
    found = []
    for set_id, listed in sorted(list_sets(store).items(), key=lambda each: each[0].taken_at):
        try:
            manifest = Catalog(store).get(set_id)
        except (NotFound, ManifestInvalid):
            continue
        reads = known.get(set_id) or SetReads(set_id, store.name, store.url)
        found.append(Holding(store, manifest, listed, reads, verified_there(system, store, manifest)))
    return found


def verified_there(system: System, store: Store, manifest: Manifest) -> Verified | None:
    """The last whole reading of a set in a store, where the store is now; none that a wrong clock dated."""
    verified = system.ledger.verified(manifest.run_id, store.name)
    if verified is None or verified.url != store.url or verified.verified_at > system.clock() + SKEW:
        return None
    return verified
