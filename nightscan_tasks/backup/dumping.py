"""One part, from its source through the codec into the primary store, read back, and recorded."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from uuid import uuid4

from nightscan_tasks.backup.basing import base_of, there
from nightscan_tasks.backup.fencing import put_fenced
from nightscan_tasks.backup.opening import lease_of
from nightscan_tasks.backup.sealing import sealed
from nightscan_tasks.components.base import Component, Dump, PlainStream, Referring, Shared
from nightscan_tasks.errors import Busy, DumpIncomplete, LeaseLost, NightscanError
from nightscan_tasks.jobs import job
from nightscan_tasks.ledger import Run, Snapshot
from nightscan_tasks.model import BLOCK_BYTES, Artifact, Chunks, Failure, Json, PartRecord, Report
from nightscan_tasks.priority import standing_back
from nightscan_tasks.streams import Tally
from nightscan_tasks.system import System
from nightscan_tasks.verification import read_back

_FOLLOWS_SNAPSHOT = ("user_data",)

_SPEED_FROM_SECONDS = 0.5  # the first buffers come at once, and say nothing of a speed


@dataclass
class Progress:
    """How far the dump of a part is: told to the lease's heartbeat, and to whoever watches."""

    part: str
    predicted_bytes: int = 0
    watch: Callable[[dict[str, Json]], None] | None = None
    check: Callable[[], None] = lambda: None
    done_bytes: int = 0
    phase: str = "reading"
    _base_bytes: int = 0
    _began: float = 0.0
    _told: float = 0.0

    def seen(self, total_bytes: int) -> None:
        """Told the running total of a stream. Stops the work when its lease is lost."""
        self.check()
        self.done_bytes = self._base_bytes + total_bytes
        now = time.monotonic()
        self._began = self._began or now
        if self.watch and now - self._told >= 1:
            self._told = now
            self.watch(self.values())

    def next_stream(self) -> None:
        """The next stream's bytes add to those before it."""
        self._base_bytes = self.done_bytes

    def values(self) -> dict[str, Json]:
        """For people and dashboards: bytes so far, of how many, and how fast."""
        elapsed = max(time.monotonic() - self._began, 0.001) if self._began else 0.001
        return {"part": self.part, "phase": self.phase, "bytes": self.done_bytes,
                "of_bytes": max(self.predicted_bytes, self.done_bytes),
                "bytes_per_second": round(self.done_bytes / elapsed) if elapsed > _SPEED_FROM_SECONDS else 0}


def dump(system: System, run_id: str, part: str, *,
         watch: Callable[[dict[str, Json]], None] | None = None) -> PartRecord:
    """Save one part, and return its record. What is there already, and whole, is returned at once.

    `Busy`: another worker is at it, this host has jobs enough, or the database's snapshot is not taken yet:
    ask again.
    Anything else that is raised failed this try and left nothing that counts as saved.
    """
    run = system.ledger.opened(run_id)
    started = system.ledger.started(run_id)
    if started is None or system.ledger.outcome(run_id) is not None:
        raise LeaseLost(f"{run_id} is not running: it {'has ended' if started else 'never started'}")
    if record := whole(system, run, part):
        return record
    snapshot = _snapshot(system, run, part)
    progress = Progress(part, watch=watch)
    with job(system.settings), system.leases.hold(f"{run_id}/{part}", holder(system), along=[
            lease_of(system, run, started)], progress=progress.values) as check:
        if record := whole(system, run, part):  # saved by another between our look and our lease
            return record
        progress.check = check
        saved = standing_back(system.settings, lambda: _save(system, run, part, snapshot, progress))
        record = sealed(system, run_id, saved)
        check()
        system.ledger.save(run_id, record)
    if record.problem:
        raise DumpIncomplete(record.problem)
    return record


def holder(system: System) -> str:
    """The name of one try of a task: no two are the same, not even in one process."""
    return f"{system.host} {os.getpid()} {uuid4().hex[:8]}"


def whole(system: System, run: Run, part: str) -> PartRecord | None:
    """The record of a part that needs no more work, or None."""
    record = system.ledger.part(run.run_id, part)
    if record is None or record.problem or not _follows(system, run, record):
        return None
    return record if unchanged(system, run, record) else None


def unchanged(system: System, run: Run, record: PartRecord) -> bool:
    """Whether the objects in the store are the ones that the record was written for."""
    if not there(system, run.set_id, record.artifacts):
        return False
    for name, version in record.objects.items():
        entry = system.primary.stat(run.set_id.key(name))
        if entry is None or entry.version != version:
            return False
    return True


