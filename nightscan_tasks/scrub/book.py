"""What a scrub finds, on record as soon as it is found: whatever kills it, the next one goes on there."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.ledger import Verified
from nightscan_tasks.ledger.reads import Finding, Kind, Read, Reads, Scrubbed, SetReads, standing
from nightscan_tasks.model import Artifact, Manifest, SetId
from nightscan_tasks.scrub.holding import Holding, verified_there
from nightscan_tasks.scrubbing import ScrubPlan
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import System
from nightscan_tasks.verification import unsigned

# Nobody watches a scrub: what it finds is a log entry of its own, which is what Sentry sees.
_log = logging.getLogger(__name__)


@dataclass
class Book:
    """The record of one scrub of one store."""

    system: System
    store: Store
    state: Scrubbed
    reads: Reads
    sets: dict[SetId, SetReads] = field(default_factory=dict)
    _seals: dict[SetId, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def begin(cls, system: System, store: Store) -> Book:
        """A scrub begins."""
        reads = Reads(system.primary)
        before = reads.scrubbed(store) or Scrubbed(store.name, store.url, system.clock())
        state = replace(before, began_at=system.clock(), ended_at=None, read_files=0, read_bytes=0,
                        findings=(), problem="")
        reads.scrub(state)
        return cls(system, store, state, reads, reads.of(store))

    def of_set(self, set_id: SetId) -> SetReads:
        """What is known of a set here."""
        return self.sets.get(set_id) or SetReads(set_id, self.store.name, self.store.url)

    def whole(self, set_id: SetId, name: str, read_bytes: int, *, digest: str = "",
              mended_from: str = "") -> None:
        """A file was read whole; `mended_from` names where it was replaced from just before."""
        now = self.system.clock()
        self._keep(set_id, Read(name, now, read_bytes, now, digest, mended_from=mended_from))

    def paper(self, set_id: SetId, name: str, data: bytes, *, mended_from: str = "") -> None:
        """A paper was read whole. What is known already is not written every night."""
        digest, before = sha256(data).hexdigest(), self.of_set(set_id).of(name)
        if mended_from or before is None or before.sha256 != digest or before.problem or before.mended_from:
            self.whole(set_id, name, len(data), digest=digest, mended_from=mended_from)

    def forget_papers(self, set_id: SetId, prefix: str) -> None:
        """What is known of some papers is no longer so: they were written anew."""
        reads = self.of_set(set_id)
        kept = tuple(each for each in reads.files if not each.name.startswith(prefix))
        self.sets[set_id] = replace(reads, files=kept)
        self.reads.record(self.sets[set_id])

    def damaged(self, set_id: SetId, name: str, problem: str, read_bytes: int) -> None:
        """A file is not as it has to be. What it was when it was whole is not forgotten."""
        before = self.of_set(set_id).of(name)
        self._keep(set_id, Read(name, self.system.clock(), read_bytes, before.whole_at if before else None,
                                before.sha256 if before else "", problem))

    def tell(self, kind: Kind, key: str, what: str, source: str = "") -> None:
        """A finding of this scrub: in its record, and in the log."""
        said = f"; replaced from {source}, and read back" if source else ""
        _log.error("scrub of %s: %s: %s%s", self.store.name, key, what, said)
        self.state = replace(self.state, findings=(*self.state.findings, Finding(kind, key, what, source)))
        self._record()

    def counted(self, read_bytes: int) -> None:
        """One more artifact was read."""
        self.state = replace(self.state, read_files=self.state.read_files + 1,
                             read_bytes=self.state.read_bytes + read_bytes)

    def planned(self, plan: ScrubPlan, left: str = "") -> None:
        """What each night has to read, and whether that is behind; told again when it is done.

        `left` says why not all of it was read.
        """
        self.state = replace(self.state, needs_bytes=plan.needs_bytes,
                             behind="; ".join(filter(None, (left, plan.behind))),
                             oldest_at=plan.oldest.read_at if plan.oldest else None,
                             oldest_key=plan.oldest.key if plan.oldest else "")

    def gone(self, set_id: SetId) -> None:
        """A set is no longer in the store."""
        self.sets.pop(set_id, None)
        self.reads.forget(self.store, set_id)

    def end(self, problem: str = "") -> Scrubbed:
        """The scrub is over; `problem` says why it did not come to its end."""
        if problem:
            _log.error("scrub of %s ended early: %s", self.store.name, problem)
        self.state = replace(self.state, ended_at=self.system.clock(), problem=problem)
        self._record()
        return self.state

    def correct(self, holding: Holding) -> None:
        """Bring the set's verification up to what its artifacts and papers are now known to be."""
        verified = verified_there(self.system, self.store, holding.manifest)
        artifacts = holding.manifest.artifacts
        # What lies with an earlier set is read as that set's.
        now = [(each, replace(holding, verified=verified,
                              reads=self.of_set(each.set_id or holding.manifest.set_id)))
               for each in artifacts]
        problems = (*self._unsigned(holding.manifest),
                    *(problem for artifact, known in now if (problem := known.problem(artifact))))
        told = verified.problems if verified else ()
        if problems:
            if problems != told:
                self._verified(holding.manifest, problems, self.system.clock())
            return
        moments = [moment for artifact, known in now if (moment := known.whole_at(artifact)) is not None]
        if len(moments) == len(artifacts) and moments and (
                verified is None or told or min(moments) > verified.verified_at):
            self._verified(holding.manifest, (), min(moments))

    def damaged_elsewhere(self, holding: Holding, artifact: Artifact, other: Store, problem: str) -> None:
        """Another store's copy was found damaged on the way; its own scrub takes it from there."""
        verified = verified_there(self.system, other, holding.manifest)
        key = f" {holding.manifest.set_id.key(artifact.name)} "
        others = tuple(each for each in (verified.problems if verified else ()) if key not in each)
        self.system.ledger.verify(holding.manifest.run_id, Verified(
            holding.manifest.set_id, other.name, self.system.clock(), artifact.stored_bytes,
            (*others, problem), other.url))

    def condemn(self, manifest: Manifest, problem: str, verified: Verified | None) -> None:
        """A set is not good here, whatever its artifacts are."""
        if verified is None or problem not in verified.problems:
            self._verified(manifest, (*(verified.problems if verified else ()), problem), self.system.clock())

    def _unsigned(self, manifest: Manifest) -> tuple[str, ...]:
        """What is wrong with the set's signatures, where signatures count; asked once in a scrub."""
        if not self.system.signatures.wanted:
            return ()
        if manifest.set_id not in self._seals:
            self._seals[manifest.set_id] = tuple(unsigned(
                Catalog(self.store), manifest.set_id, self.system.signatures))
        return self._seals[manifest.set_id]

    def _verified(self, manifest: Manifest, problems: tuple[str, ...], at: datetime) -> None:
        self.system.ledger.verify(manifest.run_id, Verified(
            manifest.set_id, self.store.name, at, manifest.stored_bytes, problems, self.store.url))

    def _keep(self, set_id: SetId, read: Read) -> None:
        self.sets[set_id] = self.of_set(set_id).with_file(read)
        self.reads.record(self.sets[set_id])

    def _record(self) -> None:
        told = tuple(found for reads in self.sets.values() for found in standing(reads))
        self.state = replace(self.state, standing=told)
        self.reads.scrub(self.state)
