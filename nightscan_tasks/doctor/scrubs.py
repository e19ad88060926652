"""Whether every stored byte is read again in time, and whether damage stands that no store could mend."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.doctor.finding import Check, Finding, ok, warn
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.ledger.reads import Kind, Reads, Scrubbed
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import System
from nightscan_tasks.wording import ago, count


def scrubs(system: System) -> Iterator[Finding]:
    """One finding for each store that answers; of the others their own checks tell."""
    for store in system.stores:
        try:
            scrubbed = Reads(system.primary).scrubbed(store)
            yield _judged(system, scrubbed) if scrubbed else _never(system, store)
        except NightscanError:
            continue


def _judged(system: System, scrubbed: Scrubbed) -> Finding:
    name, now = f"scrub {scrubbed.store}", system.clock()
    damaged = [each.key for each in scrubbed.unsettled if each.kind is not Kind.MENDED]
    if damaged:
        return warn(name, f"{count(len(damaged), 'file')} damaged or unreadable, not mended: {damaged[0]}",
                    f"nightscan status says what they are; nightscan scrub --store {scrubbed.store} tries "
                    f"again; nightscan backup manual takes a new set")
    if scrubbed.problem:
        return warn(name, f"the last one ended early: {scrubbed.problem}", "nightscan scrub")
    late = timedelta(days=system.settings.scrub_days + 1)
    if scrubbed.oldest_at is None:
        return ok(name, "there is nothing to read")
    oldest = f"unread longest is {scrubbed.oldest_key}, last read {ago(scrubbed.oldest_at, now)}"
    if now - scrubbed.oldest_at > late:
        return warn(name, f"{oldest}; the last scrub was {ago(scrubbed.began_at, now)}",
                    "beat sends nightscan.scrub every night: see that it runs, and a worker on "
                    "nightscan.heavy")
    if scrubbed.behind:
        return warn(name, scrubbed.behind, "nightscan scrub --dry-run says what it takes")
    return ok(name, oldest)


def _never(system: System, store: Store) -> Finding:
    """Nobody reads what was just read back; later somebody has to."""
    name, now = f"scrub {store.name}", system.clock()
    oldest = min((set_id.taken_at for set_id in Catalog(store).ids()), default=now)
    if now - oldest > timedelta(days=system.settings.scrub_days + 1):
        return warn(name, f"never scrubbed, and the oldest set was taken {ago(oldest, now)}",
                    "nightscan scrub; beat sends nightscan.scrub every night: see that it runs")
    return ok(name, "nothing is due to be read again yet")


CHECKS = (Check("scrub", scrubs, seconds=30),)
