"""The record of every restore and drill: small JSON files below `restores/` and `drills/`.

What is not settled has a marker below `open-restores/` as well. Usually they lie in the primary store,
like all of the ledger; where that is what was lost, in a folder of the host that restores.
"""

from __future__ import annotations

from collections.abc import Iterator

from nightscan_tasks import wire
from nightscan_tasks.errors import NotFound
from nightscan_tasks.ledger import record
from nightscan_tasks.ledger.restore_records import (
    Aftermath,
    Drill,
    RestoredComponent,
    RestoreOutcome,
    RestoreRun,
    RestoreState,
    Swapping,
)
from nightscan_tasks.stores.base import Store

RESTORES, OPEN_RESTORES, DRILLS = "restores", "open-restores", "drills"


class Restores:
    """The restores and drills that a store has records of."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def open(self, run: RestoreRun) -> None:
        """Record that a restore begins; `AlreadyExists` where its name is taken."""
        self._put(f"{OPEN_RESTORES}/{run.run_id}", b"\n")  # first: a crash in between is found by it
        self._put(f"{RESTORES}/{run.run_id}/opened.json", wire.encode(run), if_absent=True)

    def swapping(self, run_id: str, swapping: Swapping) -> None:
        """Record that everything is staged and compared, and that the swap begins."""
        self._put(f"{RESTORES}/{run_id}/swapping.json", wire.encode(swapping))

    def settle(self, outcome: RestoreOutcome) -> None:
        """Record how a restore ended."""
        self._put(f"{RESTORES}/{outcome.run_id}/settled.json", wire.encode(outcome))
        self.store.delete(f"{OPEN_RESTORES}/{outcome.run_id}")

    def undo(self, run_id: str, aftermath: Aftermath) -> None:
        """Record that the old state was put back."""
        self._put(f"{RESTORES}/{run_id}/undone.json", wire.encode(aftermath))

    def accept(self, run_id: str, aftermath: Aftermath) -> None:
        """Record that what was kept was let go."""
        self._put(f"{RESTORES}/{run_id}/accepted.json", wire.encode(aftermath))

    def state(self, run_id: str) -> RestoreState:
        """Everything about one restore; NotFound where there is none of that name."""
        folder = f"{RESTORES}/{run_id}"
        run = self._get(RestoreRun, f"{folder}/opened.json")
        if run is None:
            raise NotFound(f"there is no restore {run_id} in {self.store.url}; "
                           f"`nightscan restore runs` lists those there are")
        return RestoreState(
            run, self._get(Swapping, f"{folder}/swapping.json"),
            self._get(RestoreOutcome, f"{folder}/settled.json"),
            self._get(Aftermath, f"{folder}/undone.json"), self._get(Aftermath, f"{folder}/accepted.json"))

    def unsettled(self) -> list[RestoreState]:
        """Restores that did not end, the oldest first: under way, or cut off."""
        found = []
        for entry in list(self.store.list(f"{OPEN_RESTORES}/")):
            run_id = entry.key.rpartition("/")[2]
            try:
                state = self.state(run_id)
            except NotFound:  # being opened at this moment, or killed then: it has changed nothing
                continue
            if state.outcome is None:
                found.append(state)
            else:  # killed before it took its marker away
                self.store.delete(entry.key)
        return sorted(found, key=lambda state: state.run.opened_at)

    def run_ids(self) -> list[str]:
        """Every restore there is a record of, the oldest first."""
        return sorted({entry.key.split("/")[1] for entry in self.store.list(f"{RESTORES}/")})

    def drilled(self, drill: Drill) -> None:
        """Record a drill; `AlreadyExists` where its name is taken."""
        self._put(f"{DRILLS}/{drill.drill_id}.json", wire.encode(drill), if_absent=True)

    def drills(self, *, newest: int = 50) -> list[Drill]:
        """The newest drills, the newest first."""
        keys = sorted((entry.key for entry in self.store.list(f"{DRILLS}/")), reverse=True)[:newest]
        return [drill for key in keys if (drill := self._get(Drill, key)) is not None]

    def timed(self, *, newest: int = 10) -> Iterator[RestoredComponent]:
        """Components as the newest drills and restores timed them, the newest of each first."""
        for drill in self.drills(newest=newest):
            yield from drill.components
        for run_id in reversed(self.run_ids()[-newest:]):
            outcome = self._get(RestoreOutcome, f"{RESTORES}/{run_id}/settled.json")
            yield from outcome.components if outcome else ()

    def _put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        self.store.put(key, [data], if_absent=if_absent)

    def _get(self, kind: type[wire.T], key: str) -> wire.T | None:
        return record.read(self.store, kind, key)
