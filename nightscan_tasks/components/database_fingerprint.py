"""What a database holds, small enough to keep: rows and a content hash for each table.

The same content gives the same fingerprint on another server, of another version, under other object
ids; the order of rows does not count. Left out: foreign and temporary tables, and tables that belong
to an extension, because a dump does not hold their rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

from psycopg import sql

from nightscan_tasks.components.database_environment import read_environment
from nightscan_tasks.components.postgres import Connection, setting_all
from nightscan_tasks.model import Json

_HASHES_RECORDS = 140000  # hash_record_extended() came with PostgreSQL 14

_STEADY = {
    "DateStyle": "ISO, YMD", "IntervalStyle": "postgres", "TimeZone": "UTC",
    "extra_float_digits": "3", "bytea_output": "hex", "lc_monetary": "C",
    "quote_all_identifiers": "off", "search_path": "pg_catalog", "row_security": "off",
    "statement_timeout": "0", "idle_in_transaction_session_timeout": "0",
}

# Equal values of these types, and only those, have equal hashes on every server. Not here: what
# hashes by object id (enum, regclass), calls different texts equal (citext), or has no hash at all.
_STEADY_TYPES = [
    "bool", "bytea", "char", "name", "int2", "int4", "int8", "text", "varchar", "bpchar", "oid",
    "float4", "float8", "numeric", "date", "time", "timestamp", "timestamptz", "uuid", "inet", "cidr",
    "macaddr", "macaddr8", "jsonb", "pg_lsn"]

_TABLES = """
WITH RECURSIVE relation AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind, c.relispopulated
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
      AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
      AND c.oid NOT IN (SELECT objid FROM pg_depend
                        WHERE classid = 'pg_class'::regclass AND deptype = 'e')
), part (relid, typid, collid) AS (
    SELECT attrelid, atttypid, attcollation FROM pg_attribute JOIN relation ON attrelid = relation.oid
    WHERE attnum > 0 AND NOT attisdropped
  UNION
    SELECT part.relid, inner_type.typid, 0::oid
    FROM part JOIN pg_type t ON t.oid = part.typid
    CROSS JOIN LATERAL (
        SELECT t.typbasetype WHERE t.typtype = 'd'
        UNION ALL SELECT e.oid FROM pg_type e WHERE e.typarray = t.oid
        UNION ALL SELECT a.atttypid FROM pg_attribute a
            WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE t.typtype = 'r' AND r.rngtypid = t.oid
    ) AS inner_type (typid)
)
SELECT format('%%I.%%I', nspname, relname), nspname, relname, relkind = 'm', relispopulated,
    NOT EXISTS (
        SELECT FROM part JOIN pg_type t ON t.oid = part.typid LEFT JOIN pg_collation l ON l.oid = collid
        WHERE part.relid = relation.oid AND (l.collisdeterministic IS FALSE OR (
            t.typtype NOT IN ('d', 'c', 'r')
            AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
            AND NOT (t.typnamespace = 'pg_catalog'::regnamespace AND t.typname = ANY (%s)))))
