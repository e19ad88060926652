"""What is in a database now: for each table its rows, and a hash of their content."""

from __future__ import annotations

import psycopg
from psycopg import sql

from nightscan_tasks.cli.demo.proof import Thing

_TABLES = """
SELECT n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'S') AND c.relpersistence <> 't'
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1, 2
"""
_SEQUENCE = b"S"


def read_tables(dsn: str) -> dict[str, Thing]:
    """Every table, materialized view and sequence, by name; nothing where there is no such database."""
    try:
        with psycopg.connect(dsn, connect_timeout=10) as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            return {f"{schema}.{name}": _read(connection, schema, name, kind)
                    for schema, name, kind in connection.execute(_TABLES).fetchall()}
    except psycopg.OperationalError:
        return {}


def _read(connection: psycopg.Connection, schema: str, name: str, kind: str | bytes) -> Thing:
    table = sql.Identifier(schema, name)
    if kind in {"S", _SEQUENCE}:
        query = sql.SQL("SELECT 1, last_value::text || is_called::text FROM {}").format(table)
        return _thing("sequences", connection, query)
    # By its text, row by row, in any order: another way than the one a set's fingerprint is made by.
    query = sql.SQL("SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text "
                    "FROM ONLY {} AS t").format(table)
    if kind in {"m", b"m"}:
        query = sql.SQL("SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text "
                        "FROM {} AS t").format(table)
    return _thing(f"{schema}.{name}" if schema != "public" else name, connection, query)


def _thing(group: str, connection: psycopg.Connection, query: sql.Composed) -> Thing:
    row = connection.execute(query).fetchone()
    rows, content = row or (0, "")
    return Thing(group, {"rows": rows, "content": content}, count=rows)
