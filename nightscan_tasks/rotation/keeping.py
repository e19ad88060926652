"""What people say about sets: that one is to be kept, need not be any more, or is as it should be."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from nightscan_tasks.audit import Action
from nightscan_tasks.audit.actor import actor
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import ManifestInvalid, NightscanError, NotFound, StoreError
from nightscan_tasks.ledger import Hold, Look, Trust
from nightscan_tasks.ledger.holds import REMOVING
from nightscan_tasks.ledger.rotations import Rotations
from nightscan_tasks.model import MANIFEST_NAME, Manifest, SetId
from nightscan_tasks.retention.clock import TOLERANCE
from nightscan_tasks.system import System

_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Kept:
    """A hold, and the stores that have the set."""

    hold: Hold
    stores: tuple[str, ...]


def hold(system: System, set_id: SetId, *, why: str, until: datetime | None = None,
         sleep: Callable[[float], None] = time.sleep) -> Kept:
    """Keep a set in every store that has it, whatever its age; when this returns, no rotation removes it.

    One that is removing it at this very moment is waited for, and told: `NotFound` where the set is gone
    from every store then, or was in none.
    """
    _where(system, set_id)
    recorded = Hold(set_id, why, _who(system), system.clock(), until)
    system.audit.record(Action.HOLD, str(set_id), why=why, until=until.isoformat() if until else "")
    system.ledger.decisions.hold(recorded)
    while (lease := system.leases.look(f"{REMOVING}/{set_id}")) and lease.live(system.clock()):
        sleep(_LOOK_SECONDS)
    try:
        return Kept(recorded, _where(system, set_id))
    except NotFound:
        system.ledger.decisions.release(recorded)
        raise NotFound(f"{set_id} was being removed at this moment, and is gone from every store") from None


def release(system: System, set_id: SetId, *, why: str = "") -> list[Hold]:
    """Let rotation have a set again; the holds that kept it. `NotFound` where nobody holds it."""
    held = system.ledger.decisions.holds(set_id)
    if not held:
        raise NotFound(f"nobody holds {set_id}; `nightscan hold` lists what is held")
    system.audit.record(Action.RELEASE, str(set_id), why=why, held="; ".join(map(str, held)))
    for each in held:
        system.ledger.decisions.release(each)
    return held


def trust(system: System, set_id: SetId, *, why: str) -> Trust:
    """Say that a set that seems wrong is as it should be: it stops rotation no longer.

    Of a suspicious set: what it shrank to is the normal size from now on. Refused for a set that nothing
    is wrong with.
    """
    if not _seems_wrong(system, set_id):
        raise NightscanError(f"{set_id} is complete, of a normal size, and not from the future: there is "
                             f"nothing to trust it for")
    recorded = Trust(set_id, why, _who(system), system.clock())
    system.audit.record(Action.TRUST, str(set_id), why=why)
    system.ledger.decisions.trust(recorded)
    Rotations(system.primary).forget(system.stores)
    return recorded


def trust_clock(system: System, *, why: str) -> Look:
    """Say that the clock is right now: when rotation looked before is forgotten."""
    look = Look(system.clock())
    system.audit.record(Action.TRUST, "clock", why=why)
    system.ledger.looks.record(look)
    Rotations(system.primary).forget(system.stores)
    return look


def _where(system: System, set_id: SetId) -> tuple[str, ...]:
    """The stores that have a set; `NotFound` where none has, `StoreError` where that cannot be known."""
    found, problems = [], []
    for store in system.stores:
        try:
            if store.stat(set_id.key(MANIFEST_NAME)) is not None:
                found.append(store.name)
        except NightscanError as exc:
            problems.append(str(exc))
    if not found and problems:
        raise StoreError("\n".join(problems))
    if not found:
        raise NotFound(f"no store has {set_id}; `nightscan list` shows the sets there are")
    return tuple(found)


def _seems_wrong(system: System, set_id: SetId) -> bool:
    try:
        manifest: Manifest = Catalog(system.store(_where(system, set_id)[0])).get(set_id)
    except ManifestInvalid:
        return True
    return (not manifest.complete or bool(manifest.suspicious)
            or set_id.taken_at > system.clock() + TOLERANCE)


def _who(system: System) -> str:
    who = actor(system.doing)
    return f"{who.login or who.sudo_user or who.user}@{who.host}"
