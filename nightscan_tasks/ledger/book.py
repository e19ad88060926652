"""The record of every run, in the primary store: what was planned, done, and how it ended.

Small JSON files below `runs/<run_id>/`; what is still open has a marker below `open/` as well, so that
finding it does not mean reading the history. Nothing here depends on Celery: a broker that lost
everything loses no run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from nightscan_tasks import wire
from nightscan_tasks.errors import AlreadyExists, NotFound
from nightscan_tasks.ledger import record
from nightscan_tasks.ledger.holds import Decisions
from nightscan_tasks.ledger.listings import shared_lines
from nightscan_tasks.ledger.looks import Looks
from nightscan_tasks.ledger.records import Copied, Outcome, Run, RunState, Sent, Snapshot, Started, Verified
from nightscan_tasks.model import Failure, PartRecord, Tier
from nightscan_tasks.stores.base import Store

RUNS, OPEN = "runs", "open"


class Ledger:
    """The runs of a store, what people decided about its sets, and when rotation looked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.decisions = Decisions(store)
        self.looks = Looks(store)

    def open(self, run: Run) -> None:
        """Record that a run is wanted; `AlreadyExists` where its name is taken."""
        self._put(f"{OPEN}/{run.run_id}", b"\n")  # first: a run that nobody sees would never end
        self._put(f"{RUNS}/{run.run_id}/opened.json", wire.encode(run), if_absent=True)

    def opened(self, run_id: str) -> Run:
        """The run as it was opened; NotFound where there is none of that name."""
        return self._get(Run, run_id, "opened") or _no_run(run_id)

    def start(self, run_id: str, started: Started) -> None:
        """Record that the run holds its lease; a later start replaces an earlier one."""
        self._record(run_id, "started", started)

    def started(self, run_id: str) -> Started | None:
        """When and with which token the run started, or None while it waits."""
        return self._get(Started, run_id, "started")

    def send(self, run_id: str, sent: Sent) -> None:
        """Record that the run's work was handed to the broker."""
        self._record(run_id, "sent", sent)

    def announce(self, run_id: str, snapshot: Snapshot) -> None:
        """Record that a snapshot was taken; a later try's snapshot replaces an earlier one's."""
        self._record(run_id, "snapshot", snapshot)

    def snapshot(self, run_id: str) -> Snapshot | None:
        """The newest snapshot of the run's database, or None while there is none."""
        return self._get(Snapshot, run_id, "snapshot")

    def save(self, run_id: str, record: PartRecord) -> None:
        """Record that a part is saved, and forget that it failed before."""
        self._record(run_id, f"part.{record.part}", record)
        self._store.delete(f"{RUNS}/{run_id}/failed.{record.part}.json")

    def part(self, run_id: str, part: str) -> PartRecord | None:
        """The record of one part, or None while it is not saved."""
        return self._get(PartRecord, run_id, f"part.{part}")

    def discard(self, run_id: str, part: str) -> None:
        """Take back the record of a part that turned out not to be what it says."""
        self._store.delete(f"{RUNS}/{run_id}/part.{part}.json")

    def fail(self, run_id: str, failure: Failure) -> None:
        """Record that a part (`database`), or the copying of one (`database@offsite`), failed for good."""
        self._record(run_id, f"failed.{failure.part}", failure)

    def failure(self, run_id: str, part: str) -> Failure | None:
        """Why a part failed, or None."""
        return self._get(Failure, run_id, f"failed.{part}")

    def copy(self, run_id: str, copied: Copied) -> None:
        """Record that a part is whole in an offsite store."""
        self._record(run_id, f"copied.{copied.part}@{copied.store}", copied)
        self._store.delete(f"{RUNS}/{run_id}/failed.{copied.part}@{copied.store}.json")

    def copied(self, run_id: str, part: str, store: str) -> Copied | None:
        """The record of a copy, or None."""
        return self._get(Copied, run_id, f"copied.{part}@{store}")

    def settle(self, outcome: Outcome) -> Outcome:
        """Record how a run ended, once: the first record stands, and is returned to whoever is later."""
        key = f"{RUNS}/{outcome.run_id}/settled.json"
        try:
            self._put(key, wire.encode(outcome), if_absent=True)
        except AlreadyExists:
            outcome = self._get(Outcome, outcome.run_id, "settled") or outcome
        self._store.delete(f"{OPEN}/{outcome.run_id}")
        return outcome

    def outcome(self, run_id: str) -> Outcome | None:
        """How a run ended, or None while it has not."""
        return self._get(Outcome, run_id, "settled")

    def verify(self, run_id: str, verified: Verified) -> None:
        """Record what reading a set back found; a later reading replaces an earlier one."""
        self._record(run_id, f"verified.{verified.store}", verified)

    def verified(self, run_id: str, store: str) -> Verified | None:
        """The newest reading of a run's set in a store, or None."""
        return self._get(Verified, run_id, f"verified.{store}")

    def state(self, run_id: str) -> RunState:
        """Everything about one run; NotFound where there is none."""
        keys = {entry.key.rpartition("/")[2].removesuffix(".json")
                for entry in self._store.list(f"{RUNS}/{run_id}/")}
        parts = [self.part(run_id, name.removeprefix("part.")) for name in keys if name.startswith("part.")]
        failures = [self._get(Failure, run_id, name) for name in keys if name.startswith("failed.")]
        copies = [self._get(Copied, run_id, name) for name in keys if name.startswith("copied.")]
        return RunState(
            run=self.opened(run_id), started=self.started(run_id), outcome=self.outcome(run_id),
            sent=self._get(Sent, run_id, "sent"), snapshot=self.snapshot(run_id),
            parts={record.part: record for record in parts if record},
            failures={failure.part: failure for failure in failures if failure},
            copies={(copied.part, copied.store): copied for copied in copies if copied})

    def open_runs(self, *, now: datetime) -> list[Run]:
        """Runs that have not ended, the oldest first. Markers of runs that never came to be are removed."""
        runs = []
        for entry in list(self._store.list(f"{OPEN}/")):
            run_id = entry.key.rpartition("/")[2]
            run = self._get(Run, run_id, "opened")
            if run is None and now - entry.modified_at > timedelta(hours=1):
                self._store.delete(entry.key)
            elif run is not None and self.outcome(run_id) is not None:
                self._store.delete(entry.key)  # settled by one that died before it took its marker away
            elif run is not None:
                runs.append(run)
        return sorted(runs, key=lambda run: (run.opened_at, run.run_id))

    def run_ids(self) -> list[str]:
        """Every run there is a record of, in the order of their names."""
        return sorted({entry.key.split("/")[1] for entry in self._store.list(f"{RUNS}/")})

    def newest(self, tier: Tier, *, count: int) -> list[str]:
        """The last runs of a tier that were opened, the newest first, told by their names."""
        found = {entry.key.split("/")[1] for entry in self._store.list(f"{RUNS}/{tier}-")
                 if entry.key.endswith("/opened.json")}
        return sorted(found, reverse=True)[:count]

    def remove(self, run_id: str) -> None:
        """Forget a run, the opening last, so that a crash leaves a run with a name."""
        keys = [entry.key for entry in self._store.list(f"{RUNS}/{run_id}/")]
        for key in sorted(keys, key=lambda key: key.endswith("/opened.json")):
            self._store.delete(key)

    def listing(self, run_id: str, name: str,
                produce: Callable[[], Iterator[bytes]]) -> AbstractContextManager[Iterator[bytes]]:
        """The run's one list called `name`, made by whoever comes first; the lines, without newlines."""
        return shared_lines(self._store, f"{RUNS}/{run_id}/listing.{name}.gz", produce)

    def forget_listings(self, run_id: str) -> None:
        """Remove a run's lists of files, which nobody needs once it is settled."""
        for entry in list(self._store.list(f"{RUNS}/{run_id}/listing.")):
            self._store.delete(entry.key)

    def _record(self, run_id: str, name: str, value: object) -> None:
        self._put(f"{RUNS}/{run_id}/{name}.json", wire.encode(value))

    def _put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        self._store.put(key, [data], if_absent=if_absent)

    def _get(self, kind: type[wire.T], run_id: str, name: str) -> wire.T | None:
        return record.read(self._store, kind, f"{RUNS}/{run_id}/{name}.json")


def _no_run(run_id: str) -> Run:
    raise NotFound(f"the ledger has no run {run_id}; `nightscan status` lists those there are")
