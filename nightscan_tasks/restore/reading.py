"""An artifact as a plain stream: fetched, checked, decrypted and unpacked on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

from nightscan_tasks.audit import Doing
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import DigestMismatch, EncryptionFailed, NightscanError
from nightscan_tasks.hosts import HOSTS, host_of
from nightscan_tasks.model import Artifact, Chunks, Json, Manifest, Report
from nightscan_tasks.settings import Settings
from nightscan_tasks.stores.base import Store
from nightscan_tasks.streams import Tally, compared_blocks
from nightscan_tasks.system import System
from nightscan_tasks.verification import read_back

Watch = Callable[[dict[str, Json]], None]
_TOLD_SECONDS = 1


@dataclass(frozen=True)
class SetSource:
    """One component of one set in one store: what a restorer reads from."""

    system: System
    catalog: Catalog
    manifest: Manifest
    component: str
    watch: Watch | None = None
    host: str = ""
    """The one host whose files are meant, where several have some of their own in the set."""
    admitted: bool = False
    """Whether another process has found, and put on record, that the set may be used."""

    @property
    def report(self) -> Report:
        """What was said of it when it was saved."""
        report = self.manifest.components[self.component]
        hosts = report.facts.get(HOSTS)
        own = hosts.get(self.host) if self.host and isinstance(hosts, dict) else None
        return replace(report, fingerprint=own) if isinstance(own, dict) else report

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """Its artifacts, in the order of their names."""
        found = self.manifest.of(self.component)
        return tuple(each for each in found if host_of(each.part) in {"", self.host}) if self.host else found

    @property
    def plain_bytes(self) -> int:
        """How much there is to read, before compression and encryption."""
        return sum(artifact.plain_bytes for artifact in self.artifacts)

    def open(self, artifact: Artifact) -> AbstractContextManager[Chunks]:
        """The plain bytes of an artifact, checked; whoever watches is told once a second."""
        if not self.admitted:
            _admit(self.system, self.catalog, self.manifest)
        return _plain(self.system, self.catalog, self.manifest, artifact, self._tally(artifact))

    def recipe(self) -> Recipe | None:
        """What another process makes the same source of; None where it cannot have this one's system.

        `Untrusted` unless the set may be used: the other does not ask again.
        """
        if not self.system.portable:
            return None
        _admit(self.system, self.catalog, self.manifest)
        return Recipe(self.system.settings, self.system.doing, self.catalog.store.url, self.manifest,
                      self.component, self.host)

    def _tally(self, artifact: Artifact) -> Tally:
        began = time.monotonic()
        told = [began]

        def seen(total: int) -> None:
            now = time.monotonic()
            if self.watch and now - told[0] >= _TOLD_SECONDS:
                told[0] = now
                self.watch({"part": artifact.part, "phase": "restoring", "bytes": total,
                            "of_bytes": artifact.plain_bytes,
                            "bytes_per_second": round(total / max(now - began, 0.001))})

        return Tally(seen)


@dataclass(frozen=True)
class Recipe:
    """A set's component for another process: settings, a store's URL, and a manifest that may be used."""

    settings: Settings
    doing: Doing
    store_url: str
    manifest: Manifest
    component: str
    host: str

    @property
    def jobs(self) -> int:
        """How many processes may read it at once."""
        return self.settings.jobs

    def source(self, tell: Watch) -> SetSource:
        """The same source, in the process that this was sent to."""
        system = System(self.settings, doing=self.doing)
        return SetSource(system, Catalog(system.store(self.store_url)), self.manifest, self.component, tell,
                         self.host, admitted=True)


@contextmanager
def plain(system: System, catalog: Catalog, manifest: Manifest, artifact: Artifact, *,
          watch: Tally | None = None) -> Iterator[Chunks]:
    """The plain bytes of an artifact. `DigestMismatch`, at the latest at the end, when they are not
    what was saved: whoever reads must not make anything of it public before the end.

    `Untrusted` unless the set may be used (signatures.py). Of what is stored no byte is decrypted or
    unpacked before it was compared with the manifest.
    """
    _admit(system, catalog, manifest)
    with _plain(system, catalog, manifest, artifact, watch or Tally()) as chunks:
        yield chunks


def _admit(system: System, catalog: Catalog, manifest: Manifest) -> None:
    """That a set may be used, and on record that its key is."""
    system.signatures.require(catalog, manifest)
    if manifest.encrypted_for:
        system.audit.key_used(str(manifest.set_id), catalog.store.name, key=manifest.encrypted_for)


@contextmanager
def _plain(system: System, catalog: Catalog, manifest: Manifest, artifact: Artifact,
           watch: Tally) -> Iterator[Chunks]:
    key = manifest.key(artifact)
    name = f"{catalog.store.name} {key}"
    codec = replace(system.codec, recipient=manifest.encrypted_for or "")
    with _stored(catalog.store, key, artifact) as stored, codec.decode(stored) as decoded:
        watch.hashed = bool(artifact.plain_sha256)
        checked = _exactly(decoded, watch, artifact.plain_sha256, f"{name}, decrypted,",
                           most_bytes=artifact.plain_bytes)
        yield _named(checked, name)


@contextmanager
def _stored(store: Store, key: str, artifact: Artifact) -> Iterator[Chunks]:
    """An artifact's stored bytes, each compared with the manifest before it is given.

    A set from before there were hashes of blocks is read twice: whole and compared, and then again.
    Whoever can exchange the file in between is noticed only at its end, as are those who could then.
    """
    if artifact.stored_prefixes:
        with store.open(key) as chunks, compared_blocks(
                chunks, artifact.stored_prefixes, block_bytes=artifact.block_bytes,
                name=f"{store.name} {key}") as compared:
            yield compared
        return
    read_back(store, key, sha256=artifact.stored_sha256, stored_bytes=artifact.stored_bytes)
    with store.open(key) as chunks:
        yield _exactly(chunks, Tally(), artifact.stored_sha256, f"{store.name} {key}",
                       most_bytes=artifact.stored_bytes)


def sound_copies(stores: Iterable[Store], catalog: Catalog, manifest: Manifest, component: str) -> list[str]:
    """The other stores whose copy of a component is whole, read to its last byte."""
    return [store.name for store in stores if store.url != catalog.store.url
            and _sound(Catalog(store), manifest, component)]


def _sound(catalog: Catalog, manifest: Manifest, component: str) -> bool:
    """Whether the other store has just what the manifest that is trusted says, and lists it so."""
    try:
        theirs = {each.name: each.stored_sha256 for each in catalog.get(manifest.set_id).of(component)}
        for artifact in manifest.of(component):
            if theirs.get(artifact.name) != artifact.stored_sha256:
                return False
            read_back(catalog.store, manifest.key(artifact), sha256=artifact.stored_sha256,
                      stored_bytes=artifact.stored_bytes)
    except NightscanError:
        return False
    return True


def _named(chunks: Chunks, name: str) -> Chunks:
    """The same; what goes wrong below says which artifact it was."""
    try:
        yield from chunks
    except (DigestMismatch, EncryptionFailed) as exc:
        if name in str(exc):
            raise
        raise type(exc)(f"{name}: {exc}") from exc


def _exactly(chunks: Chunks, tally: Tally, sha256: str, name: str, *, most_bytes: int) -> Chunks:
    """The same bytes, hashed; more of them than were saved are not let through to fill a disk."""
    read_bytes = 0
    for chunk in tally.through(chunks):
        read_bytes += len(chunk)
        if read_bytes > most_bytes:
            raise DigestMismatch(f"{name} is damaged: it holds more than the {most_bytes} bytes that were "
                                 f"saved")
        yield chunk
    if not tally.hashed and read_bytes != most_bytes:
        raise DigestMismatch(f"{name} is damaged: {most_bytes} bytes expected, {read_bytes} read")
    if tally.hashed and tally.sha256 != sha256:
        raise DigestMismatch(f"{name} is damaged: sha256 expected {sha256[:12]}…, read {tally.sha256[:12]}…")
