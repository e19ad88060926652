"""The papers of every set in a store (manifest, guide, and their signatures), read every night.

Nothing lists their hashes, so they are compared with what is known: the hash of the last clean reading, the
name of a signature (it has a digest of what it signs), the same set in other stores, and the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

from nightscan_tasks.audit import Action
from nightscan_tasks.catalog import Catalog, signature_name
from nightscan_tasks.errors import Busy, LeaseLost, ManifestInvalid, NightscanError, NotFound
from nightscan_tasks.ledger.reads import Kind
from nightscan_tasks.model import MANIFEST_NAME, Keep, Manifest, SetId, Tier
from nightscan_tasks.scrub.book import Book
from nightscan_tasks.scrub.genuine import is_genuine
from nightscan_tasks.scrub.guides import Guides
from nightscan_tasks.scrub.holding import Listed, list_sets, verified_there
from nightscan_tasks.scrub.reading import is_removed, kept
from nightscan_tasks.stores.base import Store


@dataclass
class Papers:
    """The papers of one store. `others` may mend them; `keep` is how long sets are kept."""

    book: Book
    others: tuple[Store, ...]
    keep: Mapping[Tier, Keep]
    repair: bool
    check: Callable[[], None]
    doubtful: set[SetId] = field(default_factory=set)
    """Sets whose manifests are not known to be right: nothing of what they list is to be relied on."""

    def look(self) -> None:
        """Read all of them, and mend what can be mended; a store that is down raises."""
        system = self.book.system
        busy = {run.set_id for run in system.ledger.open_runs(now=system.clock())}
        for set_id, listed in list_sets(self.store).items():
            self.check()
            if set_id in busy:
                continue
            try:
                self._look_at(set_id, listed)
            except LeaseLost:
                raise
            except NightscanError as exc:
                self.store.stat(set_id.key(MANIFEST_NAME))  # raises where the store is down
                self.doubtful.add(set_id)
                self.book.tell(Kind.UNREAD, set_id.key(MANIFEST_NAME), str(exc))

    @property
    def store(self) -> Store:
        """The store that is scrubbed."""
        return self.book.store

    @cached_property
    def _catalog(self) -> Catalog:
        return Catalog(self.store)

    def _look_at(self, set_id: SetId, listed: Listed) -> None:
        data, problem = self._read(set_id, listed)
        if problem:  # once more: a reading may be wrong too
            data, problem = self._read(set_id, listed)
        if problem:
            self.book.damaged(set_id, MANIFEST_NAME, problem, len(data))
            data = self._mend(set_id, problem)
        elif data:
            self.book.paper(set_id, MANIFEST_NAME, data)
        if data:
            manifest = self._catalog.parse(set_id, data)
            Guides(self.book, self.others, repair=self.repair).look(manifest, data, listed)

    def _read(self, set_id: SetId, listed: Listed) -> tuple[bytes, str]:
        """A manifest's bytes, and what is wrong with them; neither where the set is not here."""
        try:
            data = self._catalog.raw(set_id)
        except NotFound:
            lost = f"{self.store.name} {set_id.key(MANIFEST_NAME)} is missing, though the set is not removed"
            return b"", lost if self._lost(set_id) else ""
        return data, self._problem(set_id, data, listed)

    def _problem(self, set_id: SetId, data: bytes, listed: Listed) -> str:
        where = f"{self.store.name} {set_id.key(MANIFEST_NAME)}"
        try:
            manifest = self._catalog.parse(set_id, data)
        except ManifestInvalid as exc:
            if any(self._raw(other, set_id) == data for other in self.others):
                raise  # the same in two stores is no damage: a newer program wrote it
            return str(exc)
        known = self.book.of_set(set_id).of(MANIFEST_NAME)
        if known and known.sha256:
            return "" if known.sha256 == sha256(data).hexdigest() else (
                f"{where} is damaged: it is not what it was on {known.whole_at:%Y-%m-%d}")
        signed = {name for name in listed if name.startswith(f"{MANIFEST_NAME}.")}
        if signed and signature_name(MANIFEST_NAME, data) not in signed:
            return f"{where} is damaged: its signature is of other bytes"
        return self._difference(manifest, data)

    def _difference(self, manifest: Manifest, data: bytes) -> str:
        """What the ledger and other stores have against a manifest that is read for the first time."""
        where = f"{self.store.name} {manifest.set_id.key(MANIFEST_NAME)}"
        mine = is_genuine(self.book.system, self._catalog, manifest, data)
        if mine is not None:
            return "" if mine else f"{where} is damaged: it is not what the ledger says that its run saved"
        theirs = self._theirs(manifest.set_id)
        if not theirs or data in theirs.values():
            return ""
        for name, other in theirs.items():
            catalog = Catalog(self._other(name))
            if is_genuine(self.book.system, catalog, catalog.parse(manifest.set_id, other), other):
                return f"{where} is damaged: it differs from that in {name}, which is genuine"
        raise ManifestInvalid(f"{where} differs from that in {' and '.join(theirs)}, and neither signature "
                              f"nor ledger tells which is right: compare them, and remove the wrong one")

    def _lost(self, set_id: SetId) -> bool:
        """Whether a set without a manifest ought to have one: it was here, and nobody removes it."""
        system = self.book.system
        rule = self.keep.get(set_id.tier, Keep())
        if is_removed(system, set_id) or rule.expired(set_id.taken_at, now=system.clock()):
            return False
        if not self.book.of_set(set_id).of(MANIFEST_NAME) and not self._was_published(set_id):
            return False  # it is being copied here, or never was to the end
        deleted = [each for each in system.audit.records().records if each.action == Action.DELETE
                   and (each.subject, each.facts.get("store")) == (str(set_id), self.store.name)]
        return not deleted or "refused" in deleted[-1].facts

    def _was_published(self, set_id: SetId) -> bool:
        system = self.book.system
        for name, data in self._theirs(set_id).items():
            run_id = Catalog(self._other(name)).parse(set_id, data).run_id
            outcome = system.ledger.outcome(run_id)
            if outcome and self.store.name in outcome.stores:
                return True
        return False

    def _theirs(self, set_id: SetId) -> dict[str, bytes]:
        """The manifests of a set in the other stores that can be read now."""
        found = {}
        for other in self.others:
            with suppress(NightscanError):  # a store that is down has no say
                data = Catalog(other).raw(set_id)
                Catalog(other).parse(set_id, data)
                found[other.name] = data
        return found

    def _raw(self, other: Store, set_id: SetId) -> bytes | None:
        """The manifest that another store has, whatever it says; None where it has none, or is down."""
        with suppress(NightscanError):
            return Catalog(other).raw(set_id)
        return None

    def _mend(self, set_id: SetId, problem: str) -> bytes:
        """Replace a manifest by a genuine one, byte by byte, its signature first; empty if there is none."""
        key, why = set_id.key(MANIFEST_NAME), "repairs were not asked for"
        if self.repair:
            try:
                with kept(self.book.system, self.store, set_id):
                    for name, data in self._theirs(set_id).items():
                        if self._is_right(set_id, self._other(name), data):
                            self._replace(set_id, self._other(name), data, problem)
                            return data
                why = "no other store has one that is known to be genuine"
            except Busy:
                return b""  # it is being removed at this moment
        self.doubtful.add(set_id)
        self._condemn(set_id, problem)
        self.book.tell(Kind.DAMAGED, key, f"{problem}; not replaced: {why}")
        return b""

    def _condemn(self, set_id: SetId, problem: str) -> None:
        """A set whose manifest is wrong is no good one, also where the manifest can be read."""
        with suppress(NotFound, ManifestInvalid):  # then every listing says so
            manifest = self._catalog.get(set_id)
            self.book.condemn(manifest, problem, verified_there(self.book.system, self.store, manifest))

    def _is_right(self, set_id: SetId, other: Store, data: bytes) -> bool:
        known = self.book.of_set(set_id).of(MANIFEST_NAME)
        if known and known.sha256:
            return known.sha256 == sha256(data).hexdigest()
        catalog = Catalog(other)
        return bool(is_genuine(self.book.system, catalog, catalog.parse(set_id, data), data))

    def _replace(self, set_id: SetId, other: Store, data: bytes, problem: str) -> None:
        key = set_id.key(MANIFEST_NAME)
        signature = Catalog(other).signature(set_id, data)
        self.book.system.audit.record(Action.REPAIR, key, store=self.store.name, source=other.name,
                                      problem=problem)
        if signature is not None:
            self.store.put(set_id.key(signature_name(MANIFEST_NAME, data)), [signature])
        self.store.put(key, [data])
        if self._catalog.raw(set_id) != data:
            raise ManifestInvalid(f"{self.store.name} {key} was replaced from {other.name}, and read back "
                                  f"it is still not the same: look at the disk")
        self.book.paper(set_id, MANIFEST_NAME, data, mended_from=other.name)
        self.book.tell(Kind.MENDED, key, problem, other.name)

    def _other(self, name: str) -> Store:
        return next(other for other in self.others if other.name == name)
