"""Where restores are recorded, and who may restore what: in the primary store, if it is not what was lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from nightscan_tasks.errors import Busy, NightscanError, NotFound, RestoreRefused
from nightscan_tasks.lease import Held, Leases
from nightscan_tasks.ledger.restore_records import Place, RestoreState
from nightscan_tasks.ledger.restores import Restores
from nightscan_tasks.stores.build import build_store
from nightscan_tasks.system import System

LOCAL_FOLDER = ".nightscan_restores"
RESTORING = "restoring"


@dataclass(frozen=True)
class Journal:
    """Records and leases of restores in one store; `note` says so where it is not the primary."""

    restores: Restores
    leases: Leases
    note: str | None = None


def open_journal(system: System) -> Journal:
    """The journal in the primary store, or below `NIGHTSCAN_ROOT` while that does not answer."""
    try:
        system.primary.probe()
    except NightscanError as exc:
        folder = system.settings.root / LOCAL_FOLDER
        return _local(system, f"the primary store cannot be written ({exc}); this restore is recorded in "
                              f"{folder}")
    return Journal(system.restores, system.leases)


def journals(system: System) -> Iterator[Journal]:
    """Every journal there may be, that of the primary store first."""
    yield Journal(system.restores, system.leases)
    if _is_there(system.settings.root / LOCAL_FOLDER):
        yield _local(system, None)


def _is_there(folder: Path) -> bool:
    """Whether there is a folder; who may not look there restores nothing there either."""
    try:
        return folder.is_dir()
    except PermissionError:
        return False


def find(system: System, run_id: str) -> tuple[Journal, RestoreState]:
    """A restore by its id, wherever it is recorded; NotFound where it is in no journal."""
    problems = []
    for journal in journals(system):
        try:
            return journal, journal.restores.state(run_id)
        except NightscanError as exc:
            problems.append(str(exc))
    raise NotFound("\n".join(problems))


@contextmanager
def holding(journal: Journal, place: Place, run_id: str, host: str) -> Iterator[None]:
    """Be the only restore at a place. `RestoreRefused` names another; one whose process died is no other."""
    resource, holder = resource_of(place), f"{run_id} {host} {os.getpid()} {_born(os.getpid())}"
    _bury(journal.leases, resource, host)
    try:
        held = journal.leases.acquire(resource, holder)
    except Busy:
        raise RestoreRefused(_taken(journal.leases, resource)) from None
    try:
        with journal.leases.kept([held], dict):
            yield
    finally:
        journal.leases.release(held)


def resource_of(place: Place) -> str:
    """The name of a place's lease."""
    if place.live:
        return f"{RESTORING}/live"
    where = f"{place.database}\n{place.redis}\n{place.root}"
    return f"{RESTORING}/{sha256(where.encode()).hexdigest()[:16]}"


def abandoned(leases: Leases, place: Place, host: str) -> bool:
    """Whether nobody works at a place any more, as far as this host can tell.

    Who let go, and who died here, does not. What runs elsewhere may only be slow, or cut off from the
    store: that is for a person to say.
    """
    held = leases.look(resource_of(place))
    return held is None or held.beat.released or _dead(held, host)


def _taken(leases: Leases, resource: str) -> str:
    held = leases.look(resource)
    if held is None:
        return "another restore began here at this very moment; see `nightscan status`"
    run_id, *_ = held.beat.holder.split()
    return (f"{run_id} is restoring to the same place; nothing was changed: wait for its end, or, if it died "
            f"on another host, until {held.beat.expires_at:%H:%M:%S} UTC")


def _bury(leases: Leases, resource: str, host: str) -> None:
    """Forget the lease of a process of this host that is no more: nobody need wait for its expiry."""
    held = leases.look(resource)
    if held is not None and not held.beat.released and _dead(held, host):
        leases.forget(f"{resource}/")


def _dead(held: Held, host: str) -> bool:
    """Whether a lease's holder was a process of this host that is no more."""
    _, *facts = held.beat.holder.split()
    return len(facts) == 3 and facts[0] == host and _born(int(facts[1])) != facts[2]  # noqa: PLR2004 - host, pid, birth


def _born(pid: int) -> str:
    """When a process was started, in the kernel's ticks; empty where there is none of that id."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _local(system: System, note: str | None) -> Journal:
    store = build_store("local", str(system.settings.root / LOCAL_FOLDER), system.settings)
    return Journal(Restores(store), Leases(store, system.clock, seconds=system.settings.lease_seconds), note)
