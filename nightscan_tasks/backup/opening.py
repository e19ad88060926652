"""A run is opened in the ledger, waits for the lease, and starts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from nightscan_tasks.backup.basing import find_base
from nightscan_tasks.errors import AlreadyExists, Busy, LeaseLost
from nightscan_tasks.hosts import host_of
from nightscan_tasks.lease import AHEAD, Held
from nightscan_tasks.ledger import Run, Started
from nightscan_tasks.model import Plan, SetId, Tier
from nightscan_tasks.system import System

LEASE = "backup"
_MUTEX = "opening"


@dataclass(frozen=True)
class Request:
    """What somebody wants saved. Two requests that are equal are one run while it lasts."""

    plan: Plan
    tag: str | None = None
    rehash: bool = False
    """Whether files that seem not to have changed since an earlier set are read all the same."""


@dataclass(frozen=True)
class Opened:
    """The run that answers a request; `joined` when it was there before."""

    run: Run
    joined: bool


def open_run(system: System, request: Request) -> Opened:
    """Open a run, or join the one that is doing, or going to do, the same. `Busy`: ask again at once."""
    mutex = system.leases.acquire(_MUTEX, f"{system.host} {system.clock().timestamp()}")
    try:
        for run in system.ledger.open_runs(now=system.clock()):
            if Request(run.plan, run.tag, run.rehash) == request:
                return Opened(run, joined=True)
        return Opened(_open(system, request), joined=False)
    finally:
        system.leases.release(mutex)


def start(system: System, run: Run) -> Started:
    """Take the lease for a run and record it; `Busy` while another run has it, or an older one waits.

    Starting what has started changes nothing, so it can be repeated after a crash. A run that lost its
    lease, because it was silent for too long, waits like one that never had it, and keeps what it saved.
    """
    started = system.ledger.started(run.run_id)
    if started and holds(system, run, started):
        return _in_time(system, run, started)
    waiting = [other for other in system.ledger.open_runs(now=system.clock())
               if not _under_way(system, other)]
    if waiting and waiting[0].run_id != run.run_id:
        raise Busy(f"{run.run_id} waits behind {waiting[0].run_id}")
    held = system.leases.acquire(LEASE, run.run_id)
    started = Started(system.clock(), held.token)
    system.ledger.start(run.run_id, started)
    return started


def _in_time(system: System, run: Run, started: Started) -> Started:
    """A start in the future was recorded by a clock that has been set back: it counts from now on."""
    now = system.clock()
    if started.started_at <= now + AHEAD:
        return started
    started = Started(now, started.token)
    system.ledger.start(run.run_id, started)
    return started


def holds(system: System, run: Run, started: Started) -> bool:
    """Whether nobody took the lease since the run got it."""
    try:
        system.leases.check(lease_of(system, run, started))
    except LeaseLost:
        return False
    return True


def lease_of(system: System, run: Run, started: Started) -> Held:
    """The lease that a started run holds, or held."""
    return system.leases.held(LEASE, started.token, run.run_id)


def parts_of(system: System, plan: Plan) -> tuple[str, ...]:
    """All parts of a plan, in the order in which one process would dump them.

    What a restore is about to replace is this host's alone.
    """
    parts = (part for component in plan.components for part in system.component(component).parts())
    if plan.tier is not Tier.PRE_RESTORE:
        return tuple(parts)
    return tuple(part for part in parts if host_of(part) in {"", system.settings.own_host})


def _under_way(system: System, run: Run) -> bool:
    started = system.ledger.started(run.run_id)
    return started is not None and holds(system, run, started)


def _open(system: System, request: Request) -> Run:
    now = system.clock()
    while True:
        run = _run(system, request, now)
        try:
            system.ledger.open(run)
        except AlreadyExists:  # a run of this tier in this very second: the next second is free
            now += timedelta(seconds=1)
        else:
            return run


def _run(system: System, request: Request, now: datetime) -> Run:
    set_id = SetId.at(request.plan.tier, now)
    return Run(
        run_id=set_id.run_id, set_id=set_id, plan=request.plan, tag=request.tag,
        parts=parts_of(system, request.plan), archives=system.settings.user_data_archives,
        offsites=tuple(store.name for store in system.offsites), opened_at=system.clock(),
        deadline_seconds=system.settings.deadline_seconds, host=system.host,
        base=find_base(system, request.plan), rehash=request.rehash)
