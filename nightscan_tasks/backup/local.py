"""A whole run in this process, with no broker: the same steps, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from nightscan_tasks.backup.basing import known_in
from nightscan_tasks.backup.copying import upload
from nightscan_tasks.backup.dumping import dump, give_up
from nightscan_tasks.backup.opening import Request, open_run, start
from nightscan_tasks.backup.settling import settle
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import Busy, NightscanError
from nightscan_tasks.ledger import Outcome, Run
from nightscan_tasks.model import Json
from nightscan_tasks.system import System
from nightscan_tasks.verification import verify_set

T = TypeVar("T")
Watch = Callable[[dict[str, Json]], None]


def run_local(system: System, request: Request, *, watch: Watch | None = None,
              sleep: Callable[[float], None] = time.sleep) -> Outcome:
    """Take a set here and now, verify it in every store, and tell how it ended.

    Waits while another run has the lease. Joins a run of the same kind by doing what is left of it.
    """
    run = _patiently(lambda: open_run(system, request), sleep).run
    _patiently(lambda: start(system, run), sleep)
    for part in run.parts:
        _try(system, run, part, watch, sleep)
    outcome = settle(system, run.run_id, final=True)
    if outcome is None:
        raise Busy(f"{run.run_id} is not settled: another process is at work on it")
    for store in outcome.stores:
        catalog = Catalog(system.store(store))
        known = known_in(system, catalog.store)
        system.ledger.verify(run.run_id, verify_set(catalog, catalog.get(run.set_id), clock=system.clock,
                                                    signatures=system.signatures, known=known))
    return outcome


def _try(system: System, run: Run, part: str, watch: Watch | None, sleep: Callable[[float], None]) -> None:
    try:
        _again(system, lambda: dump(system, run.run_id, part, watch=watch), sleep)
    except NightscanError as exc:
        give_up(system, run.run_id, part, exc)
        return
    for store in run.offsites:
        copying = partial(upload, system, run.run_id, part, store, watch=watch)
        try:
            _again(system, copying, sleep)
        except NightscanError as exc:
            give_up(system, run.run_id, f"{part}@{store}", exc)


def _again(system: System, action: Callable[[], object], sleep: Callable[[float], None]) -> None:
    """Repeat what is worth it, after a growing pause, as often as the settings say."""
    for tries in range(system.settings.retries + 1):
        try:
            _patiently(action, sleep)
        except NightscanError as exc:
            if not exc.transient or tries == system.settings.retries:
                raise
            sleep(system.settings.retry_seconds * 2**tries)
        else:
            return


def _patiently(action: Callable[[], T], sleep: Callable[[float], None]) -> T:
    """Wait for as long as somebody else is at it."""
    while True:
        try:
            return action()
        except Busy:
            sleep(1)
