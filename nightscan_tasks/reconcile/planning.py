"""Rows against files: what is missing, what nobody names, and what is left alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from nightscan_tasks.reconcile.naming import Name

_BATCH = 10_000
Resolve = Callable[[bytes], bytes | None]
"""Where, relative to the root, what is reached under a name really lies; None where nothing is."""


class There(NamedTuple):
    """Something below a folder: `f` file, `l` symlink; `changed_ns` is its newest time."""

    path: bytes
    kind: str
    content_bytes: int = 0
    changed_ns: int = 0
    inode: int = 0


@dataclass(frozen=True)
class Counts:
    """What was compared: `rows` have values, of which `foreign` name nothing of ours.

    `named` are the files that rows name, each once; `found` of them are there. `fresh` files are named by
    no row, but so young that their row may still be on its way.
    """

    rows: int
    foreign: int
    named: int
    found: int
    files: int
    fresh: int


def plan_reconcile(scratch: sqlite3.Connection, names: Iterable[Name | None], files: Iterable[There], *,
                   fresh_since_ns: int, resolve: Resolve) -> Counts:
    """Fill `missing` and `orphan` of the scratch. Decides only, but for what `resolve` looks at.

    List the files before the rows: then a file whose upload ended in between is named, and one that came
    in between is found by `resolve`.
    """
    scratch.executemany("INSERT OR REPLACE INTO there VALUES (?, ?, ?, ?, ?)", files)
    rows, foreign = _fill(scratch, names)
    _find_missing(scratch, resolve)
    fresh = _find_orphans(scratch, fresh_since_ns)
    named = _count(scratch, "SELECT count(*) FROM named")
    return Counts(rows=rows, foreign=foreign, named=named, fresh=fresh,
                  found=named - _count(scratch, "SELECT count(*) FROM missing"),
                  files=_count(scratch, "SELECT count(*) FROM there WHERE kind = 'f'"))


def _fill(scratch: sqlite3.Connection, names: Iterable[Name | None]) -> tuple[int, int]:
    """Every name once, sorted. First as they come: what is put in order one by one is read and written
    all over the disk.
    """
    rows = foreign = 0
    source = iter(names)
    while batch := list(islice(source, _BATCH)):
        ours = [name for name in batch if name]
        rows, foreign = rows + len(batch), foreign + len(batch) - len(ours)
        scratch.executemany("INSERT INTO value VALUES (?, ?)", [(name.paths[0], name.sure) for name in ours])
        scratch.executemany("INSERT INTO other VALUES (?, ?)",
                            [(name.paths[0], other) for name in ours for other in name.paths[1:]])
    scratch.execute("INSERT INTO named SELECT path, max(sure) FROM value GROUP BY path ORDER BY path")
    scratch.execute("INSERT INTO reading SELECT DISTINCT path, reading FROM other ORDER BY path, reading")
    scratch.execute("INSERT INTO held SELECT DISTINCT reading FROM reading ORDER BY reading")
    return rows, foreign


def _find_missing(scratch: sqlite3.Connection, resolve: Resolve) -> None:
    """Whatever has no file of its name is looked for in every reading, and through links."""
    unsettled = scratch.execute(
        "SELECT named.path, sure FROM named LEFT JOIN there ON there.path = named.path AND kind = 'f' "
        "WHERE there.path IS NULL ORDER BY named.path")
    for path, sure in unsettled:
        readings = [path, *(other for (other,) in scratch.execute(
            "SELECT reading FROM reading WHERE path = ?", (path,)))]
        real = next((found for each in readings if (found := resolve(each)) is not None), None)
        if real is None:
            scratch.execute("INSERT INTO missing (path, sure) VALUES (?, ?)", (path, sure))
        else:
            scratch.execute("INSERT OR IGNORE INTO held VALUES (?)", (real,))


def _find_orphans(scratch: sqlite3.Connection, fresh_since_ns: int) -> int:
    unnamed = ("FROM there WHERE kind = 'f' "
               "AND NOT EXISTS (SELECT 1 FROM named WHERE named.path = there.path) "
               "AND NOT EXISTS (SELECT 1 FROM held WHERE held.path = there.path)")
    scratch.execute("INSERT INTO orphan (path, bytes, changed_ns, inode) SELECT path, bytes, changed_ns, "
                    f"inode {unnamed} AND changed_ns < ?", (fresh_since_ns,))
    return _count(scratch, f"SELECT count(*) {unnamed} AND changed_ns >= ?", fresh_since_ns)


def _count(scratch: sqlite3.Connection, query: str, *values: int) -> int:
    ((number,),) = scratch.execute(query, values).fetchall()
    return int(number)
