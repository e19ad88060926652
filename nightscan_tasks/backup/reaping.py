"""What is left over: runs that wait, work that was lost with a worker or a broker, runs past their time.

`reap` only decides; whoever calls it sends the work. It looks at the ledger alone, so it works the same
after the broker has lost everything.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from nightscan_tasks.backup.dumping import give_up
from nightscan_tasks.backup.opening import lease_of
from nightscan_tasks.backup.settling import unfinished
from nightscan_tasks.errors import LeaseLost, WorkerVanished
from nightscan_tasks.lease import AHEAD
from nightscan_tasks.ledger import RunState, Sent
from nightscan_tasks.system import System

_UNSEEN_AFTER = 5  # leases' lengths without any sign of life, before work is sent again


@dataclass(frozen=True)
class Todo:
    """What to do for one run: start it, do `work` of it again, or settle it."""

    run_id: str
    start: bool = False
    work: tuple[str, ...] = ()
    settle: bool = False
    final: bool = False


def reap(system: System) -> list[Todo]:
    """What every open run needs now, the oldest run first."""
    todos = []
    for run in system.ledger.open_runs(now=system.clock()):
        todo = _todo(system, system.ledger.state(run.run_id))
        if todo:
            todos.append(todo)
    return todos


def _todo(system: System, state: RunState) -> Todo | None:
    run = state.run
    now = system.clock()
    if state.started is None or state.started.started_at > now + AHEAD:
        return Todo(run.run_id, start=True)
    if now - state.started.started_at > timedelta(seconds=run.deadline_seconds):
        return Todo(run.run_id, settle=True, final=True)
    try:
        system.leases.renew(lease_of(system, run, state.started))
    except LeaseLost:
        return Todo(run.run_id, start=True)  # silent for too long; it waits for its turn like the others
    work = unfinished(system, state)
    if not work:
        return Todo(run.run_id, settle=True)
    lost = tuple(each for each in work if _lost(system, state, each))
    if not lost:
        return None
    under_way = any(_at_work(system, state, each) for each in work)
    return _again(system, state, lost, waiting={each for each in lost if under_way
                                                and not _begun(system, state, each)})


def _lost(system: System, state: RunState, work: str) -> bool:
    """Whether nobody is at it: its lease expired, or nobody took one long after it was sent."""
    now = system.clock()
    if _at_work(system, state, work):
        return False
    moments = [at for at in (state.run.opened_at, state.started and state.started.started_at,
                             state.sent and state.sent.sent_at) if at and at <= now + AHEAD]
    quiet = now - max(moments) if moments else timedelta.max  # all of it by a clock that was set back
    silent = timedelta(seconds=system.settings.lease_seconds)
    if _begun(system, state, work):
        return quiet > silent  # it was begun, and its worker is gone
    return quiet > (_UNSEEN_AFTER * silent if state.sent else silent)


def _at_work(system: System, state: RunState, work: str) -> bool:
    held = system.leases.look(f"{state.run.run_id}/{work}")
    return held is not None and held.live(system.clock())


def _begun(system: System, state: RunState, work: str) -> bool:
    """Whether somebody had it, and did not let go of it."""
    held = system.leases.look(f"{state.run.run_id}/{work}")
    return held is not None and not held.beat.released


def _again(system: System, state: RunState, lost: tuple[str, ...], *,
           waiting: Collection[str]) -> Todo:
    """Send lost work once more; give up what was lost so often before.

    What is `waiting` was never begun while other work of the run is under way, and may just wait for its
    turn, for hours behind large archives: it is sent again all the same, which counts for nothing.
    """
    before = state.sent or Sent(system.clock(), 0)
    vanished = [work for work in lost if work not in waiting] if state.sent else []
    hopeless = [work for work in vanished if before.vanished.get(work, 0) >= system.settings.retries]
    for work in hopeless:
        give_up(system, state.run.run_id, work, WorkerVanished(
            f"{work} was started {system.settings.retries + 1} times, and each time its worker vanished "
            f"without a word: look for the kernel's out-of-memory killer, or for a queue that nobody "
            f"consumes"))
    again = tuple(work for work in lost if work not in hopeless)
    if not again:
        return Todo(state.run.run_id, settle=True)
    counts = {work: before.vanished.get(work, 0) + 1 for work in again if work in vanished}
    system.ledger.send(state.run.run_id, Sent(system.clock(), before.times + 1,
                                              vanished={**before.vanished, **counts}))
    return Todo(state.run.run_id, work=again)
