"""What the last rotation of each store found: `rotation/of-<store>.json` in the primary store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from nightscan_tasks import wire
from nightscan_tasks.errors import ManifestInvalid, NotFound
from nightscan_tasks.model import SetId
from nightscan_tasks.stores.base import Store

ROTATIONS = "rotation"


@dataclass(frozen=True)
class Rotated:
    """One rotation of a store. `held` says why nothing went at all, `frozen` why nothing of a tier.

    `since` is when what is held or frozen now was found so first.
    """

    store: str
    url: str
    rotated_at: datetime
    held: str = ""
    frozen: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[SetId, ...] = ()
    kept: int = 0
    since: datetime | None = None


class Rotations:
    """The last rotation of every store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, rotated: Rotated) -> None:
        """Replace what was known of that store."""
        self._store.put(_key(rotated.store), [wire.encode(rotated)])

    def forget(self, stores: Iterable[Store]) -> None:
        """What was found holds no more: somebody decided otherwise, and the next rotation looks anew."""
        for store in stores:
            self._store.delete(_key(store.name))

    def last(self, store: Store) -> Rotated | None:
        """The last rotation of a store, where it is now; None where there was none."""
        try:
            with self._store.open(_key(store.name)) as chunks:
                found = wire.decode(Rotated, b"".join(map(bytes, chunks)), source=_key(store.name))
        except (NotFound, ManifestInvalid):  # a record that cannot be read says nothing
            return None
        return found if found.url == store.url else None


def _key(store: str) -> str:
    return f"{ROTATIONS}/of-{store}.json"
