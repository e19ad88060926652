"""What the dead man's switch was told: `pings/of-<tier>.json`, and `pings/owed/<run_id>` what it is not yet.

Small files in the primary store. A run whose end is still to be told has a marker, put there before it is
settled: so whoever settles it and dies has it told by `reap`, which lists the markers and not the history.
`runs/<run_id>/signalled.json` says that its end was told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from nightscan_tasks import wire
from nightscan_tasks.ledger import record
from nightscan_tasks.ledger.book import RUNS
from nightscan_tasks.model import Tier
from nightscan_tasks.stores.base import Store

PINGS = "pings"
_OWED = f"{PINGS}/owed"


@dataclass(frozen=True)
class PingSeen:
    """The last ping of a tier: whether it was taken, and if not, why, and since when none is."""

    at: datetime
    ok: bool
    problem: str = ""
    since: datetime | None = None
    run_id: str = ""
    phase: str = ""


@dataclass(frozen=True)
class Signalled:
    """That the end of a run was told to whoever is to be told."""

    at: datetime


class Pings:
    """The pings that a store has records of."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, tier: Tier, at: datetime, *, problem: str, run_id: str, phase: str) -> None:
        """Replace what was known of that tier; with a problem, `since` stays that of the first."""
        before = self._get(PingSeen, _of(tier))
        since = (before.since if before and before.since else at) if problem else None
        self._put(_of(tier), PingSeen(at, not problem, problem, since, run_id, phase))

    def last(self) -> Mapping[Tier, PingSeen]:
        """The last ping of every tier that has one."""
        listed = {entry.key for entry in self._store.list(f"{PINGS}/of-")}
        found = ((tier, self._get(PingSeen, _of(tier))) for tier in Tier if _of(tier) in listed)
        return {tier: seen for tier, seen in found if seen}

    def owe(self, run_id: str) -> None:
        """Say that the end of a run is to be told, once it has one."""
        self._store.put(f"{_OWED}/{run_id}", [b"\n"])

    def owed(self) -> Iterator[tuple[str, datetime]]:
        """The runs whose end may still have to be told, and since when."""
        for entry in list(self._store.list(f"{_OWED}/")):
            yield entry.key.rpartition("/")[2], entry.modified_at

    def pay(self, run_id: str, at: datetime) -> None:
        """Record that the end was told."""
        self._put(f"{RUNS}/{run_id}/signalled.json", Signalled(at))
        self.forget(run_id)

    def forget(self, run_id: str) -> None:
        """Nothing of this run is to be told any more."""
        self._store.delete(f"{_OWED}/{run_id}")

    def paid(self, run_id: str) -> bool:
        """Whether the end was told."""
        return self._store.stat(f"{RUNS}/{run_id}/signalled.json") is not None

    def _put(self, key: str, value: object) -> None:
        record.write(self._store, key, value)

    def _get(self, kind: type[wire.T], key: str) -> wire.T | None:
        return record.read_leniently(self._store, kind, key)


def last_pings(store: Store) -> Mapping[Tier, PingSeen]:
    """How the dead man's switch answered last, by tier."""
    return Pings(store).last()


def _of(tier: Tier) -> str:
    return f"{PINGS}/of-{tier}.json"
