"""A run as it is now, read from the ledger and the leases, whoever works on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from nightscan_tasks.cli.pictures import Picture
from nightscan_tasks.errors import TransientError, WorkerVanished
from nightscan_tasks.ledger import RunState
from nightscan_tasks.system import System
from nightscan_tasks.watch.running import see_run
from nightscan_tasks.wording import count

_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 300  # beyond the deadline for `reap` to settle a run, or for a store to answer again


def picture(system: System, state: RunState, told: dict[str, dict[str, Any]] | None = None) -> Picture:
    """A run's state, with the progress that its leases tell, or that was `told` directly."""
    seen = see_run(system, state, told)
    doing = seen.waits_for or f"started, {count(len(state.run.parts), 'part')}"
    return Picture(f"{seen.run_id}: {doing}", seen.works, state.outcome)


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
