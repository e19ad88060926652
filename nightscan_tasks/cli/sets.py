"""The sets of all stores as one list: what each store has of each set, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from nightscan_tasks.catalog import Broken, Catalog, Seen
from nightscan_tasks.cli.colours import critical, warning
from nightscan_tasks.cli.summary import referring
from nightscan_tasks.errors import NightscanError, NotFound
from nightscan_tasks.ledger import Hold, Trust, Verified
from nightscan_tasks.model import Manifest, SetId, Tier
from nightscan_tasks.signatures import Seal, Standing
from nightscan_tasks.system import System
from nightscan_tasks.wording import ago, encryption


@dataclass(frozen=True)
class Listed:
    """One set: its manifest where any store's can be read, and by store what was found."""

    set_id: SetId
    manifest: Manifest | None
    stores: tuple[str, ...]
    broken: tuple[tuple[str, str], ...] = ()
    verified: tuple[Verified, ...] = ()
    index: int | None = None
    signatures: tuple[tuple[str, Standing], ...] = ()
    """By store: whether it is signed, and, if that was asked, what the signature is worth."""
    holds: tuple[Hold, ...] = ()
    trust: Trust | None = None

    @property
    def state(self) -> str:
        """In one word; what is not good is in capitals."""
        if self.manifest is None:
            return "BROKEN"
        if any(each.problems for each in self.verified):
            return "DAMAGED"
        if not self.manifest.complete:
            return "INCOMPLETE"
        return "SUSPICIOUS" if self.suspicious else "complete"

    @property
    def suspicious(self) -> tuple[str, ...]:
        """Why it is suspicious; nothing once a person trusts it."""
        return self.manifest.suspicious if self.manifest and not self.trust else ()

    def as_json(self) -> dict[str, object]:
        """The keys that `list --json` promises."""
        manifest = self.manifest
        return {
            "set_id": str(self.set_id), "tier": self.set_id.tier.value, "index": self.index,
            "taken_at": self.set_id.taken_at.isoformat(), "state": self.state.lower(),
            "components": list(manifest.components) if manifest else [],
            "plain_bytes": manifest.plain_bytes if manifest else None,
            "stored_bytes": manifest.stored_bytes if manifest else None,
            "own_bytes": manifest.own_bytes if manifest else None,
            "needs": sorted(map(str, manifest.needs)) if manifest else [],
            "encrypted_for": manifest.encrypted_for if manifest else None,
            "tag": manifest.tag if manifest else None, "stores": list(self.stores),
            "signatures": {store: standing.seal.value for store, standing in self.signatures},
            "verified": {each.store: {"at": each.verified_at.isoformat(), "problems": list(each.problems)}
                         for each in self.verified},
            "failures": list(manifest.failures) if manifest else [],
            "broken": dict(self.broken), "holds": list(self.holds), "trust": self.trust,
            "suspicious": list(manifest.suspicious) if manifest else [],
        }


@dataclass(frozen=True)
class Listing:
    """All sets, the newest first, and the stores that could not be read."""

    sets: tuple[Listed, ...]
    stores: tuple[tuple[str, str], ...]
    unread: tuple[tuple[str, str], ...] = ()


@dataclass
class _Found:
    manifests: dict[str, Manifest] = field(default_factory=dict)
    signatures: dict[str, Standing] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


def collect(system: System, *, stores: Sequence[str] = (), tier: Tier | None = None,
            check: bool = False) -> Listing:
    """The sets of the stores that are named, or of all. A store that fails hides no other.

    `check` has gpg look at each signature; without it is only told whether there is one.
    """
    chosen = [store for store in system.stores if not stores or store.name in stores]
    found: dict[SetId, _Found] = {}
    unread = []
    for store in chosen:
        try:
            catalog = system.catalog(store.name)
            for seen in catalog.seen(tier):
                noted = found.setdefault(seen.entry.set_id, _Found())
                _note(noted, store.name, seen.entry)
                noted.signatures[store.name] = _standing(system, catalog, seen, check=check)
        except NightscanError as exc:
            unread.append((store.name, str(exc)))
    holds, trusted = _decisions(system)
    listed = [replace(_listed(system, set_id, found[set_id]), holds=tuple(holds.get(set_id, ())),
                      trust=trusted.get(set_id))
              for set_id in sorted(found, key=lambda each: (each.taken_at, each.tier), reverse=True)]
    return Listing(_indexed(listed), tuple((store.name, store.url) for store in chosen), tuple(unread))


