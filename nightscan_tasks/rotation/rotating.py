"""A rotation: planned, looked at again before each set, and done, the manifest of a set first."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from nightscan_tasks.audit import Action
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import AlreadyExists, Busy, NotFound, StoreRefused
from nightscan_tasks.ledger.holds import REMOVING
from nightscan_tasks.ledger.rotations import Rotated, Rotations
from nightscan_tasks.model import MANIFEST_NAME, Keep, SetId, Tier
from nightscan_tasks.retention import Evidence, Policy, Rotation, plan_look, plan_rotation
from nightscan_tasks.retention.evidence import Entry
from nightscan_tasks.rotation.gathering import gather, held, needs, reading
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import System

_LEASE = "rotation"


def plan(system: System, store: Store, keep: Mapping[Tier, Keep]) -> Rotation:
    """The rotation of one store as it would be done now."""
    entries, evidence = gather(system, store)
    look = plan_look(evidence.look, now=system.clock())
    return _planned(system, store, keep, entries, replace(evidence, look=look))


def rotate(system: System, store: Store, keep: Mapping[Tier, Keep]) -> Rotation:
    """Remove what is past its time from one store, and tell what went and why the rest stayed.

    Holds and restores are looked at again right before each set goes. A set that the store refuses to
    let go stays whole, and keeps no other. Each deletion is recorded before it is done. `Busy` while
    another rotation is at work: two that rely on each other's copies would remove both.
    """
    holder = f"rotation on {system.host} {secrets.token_hex(4)}"
    with system.leases.hold(_LEASE, holder) as still_ours:
        entries, evidence = gather(system, store)
        look = plan_look(evidence.look, now=system.clock())
        if look != evidence.look:
            system.ledger.looks.record(look)
        done = _planned(system, store, keep, entries, replace(evidence, look=look))
        for set_id in done.remove:
            still_ours()
            spared = _remove(system, store, set_id, holder=holder, why=done.reason(set_id))
            done = done.spared(set_id, spared) if spared else done
        _remember(system, store, done)
        return done


def _remember(system: System, store: Store, done: Rotation) -> None:
    """Keep what was found, for those who look; since when nothing goes does not change by looking again."""
    rotations, now = Rotations(system.primary), system.clock()
    before = rotations.last(store)
    stands = before is not None and (bool(before.held), set(before.frozen)) == (bool(done.held),
                                                                               set(map(str, done.frozen)))
    since = before.since if before is not None and stands else now
    rotations.record(Rotated(
        store.name, store.url, now, done.held or "",
        {str(tier): why for tier, why in done.frozen.items()}, done.remove, len(done.keep),
        since if done.held or done.frozen else None))


def _planned(system: System, store: Store, keep: Mapping[Tier, Keep], entries: list[Entry],
             evidence: Evidence) -> Rotation:
    policy, now = Policy(keep, system.settings.minimum_good), system.clock()
    first = plan_rotation(entries, store=store.name, policy=policy, evidence=evidence, now=now)
    locked = {set_id: until for set_id in first.remove if (until := _locked_until(store, set_id))}
    if not locked:
        return first
    return plan_rotation(entries, store=store.name, policy=policy, now=now,
                         evidence=replace(evidence, locked=locked))


def _locked_until(store: Store, set_id: SetId) -> datetime | None:
    """Until when any object of a set is locked: all are asked before the first goes."""
    return max((until for entry in list(store.list(f"{set_id}/"))
                if (until := store.locked_until(entry.key))), default=None)


def _remove(system: System, store: Store, set_id: SetId, *, holder: str, why: str) -> str | None:
    """Remove a set, or say why it stays after all.

    The lease tells whoever holds the set at this moment to wait for how this ends (`keeping.hold`).
    """
    try:
        lease = system.leases.acquire(f"{REMOVING}/{set_id}", holder)
    except Busy as exc:
        return str(exc)
    try:
        if words := held(system, set_id).get(set_id):
            return words
        if set_id in reading(system):
            return "a restore has begun to read it"
        if run := next((run for run, earlier in needs(system).items() if set_id in earlier), None):
            return f"archives of {run} lie in it"
        system.audit.record(Action.DELETE, str(set_id), store=store.name, url=store.url, why=why)
        if not lease.live(system.clock()):
            return "its removal took too long to begin; the next rotation decides anew"
        return _deleted(system, store, set_id)
    finally:
        system.leases.forget(f"{REMOVING}/{set_id}/")


def _deleted(system: System, store: Store, set_id: SetId) -> str | None:
    """Delete a set, or put its manifest back and say why it stays, where the store refuses."""
    catalog, key = Catalog(store), set_id.key(MANIFEST_NAME)
    try:
        manifest = catalog.raw(set_id)
    except NotFound:
        return None  # gone meanwhile
    before = {entry.key for entry in store.list(f"{set_id}/")}
    try:
        catalog.delete(set_id)
    except StoreRefused as exc:
        system.audit.record(Action.DELETE, str(set_id), store=store.name, refused=str(exc))
        lost = before - {entry.key for entry in store.list(f"{set_id}/")}
        if not lost or (lost == {key} and _put_back(store, key, manifest)):
            return f"kept: the store refuses to delete it: {exc}"
        # No set any more, only what a sweep takes once the store lets it.
        return f"the store refused in the middle of its removal, what is left is swept later: {exc}"
    return None


def _put_back(store: Store, key: str, manifest: bytes) -> bool:
    """Whether the manifest is back, and the set with it."""
    try:
        store.put(key, [manifest], if_absent=True)
    except AlreadyExists:
        return True
    except StoreRefused:  # who may remove need not be one who may write
        return False
    return True
