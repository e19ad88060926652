"""The component: what is in the dump, what is in its report, and how it fails."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks import programs
from nightscan_tasks.components.base import Shared
from nightscan_tasks.components.database import Database
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
