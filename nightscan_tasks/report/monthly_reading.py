"""What a report needs beside the overview, read from the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nightscan_tasks.errors import NotFound
from nightscan_tasks.ledger import Verified
from nightscan_tasks.ledger.restore_records import RestoreState
from nightscan_tasks.model import SetId
from nightscan_tasks.report.monthly import Month
from nightscan_tasks.system import System
from nightscan_tasks.watch.alert import Alert
from nightscan_tasks.watch.book import Book
from nightscan_tasks.watch.overview import Overview


@dataclass(frozen=True)
class Records:
    """Alerts that are open or over, restores, what was read back by run and store, and who trusts what.

    `alerts_known` is whether anybody ever looked for problems: without that, no incident means nothing.
    """

    alerts: tuple[Alert, ...] = ()
    alerts_known: bool = False
    restores: tuple[RestoreState, ...] = ()
    verified: Mapping[tuple[str, str], Verified] = field(default_factory=dict)
    trusted: frozenset[SetId] = frozenset()


def look_back(system: System, month: Month, overview: Overview) -> Records:
    """The records of one month; `StoreError` where the primary store does not answer."""
    zone = system.settings.zone
    book = Book(system.primary)
    page = book.page()
    alerts = (*page.alerts, *page.closed, *book.closed(since=month.begins_at(zone)))
    known = page.looked_at is not None or bool(alerts)
    verified = {(run.run_id, store.name): found for run in overview.runs if month.has(run.opened_at, zone)
                for store in system.stores
                if (found := system.ledger.verified(run.run_id, store.name)) is not None}
    return Records(tuple({(each.key, each.noticed_at): each for each in alerts}.values()), known,
                   tuple(_restores(system, month)), verified,
                   frozenset(system.ledger.decisions.trusted()))


def _restores(system: System, month: Month) -> list[RestoreState]:
    found = []
    for run_id in system.restores.run_ids():
        try:
            state = system.restores.state(run_id)
        except NotFound:  # killed while it was opened: it has changed nothing
            continue
        if month.has(state.run.opened_at, system.settings.zone):
            found.append(state)
    return found
