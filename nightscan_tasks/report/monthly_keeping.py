"""Reports as they were made, in the primary store: `reports/2026-10.json`.

The ledger forgets after 400 days; these stay. One that is made again replaces the one before.
"""

from __future__ import annotations

from nightscan_tasks import wire
from nightscan_tasks.errors import AlreadyExists, ManifestInvalid, NotFound
from nightscan_tasks.report.monthly import Month, MonthlyReport
from nightscan_tasks.stores.base import Store

REPORTS = "reports"


class Shelf:
    """The reports that a store has."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, report: MonthlyReport) -> None:
        """Keep a report."""
        self._store.put(_key(report.month), [wire.encode(report)])

    def find(self, month: Month) -> MonthlyReport | None:
        """The report of a month; None where none was made, or it cannot be read."""
        try:
            with self._store.open(_key(month)) as chunks:
                return wire.decode(MonthlyReport, b"".join(map(bytes, chunks)), source=_key(month))
        except (NotFound, ManifestInvalid):
            return None

    def months(self) -> list[Month]:
        """The months there are reports of, the newest first."""
        found = []
        for entry in self._store.list(f"{REPORTS}/"):
            name, _, kind = entry.key.removeprefix(f"{REPORTS}/").partition(".")
            if kind == "json":
                try:
                    found.append(Month.parse(name))
                except ValueError:  # somebody's own file
                    continue
        return sorted(found, reverse=True)

    def claim(self, month: Month, channel: str) -> bool:
        """Whether the report of a month is to be sent to a channel by the caller: true once only."""
        try:
            self._store.put(_sent(month, channel), [b"\n"], if_absent=True)
        except AlreadyExists:
            return False
        return True

    def unclaim(self, month: Month, channel: str) -> None:
        """It was not taken: somebody may try again."""
        self._store.delete(_sent(month, channel))


def _key(month: Month) -> str:
    return f"{REPORTS}/{month}.json"


def _sent(month: Month, channel: str) -> str:
    return f"{REPORTS}/{month}.sent/{channel}"
