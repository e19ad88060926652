"""A run as it is now, read from the ledger and the leases, whoever works on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

from nightscan_tasks.backup.opening import LEASE
from nightscan_tasks.cli.pictures import Phase, Picture, Work, running
from nightscan_tasks.errors import NightscanError, TransientError, WorkerVanished
from nightscan_tasks.ledger import RunState
from nightscan_tasks.system import System
from nightscan_tasks.wording import count

_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 300  # beyond the deadline for `reap` to settle a run, or for a store to answer again


def picture(system: System, state: RunState, told: dict[str, dict[str, Any]] | None = None) -> Picture:
    """A run's state, with the progress that its leases tell, or that was `told` directly."""
    run = state.run
    names = [name for part in run.parts for name in (part, *(f"{part}@{store}" for store in run.offsites))]
    works = tuple(_work(system, state, name, told or {}) for name in names)
    doing = f"started, {count(len(run.parts), 'part')}" if state.started or state.outcome else _waits(system)
    return Picture(f"{run.run_id}: {doing}", works, state.outcome)


def _waits(system: System) -> str:
    """Why a run has not started."""
    held = system.leases.look(LEASE)
    live = held is not None and held.live(system.clock())
    return f"waits until {held.beat.holder} has ended" if held and live else "about to start"


def follow(system: System, run_id: str, *, sleep: Callable[[float], None] = time.sleep) -> Iterator[Picture]:
    """Pictures of a run until it has ended; the last one has its outcome.

    A store that does not answer for a while is asked again. `WorkerVanished` when nobody settles a run
    long after its deadline.
    """
    misses = 0
    while True:
        try:
            state = system.ledger.state(run_id)
            misses = 0
        except TransientError:
            misses += 1
            if misses > _PATIENCE_SECONDS / _LOOK_SECONDS:
                raise
        else:
            yield picture(system, state)
            if state.outcome is not None:
                return
            _check_deadline(system, state)
        sleep(_LOOK_SECONDS)


def _check_deadline(system: System, state: RunState) -> None:
    if state.started is None:
        return
    latest = state.started.started_at + timedelta(seconds=state.run.deadline_seconds + _PATIENCE_SECONDS)
    if system.clock() > latest:
        raise WorkerVanished(f"{state.run.run_id} is past its deadline, and nobody settles it\n"
                             f"beat and a worker on nightscan.control do that: nightscan doctor")


def _work(system: System, state: RunState, name: str, told: dict[str, dict[str, Any]]) -> Work:
    part, _, store = name.partition("@")
    failure = state.failures.get(name)
    if failure is not None:
        return Work(name, Phase.FAILED, message=failure.message)
    if store and part in state.failures:
        return Work(name, Phase.FAILED, message=f"{part} failed, so there is nothing to copy")
    if done := _done(state, part, store):
        return done
    waiting = state.started is None or (store and part not in state.parts)
    if waiting or state.outcome:
        return Work(name, Phase.WAITING)
    if name in told:
        return running(name, told[name])
    return _leased(system, state, name)


def _done(state: RunState, part: str, store: str) -> Work | None:
    if store:
        copied = state.copies.get((part, store))
        return Work(f"{part}@{store}", Phase.DONE, stored_bytes=copied.stored_bytes) if copied else None
    record = state.parts.get(part)
    if record is None:
        return None
    return Work(part, Phase.DONE, plain_bytes=sum(each.plain_bytes for each in record.artifacts),
                stored_bytes=sum(each.stored_bytes for each in record.artifacts),
                elapsed_seconds=(record.finished_at - record.started_at).total_seconds())


def _leased(system: System, state: RunState, name: str) -> Work:
    held = None
    with suppress(NightscanError):  # a display that misses one look is still a display
        held = system.leases.look(f"{state.run.run_id}/{name}")
    if held is None or not held.live(system.clock()):
        return Work(name, Phase.WAITING)
    return running(name, held.beat.progress)
