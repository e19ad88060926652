"""What people decided about sets: a hold keeps one, trust says that one is as it should be.

Small JSON files in the primary store, each created once: `holds/<set_id>/<moment>.json` and
`trusted/<set_id>/<moment>.json`. A release removes a hold's file; the audit record tells of all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from nightscan_tasks import wire
from nightscan_tasks.errors import NotFound
from nightscan_tasks.model import SetId
from nightscan_tasks.stores.base import Store

HOLDS, TRUSTED = "holds", "trusted"
REMOVING = "removing"
"""The lease of whoever removes a set is `removing/<set_id>`. It is taken before holds are looked at for the
last time, and a hold is recorded before this lease is looked at: so one of the two sees the other."""


@dataclass(frozen=True)
class Hold:
    """A set that no rotation removes, from any store: until it is released, or `until` has come."""

    set_id: SetId
    why: str
    by: str
    held_at: datetime
    until: datetime | None = None

    def live(self, now: datetime) -> bool:
        """Whether it still holds."""
        return self.until is None or now < self.until

    def __str__(self) -> str:
        until = f", until {self.until:%Y-%m-%d %H:%M} UTC" if self.until else ""
        return f"held by {self.by} since {self.held_at:%Y-%m-%d %H:%M} UTC{until}: {self.why}"


@dataclass(frozen=True)
class Trust:
    """That somebody looked at a set that seemed wrong, and says that it is as it should be."""

    set_id: SetId
    why: str
    by: str
    trusted_at: datetime

    def __str__(self) -> str:
        return f"trusted by {self.by} since {self.trusted_at:%Y-%m-%d %H:%M} UTC: {self.why}"


class Decisions:
    """The holds and the trust that a store has records of.

    A record that cannot be read is an error, never a set that nobody holds.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def hold(self, hold: Hold) -> None:
        """Record a hold. A set may be held for several reasons, each of which suffices."""
        self._create(f"{HOLDS}/{hold.set_id}/{_stamp(hold.held_at)}.json", hold)

    def holds(self, set_id: SetId | None = None) -> list[Hold]:
        """The holds of one set, or of all, the oldest first; those that ended by themselves too."""
        return sorted(self._all(Hold, f"{HOLDS}/{_folder(set_id)}"), key=lambda each: each.held_at)

    def release(self, hold: Hold) -> None:
        """Take a hold back. One that is not there is no error."""
        self._store.delete(f"{HOLDS}/{hold.set_id}/{_stamp(hold.held_at)}.json")

    def trust(self, trust: Trust) -> None:
        """Record that a set is trusted."""
        self._create(f"{TRUSTED}/{trust.set_id}/{_stamp(trust.trusted_at)}.json", trust)

    def trusted(self) -> dict[SetId, Trust]:
        """The sets that somebody trusts, and who said so last."""
        ordered = sorted(self._all(Trust, f"{TRUSTED}/"), key=lambda each: each.trusted_at)
        return {each.set_id: each for each in ordered}

    def _create(self, key: str, value: object) -> None:
        self._store.put(key, [wire.encode(value)], if_absent=True)

    def _all(self, kind: type[wire.T], prefix: str) -> Iterator[wire.T]:
        for entry in list(self._store.list(prefix)):
            try:
                with self._store.open(entry.key) as chunks:
                    yield wire.decode(kind, b"".join(map(bytes, chunks)), source=entry.key)
            except NotFound:  # released since it was listed
                continue


def _folder(set_id: SetId | None) -> str:
    return f"{set_id}/" if set_id else ""


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%S%fZ}"
