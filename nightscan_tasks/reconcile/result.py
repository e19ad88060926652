"""What a reconciliation found and did."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass, field

from nightscan_tasks.components.entry import quoted
from nightscan_tasks.reconcile.planning import Counts
from nightscan_tasks.reconcile.searching import Source

FIRST = 20


@dataclass(frozen=True)
class Missing:
    """A file that a row names and that is not there; `source` is where it was found, empty if nowhere."""

    path: str
    source: str = ""


@dataclass(frozen=True)
class Reconciled:
    """Counts of all, names of the first. Paths are as in an index: odd bytes are `%XX`.

    `recoverable` missing files are in some set, `lost` ones in none that could be read. `fresh` files may
    belong to an upload that is under way. With `applied`, `fetched` and `quarantined` were done.
    """

    counts: Counts
    missing: int
    recoverable: int
    lost: int
    orphans: int
    orphan_bytes: int
    first_missing: tuple[Missing, ...] = ()
    first_lost: tuple[str, ...] = ()
    first_orphans: tuple[str, ...] = ()
    sources: dict[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    applied: bool = False
    fetched: int = 0
    quarantined: int = 0
    quarantine: str = ""

    @property
    def in_order(self) -> bool:
        """Whether nothing is left to do: nothing was found, or all of it was put right."""
        return not self.problems and self.fetched == self.missing and self.quarantined == self.orphans


def summarize(scratch: sqlite3.Connection, counts: Counts, sources: list[Source]) -> Reconciled:
    """What the scratch holds now, before anything is done."""
    # What is not sure to be ours, and no set has, is another's.
    gone = "FROM missing WHERE source IS NULL AND sure"
    foreign = _one(scratch, "SELECT count(*) FROM missing WHERE source IS NULL AND NOT sure")
    recoverable = _one(scratch, "SELECT count(*) FROM missing WHERE source IS NOT NULL")
    lost = _one(scratch, f"SELECT count(*) {gone}")
    by_set: Counter[str] = Counter()
    for number, count in scratch.execute("SELECT source, count(*) FROM missing WHERE source IS NOT NULL "
                                         "GROUP BY source ORDER BY source"):
        by_set[f"{sources[number].manifest.set_id}@{sources[number].catalog.store.name}"] += count
    first = scratch.execute("SELECT path, source FROM missing WHERE source IS NOT NULL ORDER BY path LIMIT ?",
                            (FIRST,)).fetchall()
    return Reconciled(
        counts=Counts(counts.rows, counts.foreign + foreign, counts.named - foreign, counts.found,
                      counts.files, counts.fresh),
        missing=recoverable + lost, recoverable=recoverable, lost=lost,
        orphans=_one(scratch, "SELECT count(*) FROM orphan"),
        orphan_bytes=_one(scratch, "SELECT coalesce(sum(bytes), 0) FROM orphan"),
        first_missing=tuple(Missing(quoted(path), str(sources[number].manifest.set_id))
                            for path, number in first),
        first_lost=_names(scratch, f"SELECT path {gone} ORDER BY path LIMIT ?"),
        first_orphans=_names(scratch, "SELECT path FROM orphan ORDER BY path LIMIT ?"),
        sources=dict(by_set))


def _names(scratch: sqlite3.Connection, query: str) -> tuple[str, ...]:
    return tuple(quoted(path) for (path,) in scratch.execute(query, (FIRST,)))


def _one(scratch: sqlite3.Connection, query: str) -> int:
    ((number,),) = scratch.execute(query).fetchall()
    return int(number)
