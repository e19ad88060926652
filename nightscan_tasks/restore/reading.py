"""An artifact as a plain stream: fetched, checked, decrypted and unpacked on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import DigestMismatch
from nightscan_tasks.model import Artifact, Chunks, Manifest
from nightscan_tasks.streams import Tally
from nightscan_tasks.system import System


@contextmanager
def plain(system: System, catalog: Catalog, manifest: Manifest, artifact: Artifact, *,
          watch: Tally | None = None) -> Iterator[Chunks]:
    """The plain bytes of an artifact. `DigestMismatch`, at the latest at the end, when they are not
    what was saved: whoever reads must not make anything of it public before the end.
    """
    key = manifest.set_id.key(artifact.name)
    name = f"{catalog.store.name} {key}"
    with catalog.store.open(key) as chunks:
        stored = _exactly(chunks, Tally(), artifact.stored_sha256, name)
        with replace(system.codec, recipient=manifest.encrypted_for or "").decode(stored) as decoded:
            yield _exactly(decoded, watch or Tally(), artifact.plain_sha256, f"{name}, decrypted,")


def _exactly(chunks: Chunks, tally: Tally, sha256: str, name: str) -> Chunks:
    yield from tally.through(chunks)
    if tally.sha256 != sha256:
        raise DigestMismatch(f"{name} is damaged: sha256 expected {sha256[:12]}…, read {tally.sha256[:12]}…")
