"""Which set is meant, and from which store it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import NightscanError, NotFound, RestoreRefused, Untrusted
from nightscan_tasks.hosts import host_of
from nightscan_tasks.model import Manifest, SetId, Tier
from nightscan_tasks.system import PRIMARY, System

_LOOKED_AT = 20  # sets among which another is looked for: each costs a call of gpg


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
    host: str = ""
    """Whose user data is meant, where several hosts have some of their own; empty: this host's."""
    unsigned: bool = False
    """Whether a person answers for the set, whatever its signature is worth."""


def choose(system: System, choice: Choice, components: tuple[str, ...]) -> tuple[Catalog, Manifest]:
    """The set that is meant. `RestoreRefused` where it is incomplete in what is asked for.

    `Untrusted` where nobody who is trusted signed it: never another one instead, unless a person says so.
    """
    catalog = system.catalog(choice.store)
    older: list[Manifest] = []
    if choice.set_id is not None:
        manifest = catalog.get(choice.set_id)
    elif choice.tier is not None and (choice.before is not None or choice.index > 1):
        manifest = catalog.pick(tier=choice.tier, index=choice.index, before=choice.before)
    else:
        manifest, *older = _newest(catalog, choice, components)
    _require_signed(system, catalog, manifest, unsigned=choice.unsigned, instead=older)
    _refuse_partial(manifest, components, choice.host or system.settings.own_host)
    return catalog, manifest


def _newest(catalog: Catalog, choice: Choice, components: tuple[str, ...]) -> list[Manifest]:
    """The newest complete set that has what is asked for, and the older ones.

    A newer one of other components is no answer.
    """
    found = [manifest for manifest in catalog.sets(choice.tier)
             if manifest.complete and all(manifest.of(component) for component in components)
             and (choice.tier or manifest.set_id.tier is not Tier.PRE_RESTORE)
             and (choice.before is None or manifest.set_id.taken_at <= choice.before)]
    if len(found) >= choice.index:
        return found[choice.index - 1:]
    which = f"{choice.tier} " if choice.tier else ""
    when = f" from before {choice.before:%Y-%m-%d %H:%M} UTC" if choice.before else ""
    number = f" with index {choice.index}" if choice.index > 1 else ""
    raise NotFound(f"{catalog.store.name} ({catalog.store.url}) has no complete {which}set{when}{number} "
                   f"with {', '.join(components) or 'anything'}; `nightscan list` shows what there is")


def _refuse_partial(manifest: Manifest, components: tuple[str, ...], host: str) -> None:
    """A host that was down on that night does not keep another from its files."""
    failures = [each for each in manifest.failures if not host or host_of(each.part) in {"", host}]
    failed = {failure.part.partition(".")[0] for failure in failures}
    for component in components:
        if component in failed:
            reason = next(f.message for f in failures if f.part.partition(".")[0] == component)
            raise RestoreRefused(f"{manifest.set_id} is incomplete: its {component} failed ({reason}); "
                                 f"choose another set with --set, `nightscan list` shows them")
        if not manifest.of(component):
            raise RestoreRefused(f"{manifest.set_id} has no {component}; it has "
                                 f"{', '.join(manifest.components)}")


def _require_signed(system: System, catalog: Catalog, manifest: Manifest, *, unsigned: bool,
                    instead: Sequence[Manifest] = ()) -> None:
    """That a set may be used; `Untrusted` says why not, and which one of `instead`, or which copy, may."""
    try:
        system.signatures.require(catalog, manifest, unsigned=unsigned)
    except Untrusted as exc:
        raise Untrusted("\n".join([
            f"{exc}; nothing was changed", *_advice(system, catalog, manifest, instead),
            "if you know who made it: nightscan restore … --unsigned"])) from exc


def _advice(system: System, catalog: Catalog, manifest: Manifest,
            instead: Sequence[Manifest]) -> Iterator[str]:
    """Another copy of the same set that may be used, and the newest other set."""
    for store in system.stores:
        if store.url != catalog.store.url and _sound(system, Catalog(store), manifest.set_id):
            yield f"the copy in {store.name} is signed: --set {manifest.set_id} --from {store.name}"
            break
    for other in instead[:_LOOKED_AT]:
        if other.set_id != manifest.set_id and _sound(system, catalog, other.set_id):
            yield f"the newest set that is signed: --set {other.set_id}"
            break


def _sound(system: System, catalog: Catalog, set_id: SetId) -> bool:
    try:
        return system.signatures.standing(catalog, set_id).sound
    except NightscanError:
        return False
