"""What each step of a site's day asks of S3, counted while it is really done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nightscan_tasks import backup, rotation
from nightscan_tasks.backup import Request
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.ledger import Run
from nightscan_tasks.model import Days, Plan, Tier
from nightscan_tasks.restore import reap_restores
from nightscan_tasks.scrub import Wish, scrub
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.tasks.glancing import glance
from nightscan_tasks.tasks.making_up import _TASKS, _heard
from nightscan_tasks.verification import verify_set
from nightscan_tasks.watch.telling import tell
from nightscan_tasks.workflows import RETENTION

PLAN = Plan(Tier.DAILY, ("user_data",), Days(7))
_SETS = 4
_BILLED = {
    "PUT": ("PutObject", "UploadPart", "CreateMultipartUpload", "CompleteMultipartUpload", "CopyObject"),
    "LIST": ("ListObjectsV2", "ListMultipartUploads", "ListObjectVersions"),
    "GET": ("GetObject", "HeadObject", "HeadBucket", "GetBucketVersioning", "GetObjectRetention",
            "GetObjectLockConfiguration", "GetBucketLifecycleConfiguration"),
    "DELETE": ("DeleteObject", "DeleteObjects", "AbortMultipartUpload")}
CLASSES = {operation: kind for kind, operations in _BILLED.items() for operation in operations}
"""How S3 bills each operation. A listing costs what a PUT costs; to delete is free."""


@dataclass
class Counting:
    """The requests that a process makes, by what they are billed as."""

    asked: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def of(self, *stores: Any) -> Iterator[Counting]:
        """Count what these buckets are asked, as long as the context lasts: repetitions too."""
        clients = [store._store._bucket._connected() for store in stores]  # noqa: SLF001 - a counter looks where the requests are made
        for client in clients:
            client.meta.events.register("before-send.s3", self._seen)
        try:
            yield self
        finally:
            for client in clients:
                client.meta.events.unregister("before-send.s3", self._seen)

    def _seen(self, event_name: str, **_event: Any) -> None:
        self.asked[CLASSES[event_name.rpartition(".")[2]]] += 1

    def during(self, work: Callable[[], object]) -> Counter[str]:
        """What one step asks."""
        before = Counter(self.asked)
        work()
        return self.asked - before


@dataclass(frozen=True)
class Measured:
    """Requests by step: of a run of `parts` parts, and of each look while the store has `sets` sets."""

    parts: int
    sets: int
    steps: Mapping[str, Counter[str]]


def measure(system: System, plan: Plan, *, later: Callable[[timedelta], None]) -> Measured:
    """Take a set and do what is done in a day, and count. `later` moves the system's clock."""
    counting = Counting()
    steps: dict[str, Counter[str]] = {}

    def step(name: str, work: Callable[[], object]) -> None:
        steps[name] = counting.during(work)

    with counting.of(system.primary):
        runs: list[Run] = []
        step("open", lambda: runs.append(backup.open_run(system, Request(plan)).run))
        (run,) = runs
        step("start", lambda: backup.start(system, run))
        held = system.leases.look("backup")
        step("part", lambda: backup.dump(system, run.run_id, run.parts[0]))
        for part in run.parts[1:]:
            backup.dump(system, run.run_id, part)
        if held:
            step("beat", lambda: system.leases.renew(held))
        step("settle", lambda: backup.settle(system, run.run_id))
        step("verify", lambda: _verify(system, run))
        step("rotate", lambda: _rotate(system))
        step("scrub", lambda: scrub(system, "primary", Wish()))
        step("reap", lambda: backup.reap(system))
        step("reap_restores", lambda: reap_restores(system))
        step("replicate", lambda: _replicate(system))
        step("make_up", lambda: [list(_heard(system.ledger, tier)) for tier in _TASKS.values()])
        step("look", lambda: tell(system, glance(system)))
        later(timedelta(days=1))
    return Measured(len(run.parts), len(Catalog(system.primary).ids()), steps)


def _verify(system: System, run: Run) -> None:
    catalog = Catalog(system.primary)
    system.ledger.verify(run.run_id, verify_set(catalog, catalog.get(run.set_id), clock=system.clock,
                                                signatures=system.signatures))


def _replicate(system: System) -> None:
    with system.leases.hold("replicate", "many sites"):
        pass  # each offsite store is listed, and asked of it is what the primary has of each set


def _rotate(system: System) -> None:
    rotation.rotate(system, system.primary, RETENTION)
    rotation.sweep(system, system.primary, RETENTION)
    rotation.forget_old_runs(system)


def clocked(moments: list[datetime]) -> tuple[Callable[[], datetime], Callable[[timedelta], None]]:
    """A clock that stands still, and what moves it."""
    def later(by: timedelta) -> None:
        moments[-1] += by

    return lambda: moments[-1], later


def figures(measured: Sequence[Measured]) -> dict[str, Any]:
    """The first as it is, and what each further set adds, from the first to the last of them."""
    first, last = measured[0], measured[-1]
    more = last.sets - first.sets
    a_set = {name: {kind: round((last.steps[name][kind] - asked[kind]) / more, 2)
                    for kind in asked if last.steps[name][kind] - asked[kind] >= more / 2}
             for name, asked in first.steps.items()}
    return {"sets": first.sets,
            "base": {name: dict(sorted(asked.items())) for name, asked in first.steps.items()},
            "a_set": {name: added for name, added in a_set.items() if added}}


def measure_site(folder: Path, environ: Mapping[str, str], url: str) -> dict[str, Any]:
    """The figures of a small site below `folder`, whose primary store is the bucket at `url`."""
    uploads = folder / "nightscan" / "uploads"
    uploads.mkdir(parents=True)
    clock, later = clocked([datetime.now(UTC)])
    system = System(load({
        **environ, "NIGHTSCAN_ROOT": str(folder / "nightscan"), "NIGHTSCAN_PRIMARY": url,
        "NIGHTSCAN_S3_STORAGE_CLASS": "STANDARD", "NIGHTSCAN_TEMP_DIR": str(folder)}), clock)
    measured = []
    for number in range(_SETS + 1):
        (uploads / f"{number}.wav").write_bytes(bytes(1000))
        measured.append(measure(system, PLAN, later=later))
    return figures(measured[1:])  # the first set finds no other to compare with, and removes no earlier lease
