"""The fingerprint: what is counted, and which change of content changes which hash."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from nightscan_tasks.components.database_fingerprint import fingerprint_database


def tables(report: Any) -> dict[str, Any]:
    return dict(report.fingerprint["tables"])


def test_tables_are_counted_under_their_quoted_names(scratch: Any) -> None:
    scratch.run('CREATE TABLE "user" (id serial PRIMARY KEY, name text)',
                'CREATE SCHEMA "Odd; schema"',
                'CREATE TABLE "Odd; schema"."a ""b"" %s {x}" (t int)',
                """INSERT INTO "user" (name) VALUES ('a'), ('b')""",
                'INSERT INTO "Odd; schema"."a ""b"" %s {x}" VALUES (1)',
                "CREATE TABLE nothing ()", "INSERT INTO nothing DEFAULT VALUES")
    _, report = scratch.dump()
    assert {name: table["rows"] for name, table in tables(report).items()} == {
        'public."user"': 2, '"Odd; schema"."a ""b"" %s {x}"': 1, "public.nothing": 1}


def test_without_content_hash_only_rows_are_counted(scratch: Any) -> None:
    scratch.run("CREATE TABLE t AS SELECT 1 AS x")
    _, report = scratch.dump(NIGHTSCAN_CONTENT_HASH="false")
    assert tables(report) == {"public.t": {"rows": 1}}


def test_partitions_count_as_tables_and_views_do_not(scratch: Any) -> None:
    scratch.run("CREATE TABLE p (d date, x int) PARTITION BY RANGE (d)",
                "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
                "INSERT INTO p VALUES ('2026-01-05', 1)", "CREATE VIEW v AS SELECT * FROM p",
                "CREATE MATERIALIZED VIEW m AS SELECT * FROM p",
                "CREATE MATERIALIZED VIEW unfilled AS SELECT * FROM p WITH NO DATA")
    _, report = scratch.dump()
    assert list(tables(report)) == ["public.p1"]
    assert report.fingerprint["materialized_views"] == {
        "public.m": {"rows": 1}, "public.unfilled": None}
    assert report.fingerprint["objects"] == {"partitioned_tables": 1, "views": 1}


@pytest.mark.parametrize(("kind", "one", "other"), [
    ("int", "1", "2"), ("numeric", "1.1", "1.2"), ("uuid", "gen_random_uuid()", "gen_random_uuid()"),
    ("text[]", "'{a,b}'", "'{b,a}'"), ("json", "'{\"a\":1}'", "'{\"a\":2}'"), ("ltree", "'a.b'", "'a.c'"),
    ("point", "'(1,2)'", "'(1,3)'"), ("interval", "'1 month'", "'30 days'"),
    ("mood", "'sad'", "'happy'"), ("mood[]", "'{sad}'", "'{happy}'"), ("pair", "'(1,x)'", "'(1,y)'"),
    ("int4range", "'[1,3)'", "'[1,4)'"), ("email", "'a'", "'b'"), ("regclass", "'a'", "'b'"),
    ("money", "1", "2"), ("tsvector", "'a'", "'b'"), ("int2vector", "'1 2'", "'1 3'"),
    ("bytea", "'\\x00'", "'\\x01'"), ("bit(2)", "B'01'", "B'10'"), ("jsonb", "'[1]'", "'[2]'"),
    ("citext", "'a'", "'A'"), ("int4multirange", "'{[1,3)}'", "'{[1,4)}'"),
])
def test_one_changed_value_of_any_type_changes_the_hash_of_its_table_alone(
    typed: Any, kind: str, one: str, other: str,
) -> None:
    typed.run("DROP TABLE IF EXISTS t", f"CREATE TABLE t (id int, v {kind})",
              f"INSERT INTO t VALUES (1, {one}), (2, NULL)")  # noqa: S608 - the table above
    before = fingerprint(typed)
    typed.run(f"UPDATE t SET v = {other} WHERE id = 1")  # noqa: S608 - the table above
    after = fingerprint(typed)
    assert before["public.t"] != after["public.t"]
    assert before["public.same"] == after["public.same"]
    typed.run(f"UPDATE t SET v = {one} WHERE id = 1")  # noqa: S608 - the table above
    if "random" not in one:
        assert fingerprint(typed) == before


def fingerprint(scratch: Any) -> dict[str, Any]:
    with scratch.connect() as connection:
        return dict(fingerprint_database(connection, content=True)["tables"])  # type: ignore[arg-type]


def test_the_order_of_rows_and_a_sessions_formats_do_not_matter(scratch: Any) -> None:
    scratch.run("CREATE TABLE t (d timestamptz, f float8, j json)",
                """INSERT INTO t VALUES ('2026-01-01', 0.1, '{}'), ('2026-06-01', 1e-300, '[]')""")
    before = fingerprint(scratch)
    scratch.run("CREATE TABLE other AS SELECT * FROM t ORDER BY d DESC", "DROP TABLE t",
                "ALTER TABLE other RENAME TO t")
    with psycopg.connect(scratch.dsn.get_secret_value(), autocommit=True, options=(
            "-c datestyle=german -c timezone=Asia/Tokyo -c extra_float_digits=-5")) as connection:
        assert fingerprint_database(connection, content=True)["tables"] == before
