"""Rows against files against all sets: found first, and put right only if that is asked for."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path

from pydantic import SecretStr

from nightscan_tasks.components.exclusion import Exclusion
from nightscan_tasks.components.listing import Rules
from nightscan_tasks.components.postgres import Connection, connect, explained, where
from nightscan_tasks.components.problems import Problems
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.reconcile.columns import Column, find_columns, read_values
from nightscan_tasks.reconcile.fetching import Before, Fetching
from nightscan_tasks.reconcile.naming import Name, Namer, read_names
from nightscan_tasks.reconcile.planning import Counts, plan_reconcile
from nightscan_tasks.reconcile.quarantine import Quarantine
from nightscan_tasks.reconcile.result import Reconciled, summarize
from nightscan_tasks.reconcile.scratch import scratch
from nightscan_tasks.reconcile.searching import Saved, Search
from nightscan_tasks.reconcile.walking import find_files, real_place

HOUR = timedelta(hours=1)
_NS = 1_000_000_000


def _nothing(_step: str) -> None:
    return


@dataclass(frozen=True)
class Site:
    """What is reconciled: a database's columns, and folders below a root; live or restored for a drill.

    `aliases` are other names of the root that rows may begin with, such as that of the live one. Files
    below `exclude` are no orphans: no set saves them. Files younger than `grace` may be uploads whose rows
    are on their way.
    """

    dsn: SecretStr
    root: Path
    columns: tuple[Column, ...]
    aliases: tuple[Path, ...] = ()
    exclude: tuple[str, ...] = ()
    skip: frozenset[tuple[int, int]] = frozenset()
    grace: timedelta = HOUR
    temp_dir: Path | None = None

    @property
    def folders(self) -> frozenset[bytes]:
        """The folders that columns name."""
        return frozenset(os.fsencode(column.folder) for column in self.columns)


def reconcile(site: Site, saved: Saved, *, now: datetime, quarantine: Path | None = None,
              before: Before = _nothing) -> Reconciled:
    """Compare, and look for what is missing in the sets; with a `quarantine` also put it right.

    Then a missing file is fetched from the newest set that has it, and an orphan is moved. Nothing is
    written over, nothing deleted; cut off and repeated, it ends the same. `SettingsError` where a column
    is not there, `RestoreRefused` where rows and files have nothing to do with each other, `Busy` while
    another process puts files back.
    """
    with scratch(site.temp_dir) as comparison:
        counts = _compare(comparison, site, now)
        search = Search(comparison, saved)
        if comparison.execute("SELECT 1 FROM missing LIMIT 1").fetchone():
            search.locate()
        found = summarize(comparison, counts, search.sources)
        if quarantine is None:
            return replace(found, problems=tuple(search.problems))
        return _apply(comparison, site, saved, found, search, Quarantine(quarantine, now), before)


def _compare(comparison: sqlite3.Connection, site: Site, now: datetime) -> Counts:
    root = site.root.absolute()
    rules = Rules(Exclusion.of(site.exclude), follow=site.folders, skip=site.skip)
    with connect(site.dsn) as connection, explained(where(site.dsn)), connection.transaction():
        connection.execute("SET TRANSACTION READ ONLY")
        columns = find_columns(connection, site.columns)
        # The files come first: the rows are only read once `plan_reconcile` has seen them all.
        return plan_reconcile(
            comparison, chain.from_iterable(_names(connection, column, site) for column in columns),
            find_files(root, site.folders, rules),
            fresh_since_ns=int((now - site.grace).timestamp() * _NS) + 1,
            resolve=partial(real_place, root, site.folders))


def _names(connection: Connection, column: Column, site: Site) -> Iterator[Name | None]:
    roots = dict.fromkeys(os.fsencode(path) for root in (site.root, *site.aliases)
                          for path in (root.absolute(), root.resolve()))
    return read_names(read_values(connection, column), Namer(os.fsencode(column.folder), tuple(roots)))


def _apply(comparison: sqlite3.Connection, site: Site, saved: Saved, found: Reconciled, search: Search,
           quarantine: Quarantine, before: Before) -> Reconciled:
    if found.orphans and not found.counts.named:
        raise RestoreRefused(
            f"no row names any file, and {found.orphans} files are there: this is not the database of these "
            f"files; nothing was changed. Correct NIGHTSCAN_DATABASE_URI or NIGHTSCAN_RECONCILE")
    problems, root = Problems(), site.root.absolute()
    fetched = Fetching(comparison, root, site.folders, saved, before, problems).fetch(search)
    moved = quarantine.take(comparison, root, site.folders, before, problems)
    return replace(found, applied=True, fetched=fetched, quarantined=moved,
                   quarantine=str(quarantine.today) if moved else "",
                   problems=(*search.problems, *problems.notes))
