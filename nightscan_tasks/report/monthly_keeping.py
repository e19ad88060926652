"""Reports as they were made, in the primary store: `reports/2026-10.json`.

The ledger forgets after 400 days; these stay. One that is made again replaces the one before.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from nightscan_tasks import wire
from nightscan_tasks.errors import ManifestInvalid, NotFound
from nightscan_tasks.report.monthly import Month, MonthlyReport
from nightscan_tasks.stores.base import Store

REPORTS = "reports"


@dataclass(frozen=True)
class Receipt:
    """That the report of a month was mailed to an address on an occasion; no address is written down."""

    month: Month
    address: str
    occasion: str = ""

    @property
    def key(self) -> str:
        """Its key in the store."""
        digest = hashlib.sha256(f"{self.address.lower()} {self.occasion}".encode()).hexdigest()
        return f"{REPORTS}/{self.month}.sent/{digest[:16]}"


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

    def has(self, receipt: Receipt) -> bool:
        """Whether that was mailed."""
        return self._store.stat(receipt.key) is not None

    def file(self, receipt: Receipt) -> None:
        """Remember that it was."""
        self._store.put(receipt.key, [b"\n"])


def _key(month: Month) -> str:
    return f"{REPORTS}/{month}.json"
