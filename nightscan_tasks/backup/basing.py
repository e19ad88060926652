"""Which earlier set a run may refer to, instead of saving again what did not change since."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from nightscan_tasks.components.base import Base
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.ledger import Run, Verified
from nightscan_tasks.model import Artifact, Manifest, Plan, SetId
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import System
from nightscan_tasks.verification import Known

COMPONENT = "user_data"
_EARLY = timedelta(hours=1)  # nights begin a little later or earlier: the seventh after a full one is a week


def find_base(system: System, plan: Plan) -> SetId | None:
    """The set that a run of this plan refers to; None where all has to be saved in full."""
    if not _refers(system, plan):
        return None
    parts = frozenset(system.component(COMPONENT).parts())
    found = plan_base(_sound(system, plan), parts=parts, encrypted_for=system.settings.gpg_recipient or None,
                      interval_days=system.settings.full_interval_days, now=system.clock())
    return None if found is None else found.set_id


def plan_base(sets: Iterable[Manifest], *, parts: Collection[str], encrypted_for: str | None,
              interval_days: int, now: datetime) -> Manifest | None:
    """The first of `sets` that a new one may refer to.

    It is complete, its files are split into the same `parts` and encrypted for the same key, and none of the
    archives that it has, or refers to itself, is as old as `interval_days`, when all is saved in full again.
    """
    for manifest in sets:
        artifacts = manifest.of(COMPONENT)
        oldest = min(((each.set_id or manifest.set_id).taken_at for each in artifacts), default=None)
        if (manifest.complete and oldest is not None and {each.part for each in artifacts} == set(parts)
                and manifest.encrypted_for == encrypted_for
                and timedelta(0) <= now - oldest < timedelta(days=interval_days) - _EARLY):
            return manifest
    return None


def base_of(system: System, run: Run, part: str) -> Base | None:
    """What a part may refer to; None where neither this run nor a later one refers to anything."""
    if run.component(part) != COMPONENT or not _refers(system, run.plan):
        return None
    return Base(run.set_id, tuple(_artifacts(system, run, part)), rehash=run.rehash)


def there(system: System, listed_by: SetId, artifacts: Iterable[Artifact]) -> bool:
    """Whether what lies with earlier sets is in the primary store, in its full length."""
    for each in artifacts:
        if each.set_id is not None:
            entry = system.primary.stat(each.key(listed_by))
            if entry is None or entry.stored_bytes != each.stored_bytes:
                return False
    return True


def known_in(system: System, store: Store) -> Known:
    """What the last readings found in a store, and not in another that had its name."""
    def known(set_id: SetId) -> Verified | None:
        verified = system.ledger.verified(set_id.run_id, store.name)
        return verified if verified and verified.url == store.url else None

    return known


def _refers(system: System, plan: Plan) -> bool:
    return bool(plan.builds_on and system.settings.full_interval_days and COMPONENT in plan.components)


def _sound(system: System, plan: Plan) -> Iterator[Manifest]:
    """The sets of the tiers that a plan builds on, the newest first: those that may be used, and that no
    reading found damaged.
    """
    catalog = system.catalog()
    found = sorted((set_id for tier in plan.builds_on for set_id in catalog.ids(tier)),
                   key=lambda set_id: set_id.taken_at, reverse=True)
    for set_id in found:
        verified = system.ledger.verified(set_id.run_id, catalog.store.name)
        if verified and verified.problems:
            continue
        try:
            yield system.signatures.manifest(catalog, set_id)
        except NightscanError:  # broken, removed since, not signed: the next older one may do
            continue


def _artifacts(system: System, run: Run, part: str) -> Iterator[Artifact]:
    """A part's artifacts in the earlier set, each with the set in whose folder it lies; all, or none."""
    if run.base is None:
        return
    try:
        manifest = system.signatures.manifest(system.catalog(), run.base)
    except NightscanError:
        return
    found = [replace(each, set_id=each.set_id or run.base) for each in manifest.of(COMPONENT)
             if each.part == part]
    if there(system, run.set_id, found):
        yield from found
