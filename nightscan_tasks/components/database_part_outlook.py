"""What the restore of a part of a database would meet: asked of the live one, and of the fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from pydantic import SecretStr

from nightscan_tasks.components.database_selection import (
    Name,
    Relation,
    Selection,
    closure,
    outside,
    parse,
    relations,
)
from nightscan_tasks.components.postgres import Connection, connect, explained, where
from nightscan_tasks.components.restorer import Outlook
from nightscan_tasks.errors import RestoreRefused, SourceRefused
from nightscan_tasks.model import Json
from nightscan_tasks.wording import size

_BYTES = "SELECT coalesce(sum(pg_total_relation_size(o)), 0)::bigint FROM unnest(%s::oid[]) AS o"


@dataclass(frozen=True)
class _Part:
    """What was named, as far as it is known before the dump is read."""

    chosen: Mapping[Name, Relation]
    named: frozenset[Name]
    saved: frozenset[Name]

    def problems(self, connection: Connection) -> tuple[str, ...]:
        """What depends on the part and was not saved, or cannot be moved."""
        tables = [each for each in self.chosen.values() if each.kind in "rp"]
        unsaved = [str(each) for each in tables if each.kind == "r" and each.name not in self.saved]
        found = [f"{', '.join(unsaved)} is not in the backup"] if unsaved else []
        found += outside(connection, [each.oid for each in self.chosen.values()])
        return tuple(f"{line}: drop it first and make it again afterwards, or restore the whole database"
                     for line in found)

    def notes(self) -> tuple[str, ...]:
        """What comes along, and what is made anew."""
        along = [str(each) for name, each in self.chosen.items() if name not in self.named]
        anew = [str(name) for name in sorted(self.named) if name not in self.chosen]
        return (*([f"come along, because they depend on it: {', '.join(along)}"] if along else []),
                *([f"made anew, because it is not there: {', '.join(anew)}"] if anew else []))


def part_outlook(dsn: SecretStr, selection: Selection, fingerprint: Mapping[str, Json]) -> Outlook:
    """Which tables would be replaced, and which come along; views are known only of the live database."""
    place = where(dsn)
    try:
        with connect(dsn) as connection, explained(place):
            return _outlook(connection, selection, _saved(fingerprint), place)
    except SourceRefused as exc:
        problem = f"a part can only be put into a database that is there: {exc}; restore the whole database"
        return Outlook(place, problems=(problem,))


def _outlook(connection: Connection, selection: Selection, saved: frozenset[Name], place: str) -> Outlook:
    there = relations(connection)
    try:
        named = frozenset(selection.among({*there, *saved}))
    except RestoreRefused as exc:
        return Outlook(place, problems=(str(exc),))
    part = _Part(closure(connection, named), named, saved)
    oids = [each.oid for each in part.chosen.values()]
    row = connection.execute(_BYTES, (oids,)).fetchone()
    outlook = Outlook(place, problems=part.problems(connection), notes=part.notes())
    if not oids or row is None:
        return outlook
    names = ", ".join(map(str, part.chosen))
    return replace(outlook, replaces=f"{place}: {names}; {size(row[0])}", replaced_bytes=row[0])


def _saved(fingerprint: Mapping[str, Json]) -> frozenset[Name]:
    labels = {**cast("dict[str, Json]", fingerprint.get("tables") or {}),
              **cast("dict[str, Json]", fingerprint.get("materialized_views") or {})}
    return frozenset(map(parse, labels))