def give_up(system: System, run_id: str, part: str, error: BaseException) -> Failure:
    """Record that a part failed for good."""
    message = str(error) if isinstance(error, NightscanError) else f"{type(error).__name__}: {error}"
    failure = Failure(part, type(error).__name__, message, system.clock())
    system.ledger.fail(run_id, failure)
    return failure


def _follows(system: System, run: Run, record: PartRecord) -> bool:
    """Whether a part's files were listed after the snapshot that the set has in the end."""
    if record.component not in _FOLLOWS_SNAPSHOT:
        return True
    snapshot = system.ledger.snapshot(run.run_id)
    return snapshot is None or record.snapshot == snapshot.token


def _snapshot(system: System, run: Run, part: str) -> str | None:
    """The snapshot that this part's files have to follow; `Busy` until it is taken."""
    if run.component(part) not in _FOLLOWS_SNAPSHOT or "database" not in run.plan.components:
        return None
    snapshot = system.ledger.snapshot(run.run_id)
    if snapshot is not None:
        return snapshot.token
    if system.ledger.failure(run.run_id, "database"):
        return None  # no rows will be saved that could name a file
    raise Busy(f"{part} waits until the snapshot of the database is taken")


def _save(system: System, run: Run, part: str, snapshot: str | None, progress: Progress) -> PartRecord:
    component = system.component(run.component(part), archives=run.archives)
    started_at = system.clock()
    announced = _Announced(system, run, part, snapshot)
    shared = Shared(announce=announced, listing=announced.listing, base=base_of(system, run, part))
    artifacts, objects = list[Artifact](), {}
    with component.open(part, shared) as opened:
        progress.predicted_bytes = _predicted(component, part)
        for stream in opened.streams():
            artifact, version = _store(system, run, part, stream, progress)
            artifacts.append(artifact)
            objects[artifact.name] = version
        if isinstance(opened, Referring):
            artifacts += opened.refers()
        report, problem = _report(opened)
    return PartRecord(part, component.name, tuple(artifacts), report, started_at, system.clock(),
                      objects=objects, snapshot=announced.token, problem=problem)


def _store(system: System, run: Run, part: str, stream: PlainStream,
           progress: Progress) -> tuple[Artifact, str]:
    name = stream.name + system.codec.suffix
    plain = Tally(hashed=stream.hashed)
    progress.next_stream()
    progress.phase = "reading"
    with system.codec.encode(_checked(stream.chunks, progress), plain=plain) as chunks:
        stored = put_fenced(system.primary, run.set_id.key(name), chunks, progress.check)
    progress.phase = "reading back"
    read_back(system.primary, stored.key, sha256=stored.sha256, stored_bytes=stored.stored_bytes,
              seen=lambda _count: progress.check())
    return Artifact(name, run.component(part), part, plain.total_bytes, plain.sha256 if stream.hashed else "",
                    stored.stored_bytes, stored.sha256, BLOCK_BYTES, stored.prefixes), stored.version


def _checked(chunks: Chunks, progress: Progress) -> Chunks:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        progress.seen(total)
        yield chunk


def _report(opened: Dump) -> tuple[Report, str | None]:
    try:
        return opened.report(), None
    except DumpIncomplete as exc:  # what could be read is kept; the part does not count as whole
        return Report(fingerprint={}, notes=(str(exc),)), str(exc)


def _predicted(component: Component, part: str) -> int:
    try:
        return component.predicted_bytes(part)
    except NightscanError:
        return 0  # only the progress display misses it; opening will say what is wrong


class _Announced:
    """What a part shares with the others of its run: the snapshot's name, and the list of files."""

    def __init__(self, system: System, run: Run, part: str, token: str | None) -> None:
        self._system, self._run, self._part = system, run, part
        self.token = token

    def __call__(self) -> None:
        snapshot = Snapshot(self._system.clock(), uuid4().hex[:8])
        self._system.ledger.announce(self._run.run_id, snapshot)
        self.token = snapshot.token

    def listing(self, name: str,
                produce: Callable[[], Iterator[bytes]]) -> AbstractContextManager[Iterator[bytes]]:
        """A list belongs to the snapshot it follows: a second snapshot needs a second list."""
        return self._system.ledger.listing(self._run.run_id, f"{name}.{self.token or 'none'}", produce)
