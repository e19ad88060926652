"""A part of a database: the relations that somebody names, and what cannot be replaced without them.

Along come whole partition and inheritance trees, tables whose foreign keys lead to one that is replaced,
and views and rules that read one; what belongs to a table (indexes, owned sequences, triggers, grants)
moves with it anyway.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from nightscan_tasks.components.postgres import Connection
from nightscan_tasks.errors import RestoreRefused

_KINDS = {"r": "table", "p": "partitioned table", "v": "view", "m": "materialized view",
          "f": "foreign table", "S": "sequence"}
_NAME = re.compile(r'(?:("(?:[^"]|"")+"|[^".]+)\.)?("(?:[^"]|"")+"|[^".]+)')

# Sequences that belong to a column move with its table, and are no relations of their own here.
_RELATIONS = """
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                  AND (d.deptype = 'e' OR c.relkind = 'S' AND d.deptype IN ('a', 'i')
                       AND d.refclassid = 'pg_class'::regclass))
ORDER BY 2, 3
"""

_CLOSURE = """
WITH RECURSIVE edge (one, other) AS (
    SELECT inhparent, inhrelid FROM pg_inherits
    UNION SELECT inhrelid, inhparent FROM pg_inherits
    UNION SELECT confrelid, conrelid FROM pg_constraint WHERE contype = 'f'
    UNION SELECT d.refobjid, r.ev_class FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
        WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
), member (oid) AS (
    SELECT unnest(%s::oid[])
    UNION SELECT edge.other FROM member JOIN edge ON edge.one = member.oid
)
SELECT oid::bigint FROM member
"""

# Whatever depends on a relation, its parts or its row type, and is no part of any of them.
_OUTSIDE = """
WITH relation (oid) AS (
    SELECT unnest(%s::oid[])
), part (class, oid) AS (
    SELECT 'pg_class'::regclass, oid FROM relation
    UNION ALL SELECT 'pg_class'::regclass, indexrelid FROM pg_index JOIN relation ON indrelid = oid
    UNION ALL SELECT 'pg_class'::regclass, objid FROM pg_depend JOIN relation ON refobjid = oid
        WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i')
    UNION ALL SELECT 'pg_type'::regclass, t.oid FROM pg_type t JOIN relation r ON typrelid = r.oid
    UNION ALL SELECT 'pg_type'::regclass, typarray FROM pg_type t JOIN relation r ON typrelid = r.oid
    UNION ALL SELECT 'pg_constraint'::regclass, c.oid FROM pg_constraint c JOIN relation r ON conrelid = r.oid
    UNION ALL SELECT 'pg_rewrite'::regclass, w.oid FROM pg_rewrite w JOIN relation r ON ev_class = r.oid
    UNION ALL SELECT 'pg_trigger'::regclass, t.oid FROM pg_trigger t JOIN relation r ON tgrelid = r.oid
    UNION ALL SELECT 'pg_attrdef'::regclass, a.oid FROM pg_attrdef a JOIN relation r ON adrelid = r.oid
    UNION ALL SELECT 'pg_policy'::regclass, p.oid FROM pg_policy p JOIN relation r ON polrelid = r.oid
    UNION ALL SELECT 'pg_statistic_ext'::regclass, s.oid
        FROM pg_statistic_ext s JOIN relation r ON stxrelid = r.oid
)
SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid),
    pg_describe_object(d.refclassid, d.refobjid, 0)
FROM pg_depend d JOIN part ON part.class = d.refclassid AND part.oid = d.refobjid
WHERE NOT EXISTS (SELECT FROM part p WHERE p.class = d.classid AND p.oid = d.objid)
  AND d.classid NOT IN ('pg_rewrite'::regclass, 'pg_constraint'::regclass, 'pg_trigger'::regclass)
  AND NOT (d.classid = 'pg_class'::regclass
           AND (SELECT relkind FROM pg_class WHERE oid = d.objid) IN ('i', 'I', 't'))
ORDER BY 1
"""


@dataclass(frozen=True, order=True)
class Name:
    """A relation by schema and name, as they are, without quotes."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"


@dataclass(frozen=True)
class Relation:
    """One relation of a database."""

    oid: int
    name: Name
    kind: str

    def __str__(self) -> str:
        return f"{_KINDS[self.kind]} {self.name}"


@dataclass(frozen=True)
class Selection:
    """What somebody asked for: tables (or views, sequences) and whole schemas, as typed."""

    tables: tuple[str, ...]
    schemas: tuple[str, ...]

    def among(self, names: Collection[Name]) -> set[Name]:
        """The relations that are meant; `RestoreRefused` for one that is not there, with the nearest."""
        found = {name for table in self.tables for name in [_meant(table, names)]}
        there = {name.schema for name in names}
        for schema in self.schemas:
            wanted = schema if schema in there else _unquoted(schema)
            if wanted not in there:
                raise RestoreRefused(_unknown("schema", schema, sorted(there)))
            found |= {name for name in names if name.schema == wanted}
        return found


def relations(connection: Connection) -> dict[Name, Relation]:
    """Every relation of the connected database that a dump makes."""
    rows = connection.execute(_RELATIONS.encode()).fetchall()
    return {Name(schema, name): Relation(oid, Name(schema, name), kind) for oid, schema, name, kind in rows}


def closure(connection: Connection, names: Iterable[Name]) -> dict[Name, Relation]:
    """The named relations that exist, with those that have to go where they go."""
    everything = relations(connection)
    seeds = [everything[name].oid for name in names if name in everything]
    members = {oid for (oid,) in connection.execute(_CLOSURE, (seeds,))}
    return {name: relation for name, relation in everything.items() if relation.oid in members}


def outside(connection: Connection, members: Iterable[int]) -> Sequence[str]:
    """What else depends on these relations, and would stay with them where they are moved: for people."""
    rows = connection.execute(_OUTSIDE, (list(members),)).fetchall()
    return [f"{dependent} depends on {needed}" for dependent, needed in rows]


def quoted(identifier: str) -> str:
    """As PostgreSQL prints it, with quotes where it might need them."""
    if re.fullmatch(r"[a-z_][a-z0-9_]*", identifier) and identifier != "user":
        return identifier
    return '"' + identifier.replace('"', '""') + '"'


def parse(label: str) -> Name:
    """A relation from the way PostgreSQL prints it, `schema.name`, each quoted where needed."""
    match = _NAME.fullmatch(label)
    return Name(_unquoted(match[1] or ""), _unquoted(match[2])) if match else Name("", label)


def _meant(text: str, names: Collection[Name]) -> Name:
    schema, name = (parsed := parse(text)).schema, parsed.name
    for wanted in (text, name, name.lower()):
        fitting = [each for each in names if each.name == wanted and (not schema or each.schema == schema
                                                                      or wanted == text)]
        public = [each for each in fitting if each.schema == "public"]
        if len(fitting) == 1 or public:
            return (public or fitting)[0]
        if fitting:
            raise RestoreRefused(f"there are several tables {text}: {', '.join(map(str, sorted(fitting)))}; "
                                 f"name one with its schema; nothing was changed")
    raise RestoreRefused(_unknown("table", text, [each.name for each in names] + list(map(str, names))))


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _unknown(kind: str, text: str, there: Sequence[str]) -> str:
    near = difflib.get_close_matches(text, there, n=1, cutoff=0.5)
    return f"there is no {kind} {text}" + (f"; did you mean {near[0]}?" if near else "") + \
        "; nothing was changed"
