"""Where a set comes from: what a person should know of it before it is used."""

from __future__ import annotations

from collections.abc import Iterator

from nightscan_tasks.audit import Action
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import Manifest, SetId, Tier
from nightscan_tasks.restore.choosing import Choice
from nightscan_tasks.system import System
from nightscan_tasks.wording import ago


def origin(system: System, catalog: Catalog, manifest: Manifest, choice: Choice) -> tuple[str, ...]:
    """When and where a set was taken, who signed it, and whether a newer one is gone."""
    standing = system.signatures.standing(catalog, manifest.set_id)
    told = (f"{manifest.set_id} was taken {ago(manifest.set_id.taken_at, system.clock())} on "
            f"{manifest.host}; it is {standing}")
    newest = choice.set_id is None and choice.before is None and choice.index == 1
    return tuple(filter(None, (told, _newer_known(system, catalog, manifest, choice.tier) if newest else "")))


def record_unsigned(system: System, catalog: Catalog, manifest: Manifest, run_id: str) -> None:
    """Put on record that a set is used although it should have been signed and is not."""
    if system.signatures.wanted:
        standing = system.signatures.standing(catalog, manifest.set_id)
        if not standing.sound:
            system.audit.record(Action.UNSIGNED, str(manifest.set_id), run=run_id, store=catalog.store.url,
                                signature=str(standing))


def _newer_known(system: System, catalog: Catalog, manifest: Manifest, tier: Tier | None) -> str:
    """Whether the ledger knows of a newer good set than the newest that a store has; empty where not.

    Whoever can write to a store cannot sign, but can take away what is newer, so that old passes for new.
    """
    try:
        newer = _newest_good(system, manifest, tier)
    except NightscanError:  # the ledger is lost with its store, or damaged: nothing is known
        return ""
    return newer and (f"the ledger knows of {newer}, a newer good set, which {catalog.store.name} has not: "
                      f"somebody removed it; `nightscan list` shows which store has it")


def _newest_good(system: System, manifest: Manifest, tier: Tier | None) -> str:
    for set_id in _newer(system, manifest.set_id, tier):
        run_id = f"{set_id.tier}-{str(set_id).partition('/')[2]}"
        outcome = system.ledger.outcome(run_id)
        if (outcome and outcome.ending in {Ending.GOOD, Ending.DEGRADED}
                and set(manifest.components) <= set(system.ledger.opened(run_id).plan.components)):
            return str(set_id)
    return ""


def _newer(system: System, than: SetId, tier: Tier | None) -> Iterator[SetId]:
    for run_id in reversed(system.ledger.run_ids()):
        try:
            set_id = SetId.parse(run_id.replace("-", "/", 1))
        except ValueError:
            continue
        fits = set_id.tier is tier if tier else set_id.tier is not Tier.PRE_RESTORE
        if fits and set_id.taken_at > than.taken_at:
            yield set_id
