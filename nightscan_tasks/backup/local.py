"""A whole run from this process, with no broker: the same steps, as many parts at a time as settings say.

Parts share this process, each in a thread, where there is little to do. Large user data is archived by
processes of their own: there the interpreter is what threads would wait for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TypeVar

from nightscan_tasks.apart import Apart, Tell, side_by_side
from nightscan_tasks.audit import Doing
from nightscan_tasks.backup.basing import known_in
from nightscan_tasks.backup.copying import upload
from nightscan_tasks.backup.dumping import dump, give_up, unchanged
from nightscan_tasks.backup.opening import Request, open_run, start
from nightscan_tasks.backup.settling import settle
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.components.files import FileComponent
from nightscan_tasks.errors import Busy, NightscanError
from nightscan_tasks.ledger import Outcome, Run
from nightscan_tasks.model import Json
from nightscan_tasks.settings import Settings
from nightscan_tasks.system import PRIMARY, System
from nightscan_tasks.verification import verify_set

T = TypeVar("T")
Watch = Callable[[dict[str, Json]], None]

_USER_DATA = "user_data"
# Beginning a process takes 0.4 s of a processor: what threads take longer for by waiting for each other.
_LARGE_BYTES = 200 << 20
_MANY_FILES = 10_000
_FIRST_PAUSE_SECONDS = 0.03  # as for the database's snapshot, which is taken in a moment


def run_local(system: System, request: Request, *, watch: Watch | None = None,
              sleep: Callable[[float], None] = time.sleep) -> Outcome:
    """Take a set here and now, verify it in every store, and tell how it ended.

    Waits while another run has the lease. Joins a run of the same kind by doing what is left of it.
    `watch` is told how far each part is, from several threads.
    """
    began = system.clock()
    run = _patiently(lambda: open_run(system, request), sleep).run
    _patiently(lambda: start(system, run), sleep)
    _save(system, run, watch, sleep)
    outcome = settle(system, run.run_id, final=True)
    if outcome is None:
        raise Busy(f"{run.run_id} is not settled: another process is at work on it")
    for store in outcome.stores:
        catalog = Catalog(system.store(store))
        just_read = _read_back_since(system, run, began) if store == PRIMARY else frozenset[str]()
        system.ledger.verify(run.run_id, verify_set(
            catalog, catalog.get(run.set_id), clock=system.clock, signatures=system.signatures,
            known=known_in(system, catalog.store), just_read=just_read))
    return outcome


def _read_back_since(system: System, run: Run, began: datetime) -> frozenset[str]:
    """What was written, and read back from the primary store, since then, and nobody has touched again.

    To read it once more, a moment later, would tell nothing new.
    """
    records = system.ledger.state(run.run_id).parts.values()
    return frozenset(name for record in records if record.started_at >= began
                     and unchanged(system, run, record) for name in record.objects)


def _save(system: System, run: Run, watch: Watch | None, sleep: Callable[[float], None]) -> None:
    """Every part, saved or given up. They begin in the run's order: files wait for the snapshot."""
    crew = _Crew(system, run, watch, sleep)
    apart = is_worth_processes(system, run)
    works = [partial(crew.save_apart if apart and run.component(part) == _USER_DATA else crew.save, part)
             for part in run.parts]
    errors = side_by_side(works, threads=system.settings.jobs, stop=crew.stop)
    crew.tell()
    for error in errors:
        raise error


def is_worth_processes(system: System, run: Run) -> bool:
    """Whether user data is so much that processes of their own are begun for its archives.

    Never for a system that another process cannot have: one with a clock, or a record, of its own. Of a set
    that refers to an earlier one, little is read.
    """
    parts = [part for part in run.parts if run.component(part) == _USER_DATA]
    if min(len(parts), system.settings.jobs) <= 1 or not system.portable or run.base is not None:
        return False
    component = system.component(_USER_DATA)
    try:
        return isinstance(component, FileComponent) and _is_large(component)
    except OSError:
        return False  # whoever archives it will say what is wrong


def _is_large(component: FileComponent) -> bool:
    files = content_bytes = 0
    for found in component.found():
        if found.kind == "f" and found.status is not None:
            files, content_bytes = files + 1, content_bytes + found.status.st_size
        if content_bytes > _LARGE_BYTES or files > _MANY_FILES:
            return True
    return False


class _Crew:
    """Saves the parts of one run, several at a time."""

    def __init__(self, system: System, run: Run, watch: Watch | None, sleep: Callable[[float], None]) -> None:
        self._system, self._run, self._watch, self._sleep = system, run, watch, sleep
        self._others: list[Apart] = []
        self._untold: list[tuple[str, NightscanError]] = []

    def save(self, part: str) -> None:
        """Save a part, and copy it; what goes wrong is on record, or will be by `tell`."""
        try:
            _try(self._system, self._run, part, self._watch, self._sleep)
        except NightscanError as exc:
            self._untold.append((part, exc))

    def tell(self) -> None:
        """Record what could not be recorded at once: on a full disk, while others went on to fill it."""
        for part, error in self._untold:
            give_up(self._system, self._run.run_id, part, error)

    def save_apart(self, part: str) -> None:
        """The same in a process of its own. One that is killed is worth another try."""
        try:
            _again(self._system, partial(self._apart, part), self._sleep)
        except NightscanError as exc:
            self._untold.append((part, exc))

    def stop(self) -> None:
        """End the processes of their own."""
        for other in list(self._others):
            other.end()

    def _apart(self, part: str) -> None:
        system = self._system
        with Apart(_save_here, system.settings, system.doing, self._run.run_id, part) as other:
            self._others.append(other)
            other.result(self._watch)


def _save_here(tell: Tell, settings: Settings, doing: Doing, run_id: str, part: str) -> None:
    system = System(settings, doing=doing)
    _try(system, system.ledger.opened(run_id), part, tell, time.sleep)


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
    """Wait for as long as somebody else is at it; ever longer between two looks, up to a second."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return action()
        except Busy:
            sleep(pause)
            pause = min(2 * pause, 1.0)
