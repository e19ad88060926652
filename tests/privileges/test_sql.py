"""The role that dumps: its dump is the owner's, and it changes nothing."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql
from pydantic import SecretStr

from nightscan_tasks import process
from nightscan_tasks.components.base import Shared
from nightscan_tasks.components.database import Database
from nightscan_tasks.components.postgres import connect, environment, tool
from nightscan_tasks.doctor.finding import Level
from nightscan_tasks.doctor.sources import database as look_at_database
from nightscan_tasks.model import Report
from nightscan_tasks.settings import Settings
from nightscan_tasks.system import System
from nightscan_tasks.world.world import World

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "privileges" / "sql" / "dump_role.sql"
PASSWORD = "of the dump's role"
_CONTENT = """
CREATE SCHEMA other;
CREATE TABLE public."user" (id serial PRIMARY KEY, name text NOT NULL);
INSERT INTO public."user" (name) SELECT 'user ' || n FROM generate_series(1, 100) n;
CREATE TABLE other.prediction (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), filename text);
INSERT INTO other.prediction (filename) VALUES ('a.wav'), ('b.wav');
CREATE MATERIALIZED VIEW other.names AS SELECT name FROM public."user";
CREATE VIEW public.few AS SELECT * FROM public."user" LIMIT 3;
CREATE TABLE public.secret (id int, owner name, what text);
INSERT INTO public.secret SELECT n, 'somebody', 'hidden ' || n FROM generate_series(1, 10) n;
ALTER TABLE public.secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON public.secret USING (owner = current_user);
SELECT lo_from_bytea(4242, 'a large object');
"""


class Site:
    """A database of the application's owner, and the role that dumps it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.name = f"dumped_{secrets.token_hex(4)}"
        self.role = f"nightscan_dump_{secrets.token_hex(4)}"
        self.owner = SecretStr(world.dsn(self.name))
        self.superuser = SecretStr(world.superuser_dsn(self.name))
        address = world.dsn(self.name).rpartition("@")[2]
        self.dumper = SecretStr(f"postgresql://{self.role}:{PASSWORD.replace(' ', '%20')}@{address}")

    def run(self, dsn: SecretStr, *statements: str) -> None:
        with psycopg.connect(dsn.get_secret_value(), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def grant(self) -> None:
        """As a person does it who follows the file's first lines."""
        with connect(self.superuser) as connection:
            psql = tool("psql", connection)
            process.run([str(psql.path), "-X", "-q", "-v", f"role={self.role}", "-v", "owner=nightscan", "-f",
                         str(SCRIPT)], env=environment(self.superuser, connection))
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                sql.Identifier(self.role), PASSWORD))
            connection.commit()


@pytest.fixture(scope="module")
def site(servers: Any) -> Iterator[Site]:
    world: World = servers("postgres")
    site = Site(world)
    with psycopg.connect(world.superuser_dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER nightscan").format(sql.Identifier(site.name)))
        site.run(site.owner, _CONTENT)
        site.grant()
        yield site
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(site.name)))
        admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(site.role)))


def dumped(dsn: SecretStr) -> tuple[dict[str, str], Report]:
    """Every stream of a dump as text, without the word that pg_dump makes up each time."""
    shared = Shared(announce=lambda: None, listing=_refuse)
    component = Database(Settings(NIGHTSCAN_DATABASE_URI=dsn))  # type: ignore[call-arg]
    with component.open("database", shared) as dump:
        streams = {each.name: b"".join(map(bytes, each.chunks)).decode() for each in dump.streams()}
        report = dump.report()
    return {name: re.sub(r"(?m)^\\(un)?restrict .*$", "", text) for name, text in streams.items()}, report


def _refuse(*_given: Any) -> Any:
    raise AssertionError("a dump of the database lists no files")


def test_its_dump_is_the_owners_word_for_word_and_has_what_policies_hide(site: Site) -> None:
    theirs, their_report = dumped(site.superuser)
    ours, our_report = dumped(site.dumper)
    assert ours["database.sql"] == theirs["database.sql"]
    assert "hidden 10" in ours["database.sql"]
    assert b"a large object".hex() in ours["database.sql"]
    assert our_report.fingerprint == their_report.fingerprint


