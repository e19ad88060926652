"""The component: what is in the dump, what is in its report, and how it fails."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

import psycopg
import pytest

from nightscan_tasks import programs
from nightscan_tasks.components.base import Shared
from nightscan_tasks.components.database import Database
from nightscan_tasks.components.database_fingerprint import fingerprint_database
from nightscan_tasks.errors import (
    DumpIncomplete,
    NightscanError,
    ProcessFailed,
    SourceRefused,
    SourceUnavailable,
)
from nightscan_tasks.settings import Settings

LARGE = ("CREATE TABLE large AS SELECT g, repeat(md5(g::text), 20) AS t "
         "FROM generate_series(1, 30000) g")


def tables(report: Any) -> dict[str, Any]:
    return dict(report.fingerprint["tables"])


def children(name: str) -> list[int]:
    """Processes below this one whose program is `name`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_text().strip() == name:
                status = (entry / "status").read_text()
                if f"PPid:\t{os.getpid()}\n" in status:
                    found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_an_empty_database_is_a_good_backup(scratch: Any) -> None:
    streams, report = scratch.dump()
    assert b"PostgreSQL database dump complete" in streams["database.sql"]
    assert b"CREATE ROLE postgres" in streams["database.roles.sql"]
    assert tables(report) == {}
    assert report.versions["postgresql"].startswith("18.")
    assert report.versions["pg_dump"].endswith(("(embedded)", "(system)"))
    assert report.facts["database"] == scratch.name
    assert report.facts["encoding"] == "UTF8"
    assert report.facts["owner"] == "postgres"


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


def test_rows_written_after_the_snapshot_are_in_neither_dump_nor_fingerprint(scratch: Any) -> None:
    scratch.run("CREATE TABLE t AS SELECT 'before' AS x")

    def announce() -> None:
        scratch.run("INSERT INTO t VALUES ('written-later')")

    streams, report = scratch.dump_announcing(announce)
    assert b"before" in streams["database.sql"]
    assert b"written-later" not in streams["database.sql"]
    assert tables(report)["public.t"]["rows"] == 1


def test_the_snapshot_is_announced_once_and_before_the_first_byte(scratch: Any) -> None:
    announced: list[str] = []
    scratch.dump_announcing(lambda: announced.append("now"))
    assert announced == ["now"]


def test_the_predicted_size_is_that_of_the_database(scratch: Any) -> None:
    scratch.run(LARGE)
    assert scratch.component().predicted_bytes("database") > 20_000_000


def test_a_wrong_password_is_refused_without_showing_any(cluster: Any) -> None:
    uri = cluster.uri("nightscan", password="wrong-secret")
    with pytest.raises(SourceRefused) as caught, open_at(uri.get_secret_value()):
        pass
    assert f"database nightscan at 127.0.0.1:{cluster.port} as postgres" in str(caught.value)
    assert "password" in str(caught.value)
    assert "wrong-secret" not in str(caught.value)


def test_a_missing_database_is_named(cluster: Any) -> None:
    uri = cluster.uri("gone")
    with pytest.raises(SourceRefused, match=r'database "gone" does not exist.*NIGHTSCAN_DB_NAME'), \
            open_at(uri.get_secret_value()):
        pass


def test_a_server_that_is_down_is_worth_another_try() -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        port = nobody_listens.getsockname()[1]
        with pytest.raises(SourceUnavailable, match=rf"127\.0\.0\.1:{port}") as caught, \
                open_at(f"postgresql://u:hidden@127.0.0.1:{port}/x"):
            pass
    assert caught.value.transient
    assert "hidden" not in str(caught.value)


def test_a_uri_that_cannot_be_read_shows_no_part_of_itself() -> None:
    with pytest.raises(SourceRefused) as caught, open_at("postgresql://u:50%zz@localhost/x"):
        pass
    assert "%zz" not in str(caught.value)


def open_at(uri: str) -> Any:
    values = {"NIGHTSCAN_DATABASE_URI": uri}
    shared = Shared(announce=lambda: None, listing=None)  # type: ignore[arg-type]
    return Database(Settings(**values)).open("database", shared)  # type: ignore[arg-type]


def test_a_killed_pg_dump_is_a_failure(scratch: Any) -> None:
    scratch.run(LARGE)
    with scratch.opened() as dump:
        chunks = next(dump.streams()).chunks
        next(chunks)
        for pid in children("pg_dump"):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(ProcessFailed, match="pg_dump was ended by signal SIGKILL"):
            list(chunks)


