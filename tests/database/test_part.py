"""Restoring a part: one table or schema, with what depends on it, while the rest stays as it is."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from nightscan_tasks.components.database_restorer import DatabaseRestorer
from nightscan_tasks.components.restorer import Position
from nightscan_tasks.errors import RestoreRefused

SITE = (
    "CREATE ROLE test_reader",
    "CREATE TYPE mood AS ENUM ('sad', 'happy')",
    """CREATE TABLE "user" (id serial PRIMARY KEY, name text)""",
    ("""CREATE TABLE prediction (id serial PRIMARY KEY, user_id int REFERENCES "user" ON DELETE CASCADE, """
     "filename text UNIQUE, mood mood DEFAULT 'sad', species text, kind text)"),
    "CREATE INDEX by_user ON prediction (user_id)",
    "CREATE STATISTICS about_kinds ON species, kind FROM prediction",
    "CREATE TABLE detection (id int PRIMARY KEY, prediction_id int REFERENCES prediction)",
    "CREATE TABLE audit_log (line text)",
    "CREATE SCHEMA audit", "CREATE TABLE audit.entry (id int PRIMARY KEY)",
    ("CREATE FUNCTION audit.now() RETURNS timestamptz LANGUAGE sql "
     "BEGIN ATOMIC SELECT now(); SELECT now(); END"),
    "CREATE TYPE audit.level AS ENUM ('low', 'high')", "ALTER TABLE audit.entry ADD level audit.level",
    ("CREATE VIEW seen AS SELECT p.filename, d.id "
     "FROM prediction p JOIN detection d ON d.prediction_id = p.id"),
    "CREATE VIEW audit.seen_again AS SELECT * FROM seen",
    "CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM prediction",
    "CREATE INDEX ON counted (n)",
    ("CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS "
     "$$BEGIN NEW.filename := upper(NEW.filename); RETURN NEW; END$$"),
    "CREATE TRIGGER loud BEFORE UPDATE ON prediction FOR EACH ROW EXECUTE FUNCTION shout()",
    "GRANT SELECT ON prediction TO test_reader",
    """INSERT INTO "user" (name) SELECT 'u' || g FROM generate_series(1, 10) g""",
    "INSERT INTO prediction (user_id, filename) SELECT g, g || '.wav' FROM generate_series(1, 10) g",
    "INSERT INTO detection SELECT g, g FROM generate_series(1, 10) g",
    "INSERT INTO audit.entry SELECT g, 'high' FROM generate_series(1, 5) g",
    "REFRESH MATERIALIZED VIEW counted",
)
# What makes one table of a live database what it is, beside its rows.
SHAPE = """
SELECT 'index', indexname FROM pg_indexes WHERE schemaname IN ('public', 'audit')
UNION ALL SELECT 'constraint', conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
    || convalidated FROM pg_constraint WHERE conrelid <> 0 AND contype <> 'n'
    AND connamespace IN ('public'::regnamespace, 'audit'::regnamespace)
UNION ALL SELECT 'view', viewname || definition FROM pg_views WHERE schemaname IN ('public', 'audit')
UNION ALL SELECT 'trigger', tgrelid::regclass || ' ' || tgname FROM pg_trigger
    WHERE NOT tgisinternal AND tgrelid::regclass::text NOT LIKE '%nightscan%'
UNION ALL SELECT 'grants', relname || privilege_type || grantee::regrole FROM pg_class, aclexplode(relacl)
    WHERE relnamespace = 'public'::regnamespace AND grantee <> relowner
UNION ALL SELECT 'default', adrelid::regclass || pg_get_expr(adbin, adrelid) FROM pg_attrdef
    JOIN pg_class c ON c.oid = adrelid WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT 'statistics', stxname || stxnamespace::regnamespace FROM pg_statistic_ext
    WHERE stxnamespace = 'public'::regnamespace
UNION ALL SELECT 'schema', nspname FROM pg_namespace WHERE nspname LIKE 'nightscan%'
ORDER BY 1, 2
"""
CONTENT = ("""SELECT (SELECT count(*) FROM "user"), (SELECT count(*) FROM prediction), """
           "(SELECT count(*) FROM detection), (SELECT count(*) FROM audit_log), (SELECT n FROM counted)")


@pytest.fixture
def saved(scratch: Any) -> Any:
    scratch.run(*SITE)
    saved = scratch.saved()
    scratch.run("INSERT INTO audit_log VALUES ('since')", """INSERT INTO "user" (name) VALUES ('since')""",
                "DELETE FROM detection WHERE id > 3", "DELETE FROM prediction WHERE id > 6",
                "INSERT INTO prediction (user_id, filename) VALUES (11, 'since.wav')",
                "REFRESH MATERIALIZED VIEW counted")
    return saved


def put_back(scratch: Any, saved: Any, *tables: str, schemas: tuple[str, ...] = ()) -> DatabaseRestorer:
    restorer: DatabaseRestorer = scratch.restorer(tables=tables, schemas=schemas)
    restorer.stage(saved)
    restorer.swap()
    return restorer


def schemas(scratch: Any) -> list[object]:
    return [name for (name,) in scratch.rows(
        "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'nightscan%'")]


def test_a_table_comes_back_with_what_depends_on_it_and_the_rest_stays(scratch: Any, saved: Any) -> None:
    shape = scratch.rows(SHAPE)
    assert scratch.rows(CONTENT) == [(11, 7, 3, 1, 7)]
    restorer = scratch.restorer(tables=("prediction",))
    restorer.stage(saved)
    assert scratch.rows(CONTENT) == [(11, 7, 3, 1, 7)]
    assert scratch.restorer().position() is Position.STAGED
    swapped = scratch.restorer().swap()
    assert scratch.rows(CONTENT) == [(11, 10, 10, 1, 10)]
    assert scratch.restorer().position() is Position.SWAPPED
    assert scratch.restorer().swap() == swapped
    assert [row for row in scratch.rows(SHAPE) if row[0] != "schema"] == shape
    scratch.run("INSERT INTO prediction (user_id, filename) VALUES (11, 'new.wav')",
                "UPDATE prediction SET filename = 'loud' WHERE id = 11", 'DELETE FROM "user" WHERE id = 11')
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        scratch.run("INSERT INTO prediction (user_id, filename) VALUES (12, 'x')")
    scratch.restorer().undo()
    assert scratch.restorer().position() is Position.UNDONE
    assert scratch.rows(CONTENT) == [(10, 7, 3, 1, 7)]
    scratch.restorer().undo()
    assert len(scratch.restorer().accept()) == 2
    assert schemas(scratch) == []
    assert scratch.restorer().position() is Position.ABSENT


def test_what_was_kept_goes_when_it_is_accepted(scratch: Any, saved: Any) -> None:
    put_back(scratch, saved, "prediction")
    assert len(scratch.restorer().accept()) == 2
    assert schemas(scratch) == []
    assert scratch.rows(CONTENT) == [(11, 10, 10, 1, 10)]


def test_a_table_that_was_dropped_with_cascade_comes_back_whole(scratch: Any, saved: Any) -> None:
    shape = scratch.rows(SHAPE)
    scratch.run("DROP TABLE prediction CASCADE")
    put_back(scratch, saved, "public.prediction")
    assert scratch.rows(CONTENT) == [(11, 10, 10, 1, 10)]
    scratch.restorer().accept()
    assert scratch.rows(SHAPE) == shape
    assert scratch.rows("SELECT nextval(pg_get_serial_sequence('prediction', 'id'))") == [(11,)]


def test_a_schema_that_was_dropped_comes_back_with_its_types_and_functions(scratch: Any, saved: Any) -> None:
    shape = scratch.rows(SHAPE)
    scratch.run("DROP SCHEMA audit CASCADE")
    put_back(scratch, saved, schemas=("audit",)).accept()
    assert scratch.rows("SELECT count(*), max(level) FROM audit.entry") == [(5, "high")]
    assert scratch.rows("SELECT audit.now() IS NULL") == [(False,)]
    assert scratch.rows(SHAPE) == shape


@pytest.mark.parametrize("name", ["user", '"user"', "public.user", 'public."user"', "User"])
def test_a_table_may_be_named_as_people_name_it(scratch: Any, saved: Any, name: str) -> None:
    put_back(scratch, saved, name)
    assert scratch.rows(CONTENT) == [(10, 10, 10, 1, 10)]


def test_a_name_that_is_not_there_is_refused_with_the_nearest(scratch: Any, saved: Any) -> None:
    for options, near in (({"tables": ("predictions",)}, "no table predictions; did you mean prediction"),
                          ({"schemas": ("audits",)}, "no schema audits; did you mean audit")):
        with pytest.raises(RestoreRefused, match=near):
            scratch.restorer(**options).stage(saved)
        assert scratch.restorer().position() is Position.ABSENT


def test_rows_that_refer_to_rows_that_are_gone_name_the_table_to_add(scratch: Any, saved: Any) -> None:
    scratch.run("DELETE FROM detection WHERE prediction_id IN (4, 2)", 'DELETE FROM "user" WHERE id = 2')
    before = scratch.rows(SHAPE), scratch.rows(CONTENT)
    scratch.restorer(tables=("prediction",)).stage(saved)
    with pytest.raises(RestoreRefused, match=r'--table public\."user"'):
        scratch.restorer().swap()
    scratch.restorer().undo()
    assert (scratch.rows(SHAPE), scratch.rows(CONTENT)) == before


@pytest.mark.parametrize(("made", "says"), [
    ("CREATE TABLE later (p int REFERENCES prediction)", r"table public\.later depends"),
    ("CREATE VIEW later AS SELECT * FROM prediction", r"view public\.later depends"),
    ("CREATE FUNCTION later(prediction) RETURNS int LANGUAGE sql AS 'SELECT 1'",
     r"function public\.later.*depends on"),
    ("CREATE TABLE later (p int DEFAULT nextval('prediction_id_seq'))", r"default value.*later depends on"),
])
def test_what_came_to_depend_on_it_since_is_named(scratch: Any, saved: Any, made: str, says: str) -> None:
    scratch.run(made)
    before = scratch.rows(SHAPE), scratch.rows(CONTENT)
    with pytest.raises(RestoreRefused, match=says):
        put_back(scratch, saved, "prediction")
    scratch.restorer().undo()
    assert (scratch.rows(SHAPE), scratch.rows(CONTENT)) == before


def test_an_undo_names_what_was_made_of_the_restored_table_since(scratch: Any, saved: Any) -> None:
    put_back(scratch, saved, "prediction")
    scratch.run("CREATE VIEW later AS SELECT * FROM prediction")
    with pytest.raises(RestoreRefused, match=r"view public\.later was made since"):
        scratch.restorer().undo()
    scratch.run("DROP VIEW later")
    scratch.restorer().undo()
    assert scratch.rows(CONTENT) == [(11, 7, 3, 1, 7)]


def test_partitions_move_together(scratch: Any) -> None:
    scratch.run("CREATE TABLE p (d date, x int) PARTITION BY RANGE (d)",
                "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
                "CREATE TABLE p2 PARTITION OF p DEFAULT", "CREATE INDEX by_x ON p (x)",
                "INSERT INTO p VALUES ('2026-01-05', 1), ('2030-01-01', 2)")
    saved = scratch.saved()
    scratch.run("DELETE FROM p")
    put_back(scratch, saved, "p1").accept()
    assert scratch.rows("SELECT count(*), count(DISTINCT tableoid) FROM p") == [(2, 2)]


def test_readers_see_the_old_rows_or_the_new_ones(scratch: Any, saved: Any) -> None:
    scratch.restorer(tables=("prediction",)).stage(saved)
    seen: set[object] = set()
    started, stop = threading.Event(), threading.Event()

    def read() -> None:
        with scratch.connect() as connection:
            while not stop.is_set():
                seen.add(connection.execute("SELECT count(*) FROM prediction").fetchone())
                started.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        started.wait()
        scratch.restorer().swap()
        scratch.restorer().undo()
    finally:
        stop.set()
        reader.join()
    assert seen <= {(7,), (10,)}


def test_a_session_that_holds_a_table_is_ended(scratch: Any, saved: Any) -> None:
    scratch.restorer(tables=("prediction",)).stage(saved)
    with scratch.connect() as application, application.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM prediction")
        scratch.restorer().swap()
        with pytest.raises(psycopg.OperationalError):
            cursor.execute("SELECT 1")
    assert scratch.rows(CONTENT) == [(11, 10, 10, 1, 10)]
