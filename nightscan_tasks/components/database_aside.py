"""Schemas that hold a part of a database while it is not live: to come, kept, or undone.

Each says in its comment which run it belongs to, and what it holds; so every later step, in another
process or on another day, finds out from the database alone how far a restore was.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from psycopg import sql

from nightscan_tasks.components.database_selection import Relation
from nightscan_tasks.components.postgres import Connection

_TAG = "nightscan "
_QUOTED = r'(?:"(?:[^"]|"")+"|[a-z_0-9$\x80-\U0010ffff]+)'
_QUOTED_LIST = rf"\((?:PERIOD )?{_QUOTED}(?:, (?:PERIOD )?{_QUOTED})*\)"
_DEFINITION = re.compile(
    rf"FOREIGN KEY {_QUOTED_LIST} REFERENCES {_QUOTED}(?:\.{_QUOTED})?{_QUOTED_LIST}"
    rf"(?: MATCH FULL| ON (?:UPDATE|DELETE) (?:CASCADE|RESTRICT|SET NULL|SET DEFAULT)(?: {_QUOTED_LIST})?"
    rf"| DEFERRABLE| INITIALLY DEFERRED| NOT ENFORCED| NOT VALID)*")
_MOVABLE = """
SELECT c.relname, 'TABLE' FROM pg_class c
WHERE c.relnamespace = %(schema)s::regnamespace AND (c.relkind IN ('r', 'p', 'v', 'm', 'f')
    OR c.relkind = 'S' AND NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
        AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')))
UNION ALL SELECT stxname, 'STATISTICS' FROM pg_statistic_ext WHERE stxnamespace = %(schema)s::regnamespace
"""
_STATISTICS = "SELECT stxname, stxnamespace::regnamespace::text FROM pg_statistic_ext WHERE stxrelid = %s"
_OUTER_KEYS = """
SELECT n.nspname, t.relname, c.conname, pg_get_constraintdef(c.oid), c.confrelid::regclass::text
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE c.contype = 'f' AND c.conparentid = 0 AND c.conrelid = ANY (%(oids)s::oid[])
  AND NOT c.confrelid = ANY (%(oids)s::oid[])
ORDER BY 1, 2, 3
"""


@dataclass(frozen=True)
class OuterKey:
    """A foreign key of the part that leads to a table which is no part of it."""

    table: str
    name: str
    definition: str
    leads_to: str


@dataclass(frozen=True)
class Aside:
    """A schema that holds one schema's share of a part, while it is not live.

    `kind` is `staged`, `before` or `undone`; `of` the schema it belongs to; `instead` the object ids of
    the relations that took its place; `whole` that it was filled to its end.
    """

    name: str
    run_id: str
    kind: str
    of: str
    keys: tuple[OuterKey, ...] = ()
    instead: tuple[int, ...] = ()
    whole: bool = False

    def comment(self) -> str:
        """What is written at the schema, for `asides` to read."""
        return _TAG + json.dumps(asdict(self), ensure_ascii=False)


def asides(connection: Connection, run_id: str) -> list[Aside]:
    """What the connected database holds of a run."""
    rows = connection.execute(
        "SELECT nspname, obj_description(oid, 'pg_namespace') FROM pg_namespace "
        "WHERE starts_with(nspname, 'nightscan_') ORDER BY 1").fetchall()
    found = [_read(name, comment) for name, comment in rows]
    return [aside for aside in found if aside and aside.run_id == run_id]


def _read(name: str, comment: str | None) -> Aside | None:
    if comment is None or not comment.startswith(_TAG):
        return None
    try:
        values = json.loads(comment.removeprefix(_TAG))
        keys = tuple(OuterKey(**key) for key in values.pop("keys"))
        if not all(_DEFINITION.fullmatch(key.definition) for key in keys):
            return None  # not as the server writes one: it will be run
        return Aside(**{**values, "name": name, "keys": keys, "instead": tuple(values["instead"])})
    except (ValueError, TypeError, KeyError):
        return None  # somebody else's words


def staged_prefix(run_id: str) -> str:
    """What the names of all schemas begin with in which a run stages."""
    return f"nightscan_staged_{hashlib.sha256(run_id.encode()).hexdigest()[:16]}_"


def note(connection: Connection, aside: Aside) -> None:
    """Write at a schema what it is."""
    connection.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(
        sql.Identifier(aside.name), sql.Literal(aside.comment())))


def move(connection: Connection, relation: Relation, schema: str) -> None:
    """Move a relation, and the statistics that are made of it, to another schema."""
    for name, of in connection.execute(_STATISTICS, (relation.oid,)).fetchall():
        connection.execute(sql.SQL("ALTER STATISTICS {}.{} SET SCHEMA {}").format(
            sql.SQL(of), sql.Identifier(name), sql.Identifier(schema)))
    connection.execute(sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(
        sql.Identifier(relation.name.schema, relation.name.name), sql.Identifier(schema)))


def move_all(connection: Connection, schema: str, to: str) -> None:
    """Move whatever is in one schema to another."""
    rows = connection.execute(_MOVABLE, {"schema": sql.Identifier(schema).as_string(connection)}).fetchall()
    for name, kind in rows:
        connection.execute(sql.SQL("ALTER {} {} SET SCHEMA {}").format(
            sql.SQL(kind), sql.Identifier(schema, name), sql.Identifier(to)))


def drop_outer_keys(connection: Connection, oids: Sequence[int]) -> dict[str, list[OuterKey]]:
    """Take off the foreign keys that lead out of these relations: by schema, what they were."""
    keys: dict[str, list[OuterKey]] = {}
    rows = connection.execute(_OUTER_KEYS, {"oids": list(oids)}).fetchall()
    for schema, table, name, definition, leads_to in rows:
        connection.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(
            sql.Identifier(schema, table), sql.Identifier(name)))
        keys.setdefault(schema, []).append(OuterKey(table, name, definition, leads_to))
    return keys
