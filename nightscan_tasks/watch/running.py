"""A run as it is now, read from the ledger and the leases, whoever works on it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from nightscan_tasks.backup.opening import LEASE
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.ledger import RunState
from nightscan_tasks.system import System
from nightscan_tasks.watch.under_way import Phase, RunningSeen, WorkSeen


def see_run(system: System, state: RunState,
            told: Mapping[str, Mapping[str, Any]] | None = None) -> RunningSeen:
    """A run's state, with the progress that its leases tell, or that was `told` directly."""
    run, started = state.run, state.started
    names = [name for part in run.parts for name in (part, *(f"{part}@{store}" for store in run.offsites))]
    return RunningSeen(
        run.run_id, run.set_id, started.started_at if started else None,
        started.started_at + timedelta(seconds=run.deadline_seconds) if started else None,
        tuple(_work(system, state, name, told or {}) for name in names),
        "" if started or state.outcome else _waits(system))


def work_seen(name: str, progress: Mapping[str, Any]) -> WorkSeen:
    """A piece of work under way, from what it says of itself: a lease's progress, or a task's."""
    return WorkSeen(name, Phase.RUNNING, doing=str(progress.get("phase", "starting")),
                    done_bytes=_number(progress.get("bytes")), of_bytes=_number(progress.get("of_bytes")),
                    bytes_per_second=_number(progress.get("bytes_per_second")))


def _waits(system: System) -> str:
    """Why a run has not started."""
    held = system.leases.look(LEASE)
    live = held is not None and held.live(system.clock())
    return f"waits until {held.beat.holder} has ended" if held and live else "about to start"


def _work(system: System, state: RunState, name: str, told: Mapping[str, Mapping[str, Any]]) -> WorkSeen:
    part, _, store = name.partition("@")
    failure = state.failures.get(name)
    if failure is not None:
        return WorkSeen(name, Phase.FAILED, message=failure.message)
    if store and part in state.failures:
        return WorkSeen(name, Phase.FAILED, message=f"{part} failed, so there is nothing to copy")
    if done := _done(state, part, store):
        return done
    waiting = state.started is None or (store and part not in state.parts)
    if waiting or state.outcome:
        return WorkSeen(name, Phase.WAITING)
    if name in told:
        return work_seen(name, told[name])
    return _leased(system, state, name)


def _done(state: RunState, part: str, store: str) -> WorkSeen | None:
    if store:
        copied = state.copies.get((part, store))
        return WorkSeen(f"{part}@{store}", Phase.DONE, stored_bytes=copied.stored_bytes) if copied else None
    record = state.parts.get(part)
    if record is None:
        return None
    return WorkSeen(part, Phase.DONE, plain_bytes=sum(each.plain_bytes for each in record.artifacts),
                    stored_bytes=sum(each.stored_bytes for each in record.artifacts),
                    elapsed_seconds=(record.finished_at - record.started_at).total_seconds())


def _leased(system: System, state: RunState, name: str) -> WorkSeen:
    held = None
    with suppress(NightscanError):  # a display that misses one look is still a display
        held = system.leases.look(f"{state.run.run_id}/{name}")
    if held is None or not held.live(system.clock()):
        return WorkSeen(name, Phase.WAITING)
    return work_seen(name, held.beat.progress)


def _number(value: object) -> int:
    return int(value) if isinstance(value, (int, float)) else 0
