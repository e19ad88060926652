"""The manifests of a store, read as a list; `index=1` is the newest of its tier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from nightscan_tasks import wire
from nightscan_tasks.errors import AlreadyExists, ManifestInvalid, NotFound
from nightscan_tasks.model import FORMAT_VERSION, MANIFEST_NAME, Manifest, SetId, Tier
from nightscan_tasks.stores.base import Store


@dataclass(frozen=True)
class Header:
    """What every format version has, so that a newer one can be told from a damaged one."""

    format_version: int


@dataclass(frozen=True)
class Broken:
    """A manifest that is there but cannot be used, and why."""

    set_id: SetId
    problem: str


def parse(data: bytes, *, source: str) -> Manifest:
    """A manifest from its bytes; `ManifestInvalid` when truncated, of a newer format, or nonsense."""
    version = wire.decode(Header, data, source=source).format_version
    if version > FORMAT_VERSION:
        raise ManifestInvalid(f"{source} is of format {version}, this program reads up to {FORMAT_VERSION}: "
                              f"install a newer nightscan-tasks")
    return wire.decode(Manifest, data, source=source)


class Catalog:
    """The sets of one store. It keeps nothing: each call reads the store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def ids(self, tier: Tier | None = None) -> list[SetId]:
        """The ids of all sets, of one tier or of all, the newest first."""
        tiers = list(Tier) if tier is None else [tier]
        found = [set_id for each in tiers for set_id in self._ids(each)]
        return sorted(found, key=lambda set_id: (set_id.taken_at, set_id.tier), reverse=True)

    def sets(self, tier: Tier | None = None) -> list[Manifest]:
        """All sets whose manifests can be read, the newest first."""
        return [entry for entry in self.entries(tier) if isinstance(entry, Manifest)]

    def entries(self, tier: Tier | None = None) -> list[Manifest | Broken]:
        """All sets, the newest first, those with a broken manifest too: a listing hides nothing."""
        return [entry for set_id in self.ids(tier) if (entry := self._entry(set_id)) is not None]

    def get(self, set_id: SetId) -> Manifest:
        """One set's manifest; NotFound where there is none, `ManifestInvalid` where it is broken."""
        key = set_id.key(MANIFEST_NAME)
        with self.store.open(key) as chunks:
            manifest = parse(b"".join(map(bytes, chunks)), source=f"{self.store.name} {key}")
        if manifest.set_id != set_id:
            raise ManifestInvalid(f"{self.store.name} {key} is the manifest of {manifest.set_id}")
        return manifest

    def pick(self, *, tier: Tier | None = None, index: int = 1, before: datetime | None = None) -> Manifest:
        """The `index`-th newest complete set (1 is the newest), opened no later than `before`."""
        found = [manifest for manifest in self.sets(tier) if manifest.complete
                 and (before is None or manifest.set_id.taken_at <= before)]
        if not 1 <= index <= len(found):
            which = f"{tier} set" if tier else "set"
            when = f" from before {before:%Y-%m-%d %H:%M} UTC" if before else ""
            raise NotFound(f"{self.store.name} ({self.store.url}) has {len(found)} complete {which}s{when}, "
                           f"none with index {index}; `nightscan list` shows what there is")
        return found[index - 1]

    def publish(self, manifest: Manifest) -> None:
        """Write a manifest: from now on the set exists. Writing the same again is no error."""
        key = manifest.set_id.key(MANIFEST_NAME)
        try:
            self.store.put(key, [wire.encode(manifest)], if_absent=True)
        except AlreadyExists:
            if self.get(manifest.set_id).run_id != manifest.run_id:
                raise

    def delete(self, set_id: SetId) -> None:
        """Remove a set: its manifest first, so that no reader sees a set that is not whole."""
        self.store.delete(set_id.key(MANIFEST_NAME))
        for entry in list(self.store.list(f"{set_id}/")):
            self.store.delete(entry.key)

    def _ids(self, tier: Tier) -> Iterator[SetId]:
        for entry in self.store.list(f"{tier}/"):
            folder, _, name = entry.key.rpartition("/")
            if name != MANIFEST_NAME:
                continue
            try:
                yield SetId.parse(folder)
            except ValueError:
                continue  # somebody's own folder: not a set, and not ours to touch

    def _entry(self, set_id: SetId) -> Manifest | Broken | None:
        try:
            return self.get(set_id)
        except NotFound:
            return None  # removed since it was listed
        except ManifestInvalid as exc:
            return Broken(set_id, str(exc))