def test_roles_are_saved_without_passwords(site: Site) -> None:
    ours, report = dumped(site.dumper)
    assert "CREATE ROLE nightscan;" in ours["database.roles.sql"]
    assert "PASSWORD" not in ours["database.roles.sql"]
    assert report.facts["roles_saved"] is True


def test_a_schema_a_table_and_a_large_object_that_come_later_are_dumped_too(site: Site) -> None:
    site.run(site.owner, "CREATE SCHEMA later; CREATE TABLE later.new (id serial, what text)",
             "INSERT INTO later.new (what) VALUES ('came later')",
             "SELECT lo_from_bytea(4343, 'later still')")
    ours, _ = dumped(site.dumper)
    assert "came later" in ours["database.sql"]
    assert b"later still".hex() in ours["database.sql"]


def test_the_doctor_is_content_with_it(site: Site) -> None:
    said = next(iter(look_at_database(System(Settings(NIGHTSCAN_DATABASE_URI=site.dumper)))))  # type: ignore[call-arg]
    assert said.level is Level.OK, said


def test_granting_again_changes_nothing(site: Site) -> None:
    before = dumped(site.dumper)[0]
    site.grant()
    assert dumped(site.dumper)[0] == before


@pytest.mark.parametrize("statement", [
    'INSERT INTO public."user" (name) VALUES (\'x\')', 'UPDATE public."user" SET name = \'x\'',
    'DELETE FROM public."user"', 'TRUNCATE public."user"', 'DROP TABLE public."user"',
    'ALTER TABLE public."user" ADD COLUMN x int', 'BEGIN; LOCK TABLE public."user" IN EXCLUSIVE MODE',
    "CREATE TABLE public.mine (x int)", "CREATE TABLE other.mine (x int)", "CREATE SCHEMA mine",
    "CREATE TEMPORARY TABLE mine (x int)", "SELECT nextval('public.user_id_seq')",
    "SELECT setval('public.user_id_seq', 1)", "SELECT lo_unlink(4242)", "SELECT lo_put(4242, 0, 'x')",
    "REFRESH MATERIALIZED VIEW other.names", "CREATE FUNCTION public.f() RETURNS int RETURN 1",
    "CREATE ROLE mine", "CREATE DATABASE mine", "ALTER ROLE nightscan PASSWORD 'x'", "SET ROLE nightscan",
    "SET SESSION AUTHORIZATION postgres", "ALTER SYSTEM SET work_mem = '1GB'", "CREATE EXTENSION hstore",
    "SELECT pg_read_file('/etc/passwd')", "COPY public.few TO PROGRAM 'cat'", "CREATE PUBLICATION p",
    "SELECT rolpassword FROM pg_authid", "SELECT umoptions FROM pg_user_mapping",
    "SELECT subconninfo FROM pg_subscription", "GRANT pg_read_all_data TO nightscan",
    'CREATE TRIGGER t BEFORE INSERT ON public."user" EXECUTE FUNCTION suppress_redundant_updates_trigger()',
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
])
def test_it_may_not_even_where_it_says_that_it_wants_to_write(site: Site, statement: str) -> None:
    with psycopg.connect(site.dumper.get_secret_value(), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement.encode())


def test_by_itself_it_does_not_want_to(site: Site) -> None:
    with psycopg.connect(site.dumper.get_secret_value()) as connection:
        assert connection.execute("SHOW default_transaction_read_only").fetchone() == ("on",)
        # What nobody can be kept from in PostgreSQL: large objects of its own. They change none of others.
        with pytest.raises(errors.ReadOnlySqlTransaction):
            connection.execute("SELECT lo_create(0)")


def test_it_reaches_no_other_database_that_is_closed_to_the_public(site: Site, database: str) -> None:
    name = database.rpartition("/")[2]
    with psycopg.connect(site.superuser.get_secret_value(), autocommit=True) as admin:
        admin.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
    address = site.dumper.get_secret_value().rpartition("/")[0]
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(f"{address}/{name}")
