"""Whether the database has the tables that a set recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nightscan_tasks.components.database_fingerprint import outline_database
from nightscan_tasks.components.postgres import connect, explained, where
from nightscan_tasks.doctor.finding import Finding, fail, ok, warn
from nightscan_tasks.health.sets import Newest
from nightscan_tasks.model import Json, Manifest
from nightscan_tasks.system import System
from nightscan_tasks.wording import count

_NAMED = 5
_RELATIONS = {"tables": "table", "materialized_views": "materialized view"}


@dataclass(frozen=True)
class Difference:
    """What of a recorded schema is missing, what is further, and which other objects are fewer."""

    missing: tuple[str, ...] = ()
    further: tuple[str, ...] = ()
    fewer: tuple[str, ...] = ()


def compare(expected: Mapping[str, Json], found: Mapping[str, Json]) -> Difference:
    """A fingerprint, as a manifest has it, against the outline of a database.

    Tables and materialized views are compared by name, everything else by its number.
    """
    missing: list[str] = []
    further: list[str] = []
    fewer: list[str] = []
    for key, noun in _RELATIONS.items():
        was, now = _names(expected.get(key)), _names(found.get(key))
        missing += [f"{noun} {name}" for name in sorted(was - now)]
        further += [f"{noun} {name}" for name in sorted(now - was)]
    before, after = _counts(expected), _counts(found)
    for kind in sorted({*before, *after}):
        was_count, now_count = before.get(kind, 0), after.get(kind, 0)
        if now_count != was_count:
            said = f"{now_count} {kind.replace('_', ' ')} instead of {was_count}"
            (fewer if now_count < was_count else further).append(said)
    return Difference(tuple(missing), tuple(further), tuple(fewer))


def matches(system: System, *, manifest: Manifest | None, newest: Newest) -> Iterator[Finding]:
    """Whether every table of the set is there; what is further is newer than the set, and said."""
    compared = manifest or newest.of("database")
    if compared is None or "database" not in compared.components:
        yield ok("schema", "not compared: no complete set has a database")
        return
    dsn = system.settings.dsn
    with connect(dsn) as connection, explained(where(dsn)):
        found = outline_database(connection)
    yield _judge(compared, compare(compared.components["database"].fingerprint, found),
                 tables=len(_names(found["tables"])))


def _judge(manifest: Manifest, difference: Difference, *, tables: int) -> Finding:
    if difference.missing:
        return fail("schema", f"{manifest.set_id} has what is not there: {_shown(difference.missing)}",
                    f"nightscan restore database --set {manifest.set_id}, unless it was removed on purpose")
    if difference.fewer:
        return warn("schema", f"there is less than in {manifest.set_id}: {_shown(difference.fewer)}",
                    "if that is not meant, nightscan restore database puts it back")
    if difference.further:
        return warn("schema", f"it is newer than the set {manifest.set_id}: {_shown(difference.further)}",
                    "take a set that has them: nightscan backup manual --component database")
    return ok("schema", f"{count(tables, 'table')}, as in {manifest.set_id}")


def _shown(names: tuple[str, ...]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _names(value: Json) -> set[str]:
    return {str(name) for name in value} if isinstance(value, (dict, list)) else set()


def _counts(fingerprint: Mapping[str, Json]) -> dict[str, int]:
    objects = fingerprint.get("objects")
    return {kind: int(str(number)) for kind, number in objects.items()} if isinstance(objects, dict) else {}
