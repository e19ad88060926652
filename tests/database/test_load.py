"""Loading over several connections: everything arrives, and the first error ends it and is named."""

from __future__ import annotations

import itertools
import resource
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nightscan_tasks.components.database_fingerprint import compare_fingerprints, fingerprint_database
from nightscan_tasks.components.database_load import load
from nightscan_tasks.components.database_script import NotUnderstood, items
from nightscan_tasks.components.database_staging import Loading
from nightscan_tasks.errors import DigestMismatch, RestoreRefused, SourceUnavailable

KEYS = (
    "CREATE TABLE a (id int PRIMARY KEY, t text UNIQUE)",
    "CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a)",
    "ALTER TABLE a ADD b int REFERENCES b DEFERRABLE INITIALLY DEFERRED",
    "CREATE TABLE c (id int PRIMARY KEY, a int REFERENCES a, b int REFERENCES b, up int REFERENCES c)",
    "CREATE INDEX ON c (a)", "CREATE INDEX ON c (b)", "CREATE INDEX ON c (up, id DESC)",
    "INSERT INTO a SELECT g, g, null FROM generate_series(1, 30000) g",
    "INSERT INTO b SELECT g, g FROM generate_series(1, 30000) g", "UPDATE a SET b = id",
    "INSERT INTO c SELECT g, g, g, g FROM generate_series(1, 30000) g",
    "CREATE TABLE broad AS SELECT g, repeat(md5(g::text), 30) AS t FROM generate_series(1, 8000) g",
)

TABLE = b"CREATE TABLE t (x int);\n"


def into(scratch: Any, text: bytes, *, jobs: int = 3, size: int = 100_000) -> tuple[str, ...]:
    chunks = (text[start:start + size] for start in range(0, len(text), size))
    return load(items(chunks), dsn=scratch.dsn, name=scratch.name, jobs=jobs)


def helping() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("crew")]


def emptied(scratch: Any) -> None:
    with scratch.server.connect() as connection:
        connection.execute(f"DROP DATABASE {scratch.name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {scratch.name} TEMPLATE template0".encode())


@pytest.mark.parametrize("jobs", [1, 3])
def test_tables_that_refer_to_each_other_arrive_with_all_their_keys(scratch: Any, jobs: int) -> None:
    scratch.run(*KEYS)
    streams, report = scratch.dump()
    constraints = "SELECT conname, convalidated FROM pg_constraint WHERE conrelid <> 0 ORDER BY 1"
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
    before = scratch.rows(constraints), scratch.rows(indexes)
    emptied(scratch)
    assert into(scratch, streams["database.sql"], jobs=jobs) == ()
    with scratch.connect() as connection:
        assert compare_fingerprints(report.fingerprint, fingerprint_database(connection, content=True)) == []
    assert (scratch.rows(constraints), scratch.rows(indexes)) == before


@pytest.mark.parametrize(("text", "says"), [
    (TABLE + b"COPY t FROM stdin;\n1\nno number\n\\.\n", 'integer: "no number".*`COPY t FROM'),
    (TABLE + b"COPY gone FROM stdin;\n1\n\\.\n", "gone.*`COPY gone FROM"),
    (TABLE + b"COPY t FROM stdin;\n1\n1\n\\.\nALTER TABLE ONLY t\n    ADD CONSTRAINT p PRIMARY KEY (x);\n",
     "duplicated.*`ALTER TABLE ONLY t ADD"),
    (TABLE + b"SELECT nothing();\n", r"nothing\(\) does not exist[^$]*`SELECT nothing"),
])
def test_the_first_error_names_its_statement_and_ends_all(scratch: Any, text: bytes, says: str) -> None:
    with pytest.raises(RestoreRefused, match=f"(?s){says}"):
        into(scratch, text)
    assert not helping()


def test_a_stream_that_breaks_off_amid_rows_ends_every_connection(scratch: Any) -> None:
    def broken() -> Iterator[bytes]:
        yield b"CREATE TABLE t (x text);\nCOPY t FROM stdin;\n"
        yield b"some text\n" * 300_000
        raise DigestMismatch("damaged")

    with pytest.raises(DigestMismatch):
        load(items(broken()), dsn=scratch.dsn, name=scratch.name, jobs=3)
    assert not helping()
    assert scratch.rows("SELECT FROM pg_stat_activity WHERE application_name = 'nightscan'") == []


def test_a_connection_that_is_lost_is_worth_another_try(scratch: Any) -> None:
    def killing() -> Iterator[bytes]:
        yield b"CREATE TABLE t (x text);\nCOPY t FROM stdin;\n" + b"some text\n" * 100_000
        with scratch.server.connect() as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                               "WHERE application_name = 'nightscan'")
        yield from itertools.repeat(b"some text\n" * 100_000, 20)
        yield b"\\.\n"

    with pytest.raises(SourceUnavailable):
        load(items(killing()), dsn=scratch.dsn, name=scratch.name, jobs=2)


def test_a_setting_that_the_server_does_not_know_is_left_out_and_said(scratch: Any) -> None:
    assert into(scratch, b"SET transaction_timeout = 0;\nSET flux = 1;\nSELECT 1;\n") == (
        "left out, the server does not know it: SET flux = 1;",)


def test_what_is_not_understood_goes_through_psql_if_somebody_says_so(scratch: Any) -> None:
    scratch.run("CREATE TABLE t AS SELECT 1 AS x")
    saved = scratch.saved()
    saved.streams["database.sql"] = saved.streams["database.sql"].replace(
        b"FROM stdin;", b"FROM stdin WITH (FORMAT text);")
    with pytest.raises(NotUnderstood):
        list(items([saved.streams["database.sql"]]))
    with pytest.raises(RestoreRefused, match="not made by pg_dump: a COPY of another kind"):
        scratch.restorer().stage(saved)
    restorer = scratch.restorer(loading=Loading(unguarded=True))
    assert restorer.stage(saved).fingerprint["tables"] == saved.report.fingerprint["tables"]


def test_memory_does_not_grow_with_the_rows(scratch: Any) -> None:
    def rows(count: int) -> Iterator[bytes]:
        yield b"DROP TABLE IF EXISTS t;\nCREATE TABLE t (x text);\nCOPY t FROM stdin;\n"
        yield from itertools.repeat(b"x" * 999 + b"\n", count)
        yield b"\\.\n"

    peaks = []
    for count in (20_000, 100_000):
        load(items(rows(count)), dsn=scratch.dsn, name=scratch.name, jobs=2)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    assert scratch.rows("SELECT count(*) FROM t") == [(100_000,)]
    assert peaks[1] - peaks[0] < 20_000_000
