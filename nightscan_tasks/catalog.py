"""The manifests of a store, read as a list; `index=1` is the newest of its tier."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from nightscan_tasks import wire
from nightscan_tasks.errors import AlreadyExists, ManifestInvalid, NotFound
from nightscan_tasks.manifest import parse
from nightscan_tasks.model import GUIDE_NAME, MANIFEST_NAME, Manifest, SetId, Tier
from nightscan_tasks.stores.base import Store

Sign = Callable[[bytes], bytes]
"""Makes a detached signature of what it is given."""

_LARGEST_BYTES = 64 << 20  # of a manifest; a terabyte has one of 10 MB
_LARGEST_SIGNATURE_BYTES = 64 << 10


@dataclass(frozen=True)
class Broken:
    """A manifest that is there but cannot be used, and why."""

    set_id: SetId
    problem: str


@dataclass(frozen=True)
class Seen:
    """A set as a listing shows it; `signed` says that there is a signature, not that it is good."""

    entry: Manifest | Broken
    signed: bool


def signature_name(name: str, data: bytes) -> str:
    """What the signature of a set's file is called: it belongs to these bytes, and to no others.

    So two settlers that write one manifest at once, of which one wins, cannot spoil each other's.
    """
    return f"{name}.{hashlib.sha256(data).hexdigest()[:16]}.asc"


class Catalog:
    """The sets of one store. It keeps nothing: each call reads the store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def ids(self, tier: Tier | None = None) -> list[SetId]:
        """The ids of all sets, of one tier or of all, the newest first."""
        return _newest_first(self._names(tier))

    def sets(self, tier: Tier | None = None) -> list[Manifest]:
        """All sets whose manifests can be read, the newest first."""
        return [entry for entry in self.entries(tier) if isinstance(entry, Manifest)]

    def entries(self, tier: Tier | None = None) -> list[Manifest | Broken]:
        """All sets, the newest first, those with a broken manifest too: a listing hides nothing."""
        return [found.entry for found in self.seen(tier)]

    def seen(self, tier: Tier | None = None) -> list[Seen]:
        """The same, each with whether a signature lies beside it, which the listing tells without asking."""
        names = self._names(tier)
        return [found for set_id in _newest_first(names)
                if (found := self._look(set_id, names[set_id])) is not None]

    def get(self, set_id: SetId) -> Manifest:
        """One set's manifest; NotFound where there is none, `ManifestInvalid` where it is broken."""
        return self.parse(set_id, self.raw(set_id))

    def parse(self, set_id: SetId, data: bytes) -> Manifest:
        """What `raw` gave, read; `ManifestInvalid` also where it is another set's."""
        source = f"{self.store.name} {set_id.key(MANIFEST_NAME)}"
        manifest = parse(data, source=source)
        if manifest.set_id != set_id:
            raise ManifestInvalid(f"{source} is the manifest of {manifest.set_id}")
        return manifest

    def raw(self, set_id: SetId) -> bytes:
        """The exact bytes of a manifest, which are what was signed."""
        return self._whole(set_id.key(MANIFEST_NAME), _LARGEST_BYTES)

    def guide(self, set_id: SetId) -> bytes:
        """The exact bytes of a set's `RESTORE.md`."""
        return self._whole(set_id.key(GUIDE_NAME), _LARGEST_BYTES)

    def signature(self, set_id: SetId, data: bytes, *, name: str = MANIFEST_NAME) -> bytes | None:
        """The signature that lies beside these bytes of a set's file; None where there is none."""
        try:
            return self._whole(set_id.key(signature_name(name, data)), _LARGEST_SIGNATURE_BYTES)
        except NotFound:
            return None

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

    def publish(self, manifest: Manifest, *, sign: Sign | None = None) -> None:
        """Write a manifest, its signature first: from now on the set exists.

        The same run's may be there already, with a later time of day: it stands, and is no error.
        """
        data = wire.encode(manifest)
        self._commit(manifest, data, sign(data) if sign else None)

    def write_guide(self, set_id: SetId, text: str, *, sign: Sign | None = None) -> None:
        """Write `RESTORE.md`, its signature first: people type commands out of it."""
        data = text.encode()
        self._put(set_id, GUIDE_NAME, data, sign(data) if sign else None)

    def copy_papers(self, set_id: SetId, target: Catalog, *, replace: bool = False) -> None:
        """Copy the guide and the manifest of a set, byte by byte, with their signatures, the manifest last.

        A manifest that the target has stands if it is the same run's, or is replaced if that is asked
        for: as when it is damaged.
        """
        data = self.raw(set_id)
        manifest = self.parse(set_id, data)
        guide = self.guide(set_id)
        target._put(set_id, GUIDE_NAME, guide, self.signature(set_id, guide, name=GUIDE_NAME))
        target._commit(manifest, data, self.signature(set_id, data), replace=replace)

    def copy_manifest(self, set_id: SetId, target: Catalog) -> None:
        """Copy the manifest of a set alone, byte by byte, with its signature."""
        data = self.raw(set_id)
        target._commit(self.parse(set_id, data), data, self.signature(set_id, data))

    def delete(self, set_id: SetId) -> None:
        """Remove a set: its manifest first, so that no reader sees a set that is not whole."""
        self.store.delete(set_id.key(MANIFEST_NAME))
        for entry in list(self.store.list(f"{set_id}/")):
            self.store.delete(entry.key)

    def _commit(self, manifest: Manifest, data: bytes, signature: bytes | None, *,
                replace: bool = False) -> None:
        try:
            self._put(manifest.set_id, MANIFEST_NAME, data, signature, if_absent=not replace)
        except AlreadyExists:
            if self.get(manifest.set_id).run_id != manifest.run_id:
                raise

    def _put(self, set_id: SetId, name: str, data: bytes, signature: bytes | None, *,
             if_absent: bool = False) -> None:
        if signature is not None:
            self.store.put(set_id.key(signature_name(name, data)), [signature])
        self.store.put(set_id.key(name), [data], if_absent=if_absent)

    def _whole(self, key: str, most_bytes: int) -> bytes:
        """A small object; `ManifestInvalid` where it is larger than any of its kind."""
        read = bytearray()
        with self.store.open(key) as chunks:
            for chunk in chunks:
                read += chunk
                if len(read) > most_bytes:
                    raise ManifestInvalid(f"{self.store.name} {key} is larger than {most_bytes} bytes: it is "
                                          f"not what this program wrote")
        return bytes(read)

    def _names(self, tier: Tier | None) -> dict[SetId, set[str]]:
        """The names of the files of every set, which is a folder with a manifest."""
        found: dict[SetId, set[str]] = {}
        for each in Tier if tier is None else [tier]:
            for entry in self.store.list(f"{each}/"):
                folder, _, name = entry.key.rpartition("/")
                try:
                    set_id = SetId.parse(folder)
                except ValueError:
                    continue  # somebody's own folder: not a set, and not ours to touch
                if folder == str(set_id):
                    found.setdefault(set_id, set()).add(name)
        return {set_id: names for set_id, names in found.items() if MANIFEST_NAME in names}

    def _look(self, set_id: SetId, names: set[str]) -> Seen | None:
        data = b""
        try:
            data = self.raw(set_id)
            entry: Manifest | Broken = self.parse(set_id, data)
        except NotFound:
            return None  # removed since it was listed
        except ManifestInvalid as exc:
            entry = Broken(set_id, str(exc))
        return Seen(entry, signature_name(MANIFEST_NAME, data) in names)


def _newest_first(found: Iterable[SetId]) -> list[SetId]:
    return sorted(found, key=lambda set_id: (set_id.taken_at, set_id.tier), reverse=True)