def test_a_server_that_dies_in_mid_dump_is_worth_another_try(scratch: Any) -> None:
    scratch.run(LARGE)
    try:
        with scratch.opened() as dump:
            chunks = next(dump.streams()).chunks
            next(chunks)
            scratch.server.kill()
            with pytest.raises(SourceUnavailable) as caught:
                list(chunks)
        assert scratch.name in str(caught.value)
    finally:
        scratch.server.start()


def test_leaving_in_mid_dump_ends_every_program_and_connection(scratch: Any) -> None:
    scratch.run(LARGE)
    with scratch.opened() as dump:
        chunks = next(dump.streams()).chunks
        next(chunks)
        assert children("pg_dump")
    assert not children("pg_dump")
    with scratch.server.connect() as connection:  # would wait, and fail, with a session left
        connection.execute(f"ALTER DATABASE {scratch.name} RENAME TO {scratch.name}_x".encode())
        connection.execute(f"ALTER DATABASE {scratch.name}_x RENAME TO {scratch.name}".encode())


def test_a_locked_table_is_worth_another_try(scratch: Any) -> None:
    scratch.run("CREATE TABLE t (x int)")
    with scratch.connect() as holder:
        holder.autocommit = False
        holder.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(SourceUnavailable, match=r"timeout[^$]*LOCK TABLE public\.t"):
            scratch.dump(lock_seconds=1)


@pytest.mark.parametrize(("script", "error"), [
    ("exit 0", DumpIncomplete),
    ("echo 'CREATE TABLE half'", DumpIncomplete),
    ("echo '-- PostgreSQL database dump complete'; exit 3", ProcessFailed),
])
def test_a_dump_without_its_end_mark_or_with_a_bad_status_fails(
    scratch: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str,
    error: type[NightscanError],
) -> None:
    fake = tmp_path / "pg_dump"
    fake.write_text(f"#!/bin/sh\ncase $1 in --version) echo 'pg_dump 99.1';; *) {script};; esac\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises((error, SourceRefused)):
        scratch.dump()


def test_a_pg_dump_older_than_the_server_is_refused_with_a_remedy(
    scratch: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:
    monkeypatch.setattr(programs, "_DEBIAN_POSTGRESQL", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delitem(programs._SOURCES, "pg_dump")
    with pytest.raises(programs.ProgramMissing, match=r"the server is PostgreSQL 18\..*18 or newer"):
        scratch.dump()


def test_the_password_is_in_no_argument_list(scratch: Any, cluster: Any) -> None:
    scratch.run(LARGE)
    with scratch.opened() as dump:
        next(next(dump.streams()).chunks)
        (pid,) = children("pg_dump")
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert b"p@ss" not in arguments
    assert b"p%40ss" not in arguments


def test_it_works_over_a_unix_socket(scratch: Any, cluster: Any) -> None:
    host = str(cluster.folder).replace("/", "%2F")
    uri = cluster.uri(scratch.name).get_secret_value().replace("127.0.0.1", host)
    streams, _ = scratch.dump(NIGHTSCAN_DATABASE_URI=uri)
    assert streams["database.sql"]


def as_role(scratch: Any, cluster: Any, *grants: str) -> str:
    scratch.run("CREATE ROLE test_reader LOGIN PASSWORD 'x'", *grants)
    return str(cluster.uri(scratch.name, user="test_reader", password="x").get_secret_value())


def test_a_reader_dumps_too_but_roles_only_without_their_passwords(
    scratch: Any, cluster: Any,
) -> None:
    uri = as_role(scratch, cluster, "CREATE TABLE t AS SELECT 1 AS x",
                  "GRANT SELECT ON t TO test_reader")
    streams, report = scratch.dump(NIGHTSCAN_DATABASE_URI=uri)
    assert tables(report)["public.t"]["rows"] == 1
    assert b"SCRAM" not in streams["database.roles.sql"]
    assert report.notes == ("roles are saved without their passwords: test_reader is no superuser",)


def test_a_table_that_may_not_be_read_is_refused_and_named(scratch: Any, cluster: Any) -> None:
    uri = as_role(scratch, cluster, "CREATE TABLE closed (x int)")
    with pytest.raises(SourceRefused, match=r"permission denied for table closed[^$]*pg_read_all_data"):
        scratch.dump(NIGHTSCAN_DATABASE_URI=uri)


def test_rows_that_a_policy_hides_are_refused_not_left_out(scratch: Any, cluster: Any) -> None:
    uri = as_role(scratch, cluster, "CREATE TABLE t AS SELECT 1 AS x",
                  "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
                  "CREATE POLICY p ON t USING (x > 1)", "GRANT SELECT ON t TO test_reader")
    with pytest.raises(SourceRefused, match="row-level security"):
        scratch.dump(NIGHTSCAN_DATABASE_URI=uri)


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
