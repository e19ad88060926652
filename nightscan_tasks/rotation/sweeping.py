"""What crashed writes and dead runs left behind, and records that nobody needs any more: taken away."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import StoreRefused
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import MANIFEST_NAME, Keep, Manifest, SetId, Tier
from nightscan_tasks.rotation.gathering import needs
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import System

_LEDGER_DAYS = 400


def sweep(system: System, store: Store, keep: Mapping[Tier, Keep] | None = None) -> list[str]:
    """Remove what crashed writes and dead runs left behind, and say what it was.

    Only what is older than any run may last, and belongs to no open run, is rubbish. A set that was
    published here, and whose time by `keep` has not come, has lost its manifest: a scrub brings that back.
    """
    now = system.clock()
    before = now - timedelta(seconds=2 * system.settings.deadline_seconds)
    swept = list(store.sweep(before))
    busy = {run.set_id for run in system.ledger.open_runs(now=now)} | _needed(system, store)
    for set_id, keys in _leftovers(store, before).items():
        spared = set_id in busy or _is_due(system, store, set_id, (keep or {}).get(set_id.tier, Keep()))
        for key in keys if not spared else ():
            with suppress(StoreRefused):  # locked in the bucket: a later sweep takes it
                store.delete(key)
                swept.append(key)
    return swept


def _needed(system: System, store: Store) -> set[SetId]:
    """The sets in whose folders archives of other sets lie, whether they have a manifest or not."""
    entries = Catalog(store).entries()
    needed = {set_id for entry in entries if isinstance(entry, Manifest) for set_id in entry.needs}
    return needed.union(*needs(system, entries).values())


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


def _is_due(system: System, store: Store, set_id: SetId, rule: Keep) -> bool:
    """Whether the store should have the set: published there, and rotation has no reason to take it."""
    outcome = system.ledger.outcome(set_id.run_id)
    published = outcome is not None and outcome.ending is not Ending.FAILED and store.name in outcome.stores
    return published and not rule.expired(set_id.taken_at, now=system.clock())


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
