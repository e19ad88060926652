"""Whether the private key still opens what was saved: without it, nothing else helps."""

from __future__ import annotations

from dataclasses import dataclass

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import NightscanError, NotFound
from nightscan_tasks.model import Manifest, Tier
from nightscan_tasks.restore.reading import plain
from nightscan_tasks.system import System


@dataclass(frozen=True)
class Opened:
    """What became of the newest set in one store: how many artifacts the key opens, or why it does not."""

    store: str
    set_id: str
    encrypted_for: str | None
    opened: int
    plain_bytes: int
    problem: str = ""


def prove_key(system: System) -> tuple[Opened, ...]:
    """Open the newest complete set of every store: each artifact's beginning, and the smallest one whole.

    A store that cannot be read is a problem like a key that does not open.
    """
    return tuple(_prove(system, Catalog(store)) for store in system.stores)


def _prove(system: System, catalog: Catalog) -> Opened:
    name = catalog.store.name
    try:
        manifest = next((each for each in catalog.sets() if each.complete
                         and each.set_id.tier is not Tier.PRE_RESTORE), None)
        if manifest is None:
            raise NotFound(f"{name} ({catalog.store.url}) has no complete set")
    except NightscanError as exc:
        return Opened(name, "", None, 0, 0, str(exc))
    opened = read_bytes = 0
    try:
        for artifact_bytes in _open_all(system, catalog, manifest):
            opened, read_bytes = opened + 1, read_bytes + artifact_bytes
    except NightscanError as exc:
        return Opened(name, str(manifest.set_id), manifest.encrypted_for, opened, read_bytes, str(exc))
    return Opened(name, str(manifest.set_id), manifest.encrypted_for, opened, read_bytes)


def _open_all(system: System, catalog: Catalog, manifest: Manifest) -> list[int]:
    """How many plain bytes of each artifact were read."""
    smallest = min(manifest.artifacts, key=lambda artifact: artifact.stored_bytes)
    read = []
    for artifact in manifest.artifacts:
        with plain(system, catalog, manifest, artifact) as chunks:
            # The first bytes need the key; only the whole proves that they are what was saved.
            read.append(sum(map(len, chunks)) if artifact is smallest else len(next(chunks, b"")))
    return read
