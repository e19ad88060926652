"""What is known of a store's sets, read from the stores and the ledger: the evidence of a rotation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.ledger import Verified
from nightscan_tasks.model import Manifest, SetId
from nightscan_tasks.retention import Elsewhere, Evidence, Sighting, good_sets
from nightscan_tasks.retention.evidence import Entry
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import PRIMARY, System

RESTORE_LEASES = "leases/restore"
_STAMP = re.compile(r"\d{8}T\d{6}")


def gather(system: System, store: Store) -> tuple[list[Entry], Evidence]:
    """The sets of a store, and the evidence on them, now.

    Another store that cannot be read is evidence too: it is not known what it has.
    """
    entries = Catalog(store).entries()
    published = entries if store.name == PRIMARY else system.catalog().entries()
    trusted = frozenset(system.ledger.decisions.trusted())
    readings = _readings(system, store, entries)
    others = system.offsites if store.name == PRIMARY else (system.primary,)
    return entries, Evidence(
        verified=frozenset(each.set_id for each in readings if not each.problems),
        damaged=frozenset(each.set_id for each in readings if each.problems),
        reading=reading(system), holds=held(system), trusted=trusted, needs=needs(system, entries),
        elsewhere=tuple(_elsewhere(system, other, trusted) for other in others),
        published=tuple(published), look=system.ledger.looks.last(),
        latest=max(_sightings(system, (*entries, *published), readings, trusted),
                   key=lambda sighting: sighting.moment, default=None))


def needs(system: System, entries: Iterable[Entry] = ()) -> dict[SetId, frozenset[SetId]]:
    """In which earlier sets archives lie that runs under way refer to, or sets whose manifest is broken."""
    runs = [*system.ledger.open_runs(now=system.clock())]
    for entry in entries:
        if not isinstance(entry, Manifest):
            with suppress(NightscanError):  # the run is forgotten, or its record is broken too
                runs.append(system.ledger.opened(entry.set_id.run_id))
    found = {}
    for run in runs:
        if run.base is not None:
            found[run.set_id] = frozenset({run.base})
            with suppress(NightscanError):
                found[run.set_id] |= system.catalog().get(run.base).needs
    return found


def held(system: System, set_id: SetId | None = None) -> dict[SetId, str]:
    """The sets that somebody holds, of all or the one, and why, in words."""
    now = system.clock()
    return {hold.set_id: str(hold) for hold in system.ledger.decisions.holds(set_id) if hold.live(now)}


def reading(system: System) -> frozenset[SetId]:
    """The sets that restores hold leases on: `restore/<tier>/<stamp>/<run>`."""
    found = set()
    for entry in system.primary.list(f"{RESTORE_LEASES}/"):
        resource = entry.key.removeprefix("leases/").rpartition("/")[0]
        lease = system.leases.look(resource)
        if lease and lease.live(system.clock()):
            with suppress(ValueError):  # not a lease on a set
                found.add(SetId.parse("/".join(resource.split("/")[1:3])))
    return frozenset(found)


def _readings(system: System, store: Store, entries: Iterable[Entry]) -> list[Verified]:
    """What reading the sets back from this store found, and not from another that had its name."""
    found = (system.ledger.verified(entry.run_id, store.name) for entry in entries
             if isinstance(entry, Manifest))
    return [each for each in found if each and each.url == store.url]


def _elsewhere(system: System, store: Store, trusted: frozenset[SetId]) -> Elsewhere:
    try:
        entries = Catalog(store).entries()
    except NightscanError as exc:
        return Elsewhere(store.name, problem=str(exc).partition("\n")[0])
    verified = {each.set_id for each in _readings(system, store, entries) if not each.problems}
    return Elsewhere(store.name, good_sets(entries, verified=verified, trusted=trusted))


def _sightings(system: System, entries: Iterable[Entry], readings: Iterable[Verified],
               trusted: frozenset[SetId]) -> Iterator[Sighting]:
    """Moments that the stores and the ledger speak of, but for the sets that a person looked at."""
    known = {set_id.run_id for set_id in trusted}
    for entry in entries:
        if isinstance(entry, Manifest) and entry.set_id not in trusted:
            yield Sighting(entry.settled_at, f"the end of {entry.set_id}")
    for each in readings:
        if each.set_id not in trusted:
            yield Sighting(each.verified_at, f"the verification of {each.set_id}")
    for run_id in (*system.ledger.run_ids(), *system.restores.run_ids()):
        found = _STAMP.search(run_id)
        if run_id not in known and found:
            with suppress(ValueError):  # not a run's name
                moment = datetime.strptime(found[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
                yield Sighting(moment, f"the run {run_id}")
