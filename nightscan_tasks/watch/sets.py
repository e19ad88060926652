"""The sets there are, and the stores that have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from nightscan_tasks.catalog import Broken, Catalog, Seen
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.ledger import Verified
from nightscan_tasks.model import Manifest, SetId
from nightscan_tasks.rotation.gathering import held
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import System
from nightscan_tasks.watch.overview import ComponentSeen, CopySeen, SetSeen

S = TypeVar("S")
T = TypeVar("T")
_READERS = 8  # small files of a bucket: what costs is the way there and back


@dataclass(frozen=True)
class Shelf:
    """The ids of a store's sets, or why they are not known."""

    store: Store
    ids: frozenset[SetId] = frozenset()
    problem: str = ""


def see_sets(system: System) -> tuple[tuple[SetSeen, ...], tuple[Shelf, ...]]:
    """Every set that any store has, the newest first, and what each store has."""
    primary, shelves = _shelves(system)
    found: dict[SetId, Seen] = {each.entry.set_id: each for each in primary}
    for shelf in shelves:
        missing = sorted(shelf.ids - found.keys())
        found |= {each.entry.set_id: each for each in side_by_side(partial(_read, shelf.store), missing)}
    copies = _copies(system, found, shelves)
    holds, trusted = held(system), frozenset(system.ledger.decisions.trusted())
    order = sorted(found, key=lambda set_id: (set_id.taken_at, set_id.tier), reverse=True)
    return tuple(_seen(found[set_id], copies[set_id], holds.get(set_id, ""), trusted=set_id in trusted)
                 for set_id in order), shelves


def side_by_side(read: Callable[[S], T], of: Iterable[S]) -> list[T]:
    """Many small reads at once, in their order."""
    wanted = list(of)
    if len(wanted) <= 1:
        return [read(each) for each in wanted]
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(read, wanted))


def _shelves(system: System) -> tuple[list[Seen], tuple[Shelf, ...]]:
    """The primary's manifests, and the ids of every store: a listing, which costs the same for any number."""
    primary = system.catalog().seen()
    shelves = [Shelf(system.primary, frozenset(each.entry.set_id for each in primary))]
    for store in system.offsites:
        try:
            shelves.append(Shelf(store, frozenset(Catalog(store).ids())))
        except NightscanError as exc:
            shelves.append(Shelf(store, problem=str(exc).partition("\n")[0]))
    return primary, tuple(shelves)


def _read(store: Store, set_id: SetId) -> Seen:
    """A set that the primary store has no more."""
    try:
        data = Catalog(store).raw(set_id)
        return Seen(Catalog(store).parse(set_id, data), signed=False)
    except NightscanError as exc:
        return Seen(Broken(set_id, str(exc)), signed=False)


def _copies(system: System, found: Mapping[SetId, Seen],
            shelves: Sequence[Shelf]) -> dict[SetId, tuple[CopySeen, ...]]:
    wanted = [(set_id, shelf.store) for set_id in found for shelf in shelves if set_id in shelf.ids]
    copies: dict[SetId, tuple[CopySeen, ...]] = dict.fromkeys(found, ())
    read = side_by_side(lambda each: system.ledger.verified(each[0].run_id, each[1].name), wanted)
    for (set_id, store), verified in zip(wanted, read, strict=True):
        copies[set_id] += (_copy(store, verified),)
    return copies


def _copy(store: Store, verified: Verified | None) -> CopySeen:
    """A reading counts for the place that was read, not for whatever has its name now."""
    if verified is None or verified.url != store.url:
        return CopySeen(store.name)
    return CopySeen(store.name, verified.verified_at, verified.problems)


def _seen(seen: Seen, copies: tuple[CopySeen, ...], hold: str, *, trusted: bool) -> SetSeen:
    entry = seen.entry
    if not isinstance(entry, Manifest):
        return SetSeen(entry.set_id, complete=False, components={}, copies=copies, trusted=trusted, held=hold,
                       problem=entry.problem)
    components = {name: ComponentSeen(sum(each.plain_bytes for each in entry.of(name)),
                                      sum(each.stored_bytes for each in entry.of(name) if not each.set_id))
                  for name in entry.components}
    return SetSeen(entry.set_id, entry.complete, components, copies, encrypted=bool(entry.encrypted_for),
                   signed=seen.signed, suspicious=entry.suspicious, trusted=trusted, held=hold,
                   settled_at=entry.settled_at)
