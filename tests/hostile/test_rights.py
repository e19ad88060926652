"""Whose rights a dump has: those of a role that owns nothing but the new database, however we are let in."""

from __future__ import annotations

import importlib.util
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from nightscan_tasks.components.database_filler import reader, role_name
from nightscan_tasks.components.database_restorer import DatabaseRestorer
from nightscan_tasks.components.postgres import connect
from nightscan_tasks.drill import drill
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.programs import find

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("database_server", ROOT / "tests/database/conftest.py")
assert _spec is not None
assert _spec.loader is not None
_servers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_servers)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server whose rules of who is let in are the test's to write."""
    made = _servers.Server(tmp_path_factory.mktemp("hba"))
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.fixture
def rules(server: Any) -> Iterator[Any]:
    """Let the server follow these lines of pg_hba.conf, before those that it has."""
    file = server.folder / "pg_hba.conf"
    text = file.read_text()

    def follow(*lines: str) -> None:
        file.write_text("\n".join((*lines, text)))
        with server.connect() as connection:
            loaded = connection.execute("SELECT pg_conf_load_time()").fetchone()
            connection.execute("SELECT pg_reload_conf()")
        while True:  # it is told, and does it when it can
            with server.connect() as connection:
                if connection.execute("SELECT pg_conf_load_time()").fetchone() != loaded:
                    return
            time.sleep(0.02)

    yield follow
    file.write_text(text)
    with server.connect() as connection:
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture
def scratch(server: Any) -> Iterator[Any]:
    with _servers.made(server) as database:
        database.run("CREATE TABLE t AS SELECT 1 AS x")
        yield database
    with server.connect() as connection:
        _servers.drop(connection, [name for (name,) in connection.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE 'nightscan_%'").fetchall()])


def by_socket(scratch: Any) -> SecretStr:
    return SecretStr(make_conninfo("", host=str(scratch.server.folder), port=scratch.server.port,
                                   dbname=scratch.name, user="postgres"))


def fillers(scratch: Any) -> list[Any]:
    rows: list[Any] = scratch.rows("SELECT rolname FROM pg_roles "
                                   "WHERE starts_with(rolname::text, 'nightscan_restore_')")
    return rows


@pytest.mark.parametrize("lines", [
    ("local all all trust",), ("local all postgres trust", "local all all scram-sha-256"),
    ("local all postgres trust", "local all all reject", "host all all 127.0.0.1/32 scram-sha-256"),
    ("local all postgres trust", "local all all peer"),
], ids=["trust", "password", "tcp", "peer"])
def test_a_superuser_on_a_socket_restores_as_somebody_else(scratch: Any, rules: Any, lines: tuple[str, ...],
                                                           ) -> None:
    saved = scratch.saved()
    rules(*lines)
    restorer = DatabaseRestorer(by_socket(scratch), "r")
    restorer.stage(saved)
    assert restorer.swap().before is not None
    assert scratch.rows("SELECT * FROM t") == [(1,)]
    assert fillers(scratch) == []


def test_where_nobody_else_is_let_in_it_is_said_what_to_do(scratch: Any, rules: Any) -> None:
    saved = scratch.saved()
    rules("local all postgres trust", "local all all reject", "host all postgres 127.0.0.1/32 scram-sha-256",
          "host all all 127.0.0.1/32 reject")
    with pytest.raises(RestoreRefused, match=r"(?s)pg_hba.*restore as the owner.*--unguarded"):
        DatabaseRestorer(by_socket(scratch), "r").stage(saved)
    assert scratch.rows("SELECT FROM pg_database WHERE datname LIKE 'nightscan_staged%'") == []
    assert fillers(scratch) == []


@pytest.fixture
def role(server: Any) -> Iterator[Any]:
    """Make a role that may log in; gone afterwards."""
    with server.connect() as connection:
        connection.execute("CREATE ROLE test_one LOGIN CREATEDB PASSWORD 'x'")
        yield lambda words: connection.execute(words.encode())
        connection.execute("DROP OWNED BY test_one")
        connection.execute("DROP ROLE test_one")


def test_one_who_makes_roles_makes_another_for_the_dump(role: Any, scratch: Any) -> None:
    """As the main user of a hosted server."""
    role("ALTER ROLE test_one CREATEROLE")
    scratch.run(f"ALTER DATABASE {scratch.name} OWNER TO test_one", "ALTER TABLE t OWNER TO test_one",
                "CREATE TABLE who (u name CHECK (u <> current_user))", "ALTER TABLE who OWNER TO test_one",
                "INSERT INTO who VALUES ('test_one')")
    saved = scratch.saved()
    restorer = DatabaseRestorer(scratch.server.uri(scratch.name, user="test_one", password="x"), "r")
    assert restorer.stage(saved).notes == ()
    restorer.swap()
    assert scratch.rows("SELECT tableowner FROM pg_tables WHERE schemaname = 'public'") == [("test_one",)] * 2
    assert fillers(scratch) == []
    restorer.undo()
    restorer.accept()


def test_one_who_reaches_files_and_makes_no_roles_is_refused(role: Any, scratch: Any) -> None:
    scratch.run(f"ALTER DATABASE {scratch.name} OWNER TO test_one", "ALTER TABLE t OWNER TO test_one")
    saved = scratch.saved()
    role("GRANT pg_write_server_files TO test_one")
    restorer = DatabaseRestorer(scratch.server.uri(scratch.name, user="test_one", password="x"), "r")
    with pytest.raises(RestoreRefused, match=r"test_one may reach files or programs.*--unguarded"):
        restorer.stage(saved)
    assert scratch.rows("SELECT FROM pg_database WHERE datname LIKE 'nightscan_staged%'") == []


def test_the_role_of_a_restore_that_died_is_removed_by_the_next(scratch: Any) -> None:
    saved = scratch.saved()
    dead = role_name("dead")
    with scratch.server.connect() as connection:
        connection.execute(f"CREATE ROLE {dead} NOLOGIN".encode())
        connection.execute(f"GRANT CREATE ON DATABASE {scratch.name} TO {dead}".encode())
    scratch.run(f"CREATE SCHEMA of_the_dead AUTHORIZATION {dead}")
    scratch.restorer().stage(saved)
    assert fillers(scratch) == []
    assert scratch.rows("SELECT FROM pg_namespace WHERE nspname = 'of_the_dead'") == []


def test_whoever_reads_what_was_restored_may_not_write_it(scratch: Any) -> None:
    with reader(scratch.dsn) as dsn, connect(dsn) as connection:
        assert connection.execute("SELECT x FROM public.t").fetchone() == (1,)
        for words in ("UPDATE public.t SET x = 2", "COPY (SELECT 1) TO PROGRAM 'true'",
                      "RESET ROLE; SET ROLE postgres"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(words.encode())
    assert fillers(scratch) == []


def test_a_drill_reads_no_view_with_a_superusers_rights(
        environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in environ.items():
        monkeypatch.setenv(key, value)
    spec = importlib.util.spec_from_file_location("restore_site", ROOT / "tests/restore/conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    site = module.Site(environ)
    tmp_path.chmod(0o777)
    marker = tmp_path / "written-by-attacker"
    site.fill()
    site.sql("CREATE FUNCTION public.evil() RETURNS text LANGUAGE plpgsql AS $$BEGIN "
             f"EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch {marker}'''; RETURN 'x'; "
             "EXCEPTION WHEN OTHERS THEN RETURN 'x'; END$$",
             "ALTER TABLE prediction RENAME TO hidden",
             "CREATE VIEW prediction AS SELECT id, public.evil() AS filename FROM hidden")
    site.save("database", "redis", "user_data")
    held = drill(site.system)
    assert {each.component for each in held.components} == {"database", "redis", "user_data"}
    assert not marker.exists()


def test_the_least_privileged_role_restores(site: Any) -> None:
    """With docs/privileges/sql/restore_role.sql as it is."""
    psql = find("psql", at_least=(13,))
    subprocess.run([str(psql.path), "-X", "-q", "-v", "role=test_restorer", "-v", f"database={site.name}",
                    "-f", str(ROOT / "docs/privileges/sql/restore_role.sql"), site.server.superuser_dsn()],
                   check=True, capture_output=True)
    site.run("ALTER ROLE test_restorer PASSWORD 'x'", "ALTER TABLE prediction OWNER TO test_restorer",
             "CREATE TABLE other AS SELECT 2 AS x", "ALTER TABLE other OWNER TO test_restorer")
    parts = urlsplit(site.uri)
    uri = parts._replace(netloc=f"test_restorer:x@{parts.hostname}:{parts.port}").geturl()
    saved = site.saved(uri)
    assert saved.report.fingerprint["environment"]["owner"] == "test_restorer"
    site.run("DELETE FROM prediction", "DELETE FROM other")
    content = "SELECT (SELECT count(*) FROM prediction), (SELECT count(*) FROM other)"
    for tables, found in ((("prediction",), (20, 0)), ((), (20, 1))):
        restorer = DatabaseRestorer(SecretStr(uri), f"r{found}", tables=tables)
        assert restorer.examine(saved).problems == ()
        assert restorer.stage(saved).notes == ()
        restorer.swap()
        assert site.rows(content) == [found]
        restorer.accept()
