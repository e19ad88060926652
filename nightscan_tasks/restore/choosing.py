"""Which set is meant, and from which store it is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import NotFound, RestoreRefused
from nightscan_tasks.model import Manifest, SetId, Tier
from nightscan_tasks.system import PRIMARY, System


@dataclass(frozen=True)
class Choice:
    """How a person names a set: by its id, or by tier and index (1 is the newest), or before a time.

    With nothing given: the newest complete set of any tier but `pre_restore`, which holds what somebody
    wanted to be rid of: a set of that tier has to be asked for.
    """

    set_id: SetId | None = None
    tier: Tier | None = None
    index: int = 1
    before: datetime | None = None
    store: str = PRIMARY


def choose(system: System, choice: Choice, components: tuple[str, ...]) -> tuple[Catalog, Manifest]:
    """The set that is meant. `RestoreRefused` where it is incomplete in what is asked for."""
    catalog = system.catalog(choice.store)
    if choice.set_id is not None:
        manifest = catalog.get(choice.set_id)
    elif choice.tier is not None and (choice.before is not None or choice.index > 1):
        manifest = catalog.pick(tier=choice.tier, index=choice.index, before=choice.before)
    else:
        manifest = _newest(catalog, choice, components)
    _refuse_partial(manifest, components)
    return catalog, manifest


def _newest(catalog: Catalog, choice: Choice, components: tuple[str, ...]) -> Manifest:
    """The newest complete set that has what is asked for: a newer one of other components is no answer."""
    found = [manifest for manifest in catalog.sets(choice.tier)
             if manifest.complete and all(manifest.of(component) for component in components)
             and (choice.tier or manifest.set_id.tier is not Tier.PRE_RESTORE)
             and (choice.before is None or manifest.set_id.taken_at <= choice.before)]
    if len(found) >= choice.index:
        return found[choice.index - 1]
    which = f"{choice.tier} " if choice.tier else ""
    when = f" from before {choice.before:%Y-%m-%d %H:%M} UTC" if choice.before else ""
    number = f" with index {choice.index}" if choice.index > 1 else ""
    raise NotFound(f"{catalog.store.name} ({catalog.store.url}) has no complete {which}set{when}{number} "
                   f"with {', '.join(components) or 'anything'}; `nightscan list` shows what there is")


def _refuse_partial(manifest: Manifest, components: tuple[str, ...]) -> None:
    failed = {failure.part.partition(".")[0] for failure in manifest.failures}
    for component in components:
        if component in failed:
            reason = next(f.message for f in manifest.failures if f.part.partition(".")[0] == component)
            raise RestoreRefused(f"{manifest.set_id} is incomplete: its {component} failed ({reason}); "
                                 f"choose another set with --set, `nightscan list` shows them")
        if not manifest.of(component):
            raise RestoreRefused(f"{manifest.set_id} has no {component}; it has "
                                 f"{', '.join(manifest.components)}")
