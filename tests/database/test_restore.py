"""Putting a database back: equal to what was saved, or refused with the live one untouched."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from nightscan_tasks.components.database_fingerprint import (
    compare_fingerprints,
    fingerprint_database,
)
from nightscan_tasks.components.database_restorer import DatabaseRestorer
from nightscan_tasks.components.staged_database import staged_name
from nightscan_tasks.errors import DigestMismatch, RestoreRefused
from nightscan_tasks.model import Report

RICH = (
    "CREATE EXTENSION citext",
    """CREATE TABLE "user" (id serial PRIMARY KEY, name text NOT NULL, mail citext)""",
    ("CREATE TABLE prediction (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), filename text, "
    """user_id int REFERENCES "user", seen timestamptz DEFAULT now(), extra jsonb, raw json, """
    "place point, upper_name text GENERATED ALWAYS AS (upper(filename)) STORED, "
    "size bigint, double_size bigint GENERATED ALWAYS AS (size * 2) VIRTUAL)"),
    """INSERT INTO "user" (name, mail) SELECT 'u' || g, 'U' || g FROM generate_series(1, 50) g""",
    ("INSERT INTO prediction (filename, user_id, extra, raw, place, size) SELECT 'é' || g || '.wav', "
    "g, '{\"a\": 1}', '{\"b\":  2}', point(g, g), g FROM generate_series(1, 50) g"),
    "CREATE TABLE p (d date, x int) PARTITION BY RANGE (d)",
    "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
    "CREATE TABLE p2 PARTITION OF p DEFAULT", "CREATE INDEX ON p (x)",
    "INSERT INTO p VALUES ('2026-01-05', 1), ('2030-01-01', 2)",
    "CREATE VIEW v AS SELECT * FROM p", "CREATE MATERIALIZED VIEW m AS SELECT * FROM p",
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER tr BEFORE INSERT ON p FOR EACH ROW EXECUTE FUNCTION f()",
    "CREATE TYPE mood AS ENUM ('sad', 'happy')", "CREATE TABLE moods (m mood, n mood[])",
    "INSERT INTO moods VALUES ('sad', '{happy,sad}')", "CREATE TABLE nothing ()",
    "SELECT lo_from_bytea(0, '\\x00ff')",
    'CREATE TABLE weird ("a b" text, "t" int)',
    "INSERT INTO weird VALUES (E'tab\\t newline\\n \\\\. quote'' ', 1), (NULL, NULL)",
    "ALTER TABLE weird ENABLE ROW LEVEL SECURITY", "CREATE POLICY pol ON weird USING (false)",
)


def save(scratch: Any, **settings: object) -> tuple[dict[str, bytes], dict[str, Any]]:
    streams, report = scratch.dump(**settings)
    return streams, dict(report.fingerprint)


def put_back(scratch: Any, streams: dict[str, bytes], expected: Any, *, keep_old: bool = True,
             run_id: str = "run1", dsn: SecretStr | None = None) -> tuple[Any, str | None]:
    """The fingerprint of what is live now, and the name of the database that was."""
    restorer = DatabaseRestorer(dsn or scratch.dsn, run_id)
    staged = restorer.stage(scratch.source(streams, Report(expected)))
    before = restorer.swap().before
    if not keep_old:
        restorer.accept()
    return staged.fingerprint, before.removeprefix("database ") if before else None


def databases(scratch: Any) -> list[str]:
    with scratch.server.connect() as connection:
        return [name for (name,) in connection.execute("SELECT datname FROM pg_database")]


def no_staged(scratch: Any) -> bool:
    return not any(name.startswith("nightscan_") for name in databases(scratch))


def test_everything_comes_back_and_the_old_database_is_kept(scratch: Any) -> None:
    scratch.run(*RICH)
    streams, expected = save(scratch)
    scratch.run("DELETE FROM prediction", "DROP TABLE moods", "CREATE TABLE new_since (x int)")
    fingerprint, old_name = put_back(scratch, streams, expected)
    with scratch.connect() as connection:
        found = fingerprint_database(connection, content=True)
    assert compare_fingerprints(expected, found) == []
    assert fingerprint["tables"] == expected["tables"] == found["tables"]
    assert scratch.rows("SELECT count(*) FROM prediction WHERE double_size = 2 * size") == [(50,)]
    assert old_name is not None
    assert old_name.startswith("nightscan_before_")
    with scratch.server.connect(old_name) as connection:
        assert connection.execute("SELECT count(*) FROM new_since").fetchone() == (0,)
    assert not any(name.startswith("nightscan_staged_") for name in databases(scratch))


def test_a_dropped_database_comes_back(scratch: Any) -> None:
    scratch.run("CREATE TABLE t AS SELECT 1 AS x")
    streams, expected = save(scratch)
    with scratch.server.connect() as connection:
        connection.execute(f"DROP DATABASE {scratch.name}".encode())
    assert put_back(scratch, streams, expected)[1] is None
    assert scratch.rows("SELECT * FROM t") == [(1,)]


def test_an_empty_database_comes_back(scratch: Any) -> None:
    streams, expected = save(scratch)
    assert put_back(scratch, streams, expected)[0]["tables"] == {}


def test_the_old_database_can_be_let_go_at_once(scratch: Any) -> None:
    streams, expected = save(scratch)
    put_back(scratch, streams, expected, keep_old=False)
    assert no_staged(scratch)


def test_sessions_of_the_live_database_are_ended_for_the_swap(scratch: Any) -> None:
    scratch.run("CREATE TABLE t AS SELECT 1 AS x")
    streams, expected = save(scratch)
    with scratch.connect() as application:
        put_back(scratch, streams, expected)
        with pytest.raises(psycopg.OperationalError):
            application.execute("SELECT 1")


def test_grants_settings_and_owner_of_the_database_itself_come_back(scratch: Any) -> None:
    scratch.run("CREATE ROLE test_owner LOGIN", "CREATE ROLE test_user",
                f"ALTER DATABASE {scratch.name} OWNER TO test_owner",
                f"REVOKE ALL ON DATABASE {scratch.name} FROM PUBLIC",
                f"GRANT CONNECT ON DATABASE {scratch.name} TO test_user",
                f"""ALTER DATABASE {scratch.name} SET search_path TO "$user", public, "Odd one" """,
                f"ALTER ROLE test_user IN DATABASE {scratch.name} SET work_mem TO '7MB'",
                f"ALTER DATABASE {scratch.name} SET default_transaction_read_only TO on")
    streams, expected = save(scratch)
    put_back(scratch, streams, expected)
    assert save(scratch)[1]["environment"] == expected["environment"]


def test_missing_roles_are_made_and_existing_ones_left_alone(scratch: Any) -> None:
    scratch.run("CREATE ROLE test_group", "CREATE ROLE \"test o'dd; \"\"role\" LOGIN PASSWORD 'secret'",
                "CREATE ROLE test_other", "GRANT test_group TO \"test o'dd; \"\"role\"",
                "ALTER ROLE \"test o'dd; \"\"role\" SET work_mem TO '9MB'",
                "COMMENT ON ROLE test_group IS 'it''s; a\n-- comment'",
                "CREATE TABLE t (x int)", "ALTER TABLE t OWNER TO \"test o'dd; \"\"role\"",
                "GRANT SELECT ON t TO test_group")
    streams, expected = save(scratch)
    scratch.run("DROP TABLE t", "DROP ROLE \"test o'dd; \"\"role\", test_group, test_other")
    put_back(scratch, streams, expected)
    assert scratch.rows("SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname LIKE 'test%' "
                        "ORDER BY 1") == [("test o'dd; \"role", True), ("test_group", False)]
    assert scratch.rows("SELECT roleid::regrole::text FROM pg_auth_members "
                        "WHERE member::regrole::text LIKE '%o''dd%'") == [("test_group",)]
    assert scratch.rows("SELECT rolpassword LIKE 'SCRAM%' FROM pg_authid "
                        "WHERE rolname LIKE '%dd%'") == [(True,)]


def test_missing_roles_that_no_dump_has_are_refused_by_name(scratch: Any) -> None:
    scratch.run("CREATE ROLE test_gone", "CREATE TABLE t (x int)", "ALTER TABLE t OWNER TO test_gone")
    streams, expected = save(scratch)
    del streams["database.roles.sql"]
    scratch.run("DROP TABLE t", "DROP ROLE test_gone")
    with pytest.raises(RestoreRefused, match='CREATE ROLE "test_gone"'):
        put_back(scratch, streams, expected)
    assert no_staged(scratch)


def truncate(streams: dict[str, bytes], expected: dict[str, Any]) -> None:
    streams["database.sql"] = streams["database.sql"][: streams["database.sql"].index(b"COPY public.p1")]


def corrupt(streams: dict[str, bytes], expected: dict[str, Any]) -> None:
    streams["database.sql"] = streams["database.sql"].replace(b"CREATE VIEW", b"CREATE VUE")


def change_one_value(streams: dict[str, bytes], expected: dict[str, Any]) -> None:
    streams["database.sql"] = streams["database.sql"].replace(b"7.wav", b"8.wav", 1)


def lose_extension(streams: dict[str, bytes], expected: dict[str, Any]) -> None:
    expected["environment"]["extensions"]["no_such_extension"] = "1.0"


def come_from_newer(streams: dict[str, bytes], expected: dict[str, Any]) -> None:
    expected["environment"]["server_version"] = "99.1"


def want_odd_locale(streams: dict[str, bytes], expected: dict[str, Any]) -> None:
    expected["environment"]["collate"] = "tlh_TLH.utf8"


@pytest.mark.parametrize(("damage", "says"), [
    (truncate, "rows expected, 0 found"), (corrupt, "writes no `CREATE VUE"),
    (change_one_value, "table public.prediction: 50 rows as expected, but their content differs"),
    (lose_extension, "lacks the extensions no_such_extension"),
    (come_from_newer, "restore to 99 or newer"), (want_odd_locale, "tlh_TLH.utf8"),
])
def test_a_refused_restore_leaves_the_live_database_untouched(
    scratch: Any, damage: Any, says: str,
) -> None:
    scratch.run(*RICH)
    streams, expected = save(scratch)
    damage(streams, expected)
    scratch.run("CREATE TABLE new_since AS SELECT 1 AS x")
    with scratch.connect() as application:
        with pytest.raises(RestoreRefused, match=says):
            put_back(scratch, streams, expected)
        assert application.execute("SELECT * FROM new_since").fetchone() == (1,)
    assert no_staged(scratch)


def test_a_stream_that_breaks_off_leaves_the_live_database_untouched(scratch: Any) -> None:
    scratch.run("CREATE TABLE t AS SELECT 1 AS x")
    streams, expected = save(scratch)

    saved = scratch.source(streams, Report(expected))
    saved.broken = DigestMismatch("stored bytes are not what was written")
    with pytest.raises(DigestMismatch):
        scratch.restorer().stage(saved)
    assert no_staged(scratch)


def test_what_a_dead_restore_left_is_replaced(scratch: Any) -> None:
    streams, expected = save(scratch)
    with scratch.server.connect() as connection:
        for run in ("run1", "older"):
            connection.execute(f"CREATE DATABASE {staged_name(run)} TEMPLATE template0".encode())
    put_back(scratch, streams, expected, keep_old=False)
    assert no_staged(scratch)


def test_restoring_twice_gives_the_same(scratch: Any) -> None:
    scratch.run(*RICH)
    streams, expected = save(scratch)
    for _ in range(2):
        put_back(scratch, streams, expected, keep_old=False)
    assert compare_fingerprints(expected, save(scratch)[1]) == []


def test_an_owner_who_is_no_superuser_can_restore(scratch: Any, cluster: Any) -> None:
    scratch.run("CREATE ROLE test_app LOGIN CREATEDB PASSWORD 'x'",
                f"ALTER DATABASE {scratch.name} OWNER TO test_app", "SET ROLE test_app",
                "CREATE TABLE t AS SELECT 1 AS x")
    dsn = cluster.uri(scratch.name, user="test_app", password="x")
    streams, expected = save(scratch, NIGHTSCAN_DATABASE_URI=dsn.get_secret_value())
    assert put_back(scratch, streams, expected, dsn=dsn)[0]["tables"] == expected["tables"]


@pytest.mark.parametrize("run_id", ["a" * 200, 'odd "name; ü'])
def test_any_run_id_names_a_staged_database(scratch: Any, run_id: str) -> None:
    streams, expected = save(scratch)
    put_back(scratch, streams, expected, keep_old=False, run_id=run_id)
    assert no_staged(scratch)