FROM relation ORDER BY 1
"""

_OBJECTS = """
SELECT kind, count(*) FROM (
    SELECT CASE c.relkind WHEN 'i' THEN 'indexes' WHEN 'I' THEN 'indexes' WHEN 'S' THEN 'sequences'
        WHEN 'v' THEN 'views' WHEN 'p' THEN 'partitioned_tables' WHEN 'f' THEN 'foreign_tables' END,
        c.relnamespace, 'pg_class'::regclass, c.oid
    FROM pg_class c WHERE c.relkind IN ('i', 'I', 'S', 'v', 'p', 'f') AND c.relpersistence <> 't'
    UNION ALL SELECT 'functions', pronamespace, 'pg_proc'::regclass, oid FROM pg_proc
    UNION ALL SELECT 'triggers', c.relnamespace, 'pg_class'::regclass, c.oid
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE NOT tgisinternal AND NOT c.relispartition
) AS object (kind, namespace, class, id) JOIN pg_namespace n ON n.oid = namespace
WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = class AND objid = id AND deptype = 'e')
GROUP BY kind ORDER BY kind
"""

@dataclass(frozen=True)
class _Table:
    label: str
    schema: str
    name: str
    is_view: bool
    is_populated: bool
    has_steady_hash: bool


def fingerprint_database(connection: Connection, *, content: bool) -> dict[str, Json]:
    """The fingerprint of the connected database, in the connection's snapshot if it has one.

    `tables` counts `rows` for each table, and with `content` has its `hash`; `environment` is what
    a new database needs before the dump can be loaded into it. Reads every table once.
    """
    with connection.transaction():
        setting_all(connection, _STEADY)
        tables: dict[str, Json] = {}
        views: dict[str, Json] = {}
        for table in _tables(connection):
            found = _read(connection, table, content=content and not table.is_view)
            (views if table.is_view else tables)[table.label] = found
        return {
            "tables": tables, "materialized_views": views,
            "large_objects": _value(connection, "SELECT count(*) FROM pg_largeobject_metadata"),
            "objects": dict(connection.execute(_OBJECTS).fetchall()),
            "environment": read_environment(connection),
        }


def outline_database(connection: Connection) -> dict[str, Json]:
    """The same without any content: labels of tables and materialized views, counts of other objects."""
    with connection.transaction():
        setting_all(connection, _STEADY)
        tables = _tables(connection)
        return {
            "tables": [table.label for table in tables if not table.is_view],
            "materialized_views": [table.label for table in tables if table.is_view],
            "objects": dict(connection.execute(_OBJECTS).fetchall()),
        }


def fingerprint_part(connection: Connection, schemas: Collection[str], *, content: bool) -> dict[str, Json]:
    """The same of some schemas alone: their tables, materialized views and other objects."""
    with connection.transaction():
        setting_all(connection, _STEADY)
        mine = [table for table in _tables(connection) if table.schema in schemas]
        return {
            "tables": {table.label: _read(connection, table, content=content)
                       for table in mine if not table.is_view},
            "materialized_views": {table.label: _read(connection, table, content=False)
                                   for table in mine if table.is_view},
            "objects": dict(connection.execute(_OBJECTS.replace(
                "GROUP BY", f"AND n.nspname IN ({_literals(schemas)}) GROUP BY").encode()).fetchall()),
        }


def _literals(texts: Collection[str]) -> str:
    return ", ".join(sql.Literal(text).as_string() for text in texts)


def _tables(connection: Connection) -> list[_Table]:
    steady = _STEADY_TYPES if connection.info.server_version >= _HASHES_RECORDS else []
    return [_Table(*row) for row in connection.execute(_TABLES, (steady,)).fetchall()]


def _read(connection: Connection, table: _Table, *, content: bool) -> Json:
    """One table's rows, and their hash where it is wanted; None for a view that was never filled."""
    if not table.is_populated:
        return None
    target = sql.SQL("{} AS t" if table.is_view else "ONLY {} AS t").format(
        sql.Identifier(table.schema, table.name))
    if not content:
        return {"rows": _value(connection, sql.SQL("SELECT count(*) FROM {}").format(target))}
    # `t.*` is the row even where a column is called t; sum() does not care for the order of rows.
    hashed = ("hash_record_extended(ROW(t.*), 0)" if table.has_steady_hash
              else 'hashtextextended(ROW(t.*)::text COLLATE "C", 0)')
    query = sql.SQL("SELECT count(*), coalesce(sum({}), 0)::text FROM {}").format(
        sql.SQL(hashed), target)
    rows, total = cast("tuple[int, str]", connection.execute(query).fetchone())
    return {"rows": rows, "hash": total}


def _value(connection: Connection, query: Any) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def compare_fingerprints(expected: Mapping[str, Json], found: Mapping[str, Json]) -> list[str]:
    """What differs, a line each for people; empty when the content is the same.

    Hashes are compared where both sides have them. A materialized view has to be there and filled:
    its rows are made anew by a restore.
    """
    differences = []
    for name, was, now in _pairs(expected, found, "tables"):
        differences += _compare_table(name, was, now)
    for name, was, now in _pairs(expected, found, "materialized_views"):
        if (was is None) != (now is None):
            differences.append(f"materialized view {name}: filled expected {was is not None}, "
                               f"found {now is not None}")
    for kind, count, other in _pairs(expected, found, "objects"):
        if count != other:
            differences.append(f"{kind}: expected {count or 0}, found {other or 0}")
    if expected.get("large_objects", 0) != found.get("large_objects", 0):
        differences.append(f"large objects: expected {expected.get('large_objects', 0)}, "
                           f"found {found.get('large_objects', 0)}")
    return differences + _compare_environment(expected, found)


def _compare_table(name: str, was: Json, now: Json) -> list[str]:
    if not isinstance(was, dict):
        return [f"table {name}: not expected, but there"]
    if not isinstance(now, dict):
        return [f"table {name}: missing, {was['rows']} rows expected"]
    if was["rows"] != now["rows"]:
        return [f"table {name}: {was['rows']} rows expected, {now['rows']} found"]
    if "hash" in was and "hash" in now and was["hash"] != now["hash"]:
        return [f"table {name}: {was['rows']} rows as expected, but their content differs"]
    return []


def _compare_environment(expected: Mapping[str, Json], found: Mapping[str, Json]) -> list[str]:
    was, now = expected.get("environment"), found.get("environment")
    if not isinstance(was, dict) or not isinstance(now, dict):
        return []
    differences = [f"{key}: expected {was.get(key)}, found {now.get(key)}"
                   for key in ("encoding", "collate", "ctype") if was.get(key) != now.get(key)]
    missing = set(cast("dict[str, str]", was.get("extensions") or {})) - set(
        cast("dict[str, str]", now.get("extensions") or {}))
    return differences + [f"extension {name}: missing" for name in sorted(missing)]


def _pairs(expected: Mapping[str, Json], found: Mapping[str, Json],
           key: str) -> list[tuple[str, Json, Json]]:
    was = cast("dict[str, Json]", expected.get(key) or {})
    now = cast("dict[str, Json]", found.get(key) or {})
    return [(name, was.get(name), now.get(name)) for name in sorted({*was, *now})]
