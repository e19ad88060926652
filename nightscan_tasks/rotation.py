"""Rotation and sweeping, done: what `retention` decided is removed, and rubbish that crashes left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.model import MANIFEST_NAME, Keep, SetId, Tier
from nightscan_tasks.retention import Evidence, Rotation, plan_rotation
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import System

RESTORE_LEASES = "leases/restore"
_LEDGER_DAYS = 400


def plan(system: System, store: Store, keep: Mapping[Tier, Keep]) -> Rotation:
    """The rotation of one store as it would be done now."""
    catalog = Catalog(store)
    sets = catalog.sets()
    verified = (system.ledger.verified(manifest.run_id, store.name) for manifest in sets)
    evidence = Evidence(
        verified=frozenset(each.set_id for each in verified
                           if each and each.url == store.url and not each.problems),
        reading=_reading(system),
        last_seen=max((manifest.settled_at for manifest in sets), default=None))
    return plan_rotation(sets, store=store.name, keep=keep, evidence=evidence, now=system.clock())


def rotate(system: System, store: Store, keep: Mapping[Tier, Keep]) -> Rotation:
    """Remove what is past its time from one store, each set's manifest first."""
    rotation = plan(system, store, keep)
    for set_id in rotation.remove:
        Catalog(store).delete(set_id)
    return rotation


def sweep(system: System, store: Store) -> list[str]:
    """Remove what crashed writes and dead runs left behind, and say what it was.

    Only what is older than any run may last, and belongs to no open run, is rubbish.
    """
    now = system.clock()
    before = now - timedelta(seconds=2 * system.settings.deadline_seconds)
    swept = list(store.sweep(before))
    busy = {run.set_id for run in system.ledger.open_runs(now=now)}
    for set_id, keys in _leftovers(store, before).items():
        if set_id not in busy:
            for key in keys:
                store.delete(key)
            swept += keys
    return swept


def forget_old_runs(system: System) -> list[str]:
    """Remove ledger records of runs that were settled long ago and whose sets are gone."""
    before = system.clock() - timedelta(days=_LEDGER_DAYS)
    there = {manifest.run_id for store in system.stores for manifest in Catalog(store).sets()}
    forgotten = []
    for run_id in system.ledger.run_ids():
        outcome = system.ledger.outcome(run_id)
        if outcome and outcome.settled_at < before and run_id not in there:
            system.ledger.remove(run_id)
            forgotten.append(run_id)
    return forgotten


def _leftovers(store: Store, before: datetime) -> dict[SetId, list[str]]:
    """The files of sets that never got a manifest, all older than `before`."""
    found: dict[SetId, list[str]] = defaultdict(list)
    spared: set[SetId] = set()
    for tier in Tier:
        for entry in store.list(f"{tier}/"):
            folder, _, name = entry.key.rpartition("/")
            try:
                set_id = SetId.parse(folder)
            except ValueError:
                continue
            found[set_id].append(entry.key)
            if name == MANIFEST_NAME or entry.modified_at >= before:
                spared.add(set_id)
    return {set_id: keys for set_id, keys in found.items() if set_id not in spared}


def _reading(system: System) -> frozenset[SetId]:
    """The sets that restores hold leases on: `restore/<tier>/<stamp>/<run>`."""
    found = set()
    for entry in system.primary.list(f"{RESTORE_LEASES}/"):
        resource = entry.key.removeprefix("leases/").rpartition("/")[0]
        held = system.leases.look(resource)
        if held and held.live(system.clock()):
            found.add(SetId.parse("/".join(resource.split("/")[1:3])))
    return frozenset(found)