def remarks(listed: Listed, *, now: datetime) -> list[str]:
    """What is said of a set below its line; the sound parts first."""
    said = []
    manifest = listed.manifest
    if manifest:
        tag = f"tag {manifest.tag}; " if manifest.tag else ""
        said.append(f"{tag}{' '.join(manifest.components)}")
        said.append(f"in {' and '.join(listed.stores)}; {_verification(listed, now)}; "
                    f"{encryption(manifest.encrypted_for)}; {_signature(listed)}")
        said += [referring(manifest)] if manifest.needs else []
        said += [critical("failed") + f": {failure.part}: {failure.message}" for failure in manifest.failures]
        said += [warning("SUSPICIOUS") + f": {reason}" for reason in listed.suspicious]
    said += [str(listed.trust)] if listed.trust else []
    said += [str(hold) for hold in listed.holds if hold.live(now)]
    said += [critical("DAMAGED") + f" in {each.store}: {problem}"
             for each in listed.verified for problem in each.problems]
    said += [critical("BROKEN") + f" in {store}: {problem}" for store, problem in listed.broken]
    return said


def _signature(listed: Listed) -> str:
    """In a word where all stores agree."""
    said = {store: str(standing) for store, standing in listed.signatures if store in listed.stores}
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return ", ".join(f"{words} in {store}" for store, words in said.items())


def _verification(listed: Listed, now: datetime) -> str:
    sound = [each for each in listed.verified if not each.problems]
    if not sound:
        return "not verified"
    oldest = min(each.verified_at for each in sound)
    missing = set(listed.stores) - {each.store for each in listed.verified}
    but = f", not in {' '.join(sorted(missing))}" if missing else ""
    return f"verified {ago(oldest, now)}{but}"


def _standing(system: System, catalog: Catalog, seen: Seen, *, check: bool) -> Standing:
    if check and isinstance(seen.entry, Manifest):
        with suppress(NotFound):  # removed since it was listed
            return system.signatures.standing(catalog, seen.entry.set_id)
    return Standing(Seal.UNCHECKED if seen.signed else Seal.MISSING)


def _note(found: _Found, store: str, entry: Manifest | Broken) -> None:
    if isinstance(entry, Broken):
        found.broken[store] = entry.problem
    else:
        found.manifests[store] = entry


def _listed(system: System, set_id: SetId, found: _Found) -> Listed:
    manifest = next(iter(found.manifests.values()), None)
    verified: tuple[Verified, ...] = ()
    if manifest:
        told = (_verified(system, manifest.run_id, store) for store in found.manifests)
        verified = tuple(each for each in told if each)
    return Listed(set_id, manifest, tuple(found.manifests), tuple(found.broken.items()), verified,
                  signatures=tuple(found.signatures.items()))


def _verified(system: System, run_id: str, store: str) -> Verified | None:
    try:
        return system.ledger.verified(run_id, store)
    except NightscanError:
        return None  # the ledger may be gone with its store; the set is no worse for it


def _decisions(system: System) -> tuple[dict[SetId, list[Hold]], dict[SetId, Trust]]:
    """What people decided, by set; nothing where the ledger is gone with its store."""
    holds: dict[SetId, list[Hold]] = {}
    try:
        for hold in system.ledger.decisions.holds():
            holds.setdefault(hold.set_id, []).append(hold)
        return holds, system.ledger.decisions.trusted()
    except NightscanError:
        return {}, {}


def _indexed(listed: Sequence[Listed]) -> tuple[Listed, ...]:
    """Number the complete sets of each tier, the newest 1, as `restore --index` counts them."""
    counts: dict[Tier, int] = {}
    numbered = []
    for each in listed:
        if each.manifest and each.manifest.complete:
            counts[each.set_id.tier] = counts.get(each.set_id.tier, 0) + 1
            numbered.append(replace(each, index=counts[each.set_id.tier]))
        else:
            numbered.append(each)
    return tuple(numbered)
