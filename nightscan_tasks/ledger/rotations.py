"""What the last rotation of each store found: `rotation/of-<store>.json` in the primary store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from nightscan_tasks.ledger import record
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
        record.write(self._store, _key(rotated.store), rotated)

    def forget(self, stores: Iterable[Store]) -> None:
        """What was found holds no more: somebody decided otherwise, and the next rotation looks anew."""
        for store in stores:
            self._store.delete(_key(store.name))

    def last(self, store: Store) -> Rotated | None:
        """The last rotation of a store, where it is now; None where there was none."""
        found = record.read_leniently(self._store, Rotated, _key(store.name))
        return found if found and found.url == store.url else None


def _key(store: str) -> str:
    return f"{ROTATIONS}/of-{store}.json"
