"""A dump that was made to take over the server: restored by a superuser, it gets and changes nothing."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from nightscan_tasks.components import database_aside
from nightscan_tasks.components.database_filler import Filler
from nightscan_tasks.components.database_guard import Guard
from nightscan_tasks.components.database_script import NotUnderstood, items
from nightscan_tasks.components.database_staging import Loading
from nightscan_tasks.components.restorer import Position
from nightscan_tasks.errors import RestoreRefused

# {program}: runs a program on the server's host; {live}: the live database; {marker}: a file there.
STATEMENTS = [
    "{program};",
    "copy (select 1) to program 'touch {marker}';",
    "RESET ROLE;\n{program};",
    "SET SESSION AUTHORIZATION postgres;\n{program};\nRESET SESSION AUTHORIZATION;",
    "SET SESSION AUTHORIZATION DEFAULT;",
    "SET ROLE postgres;",
    "ALTER ROLE nightscan SUPERUSER;",
    "CREATE ROLE test_evil SUPERUSER LOGIN PASSWORD 'x';",
    "CREATE USER test_evil SUPERUSER;",
    "GRANT postgres TO nightscan;",
    "GRANT pg_execute_server_program TO nightscan;",
    "\\! touch {marker}",
    "\\copy prediction to program 'touch {marker}'",
    "\\unrestrict x\n\\! touch {marker}",
    "DO $$BEGIN EXECUTE 'ALTER ROLE nightscan SUPERUSER'; END$$;",
    "CALL public.evil();",
    "SELECT pg_catalog.lo_export(1, '{marker}');",
    "SELECT pg_catalog.pg_read_file('/etc/passwd');",
    "COPY public.prediction TO '{marker}';",
    "COPY public.prediction FROM PROGRAM 'touch {marker}';",
    "COPY public.prediction (id) FROM stdin WHERE public.evil();\n\\.\n",
    "LOAD 'evil';",
    "ALTER SYSTEM SET archive_command = 'touch {marker}';",
    "DROP DATABASE {live} WITH (FORCE);",
    "ALTER DATABASE {live} RENAME TO gone;",
    "COMMIT; DROP DATABASE {live} WITH (FORCE);",
    "COMMENT ON DATABASE {live} IS '[nightscan {{}}]';",
    "GRANT ALL ON DATABASE {live} TO PUBLIC;",
    "CREATE DATABASE test_evil;",
    "ALTER DATABASE {live} SET session_preload_libraries = 'evil';",
    "CREATE TABLESPACE evil LOCATION '/tmp';",
    "/**/ {program};",
    "BEGIN; {program};",
]
ROWS = "COPY public.trap (x) FROM stdin;\n1\n\\.\n"
# Statements that the attacker's function runs while the dump is loaded; each error is swallowed.
WISHES = [
    "{program}", "RESET ROLE", "RESET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION postgres",
    "SET ROLE postgres", "SET ROLE nightscan", "{program}", "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE CURRENT_USER LOGIN", "GRANT pg_execute_server_program TO CURRENT_USER",
    "GRANT postgres TO CURRENT_USER", "CREATE ROLE test_evil", "ALTER DATABASE {live} CONNECTION LIMIT 0",
    "ALTER DATABASE {live} RENAME TO gone", "ALTER DATABASE {live} SET search_path = evil",
    "COMMENT ON DATABASE {live} IS 'evil'", "GRANT ALL ON DATABASE {live} TO PUBLIC",
    "CREATE EXTENSION file_fdw", "CREATE EXTENSION dblink",
    "SELECT lo_export(lo_from_bytea(0, ''x''), ''{marker}'')", "SELECT pg_read_file(''/etc/passwd'')",
    "SELECT set_config(''session_authorization'', ''postgres'', false)",
    "CREATE FUNCTION public.c() RETURNS int LANGUAGE c AS ''libc.so.6'', ''getpid''",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
    "CREATE EVENT TRIGGER evil ON ddl_command_end EXECUTE FUNCTION public.on_ddl()", "{program}",
]


def filled_in(text: str, site: Any) -> str:
    return text.format(program=site.program, live=site.name, marker=site.marker)


def evil(site: Any, *, returns: str = "boolean", name: str = "evil()", value: str = "true") -> str:
    """A function that tries everything as soon as it runs anywhere but where it was made."""
    tries = "\n".join(f"BEGIN EXECUTE '{wish}'; EXCEPTION WHEN OTHERS THEN NULL; END;" for wish in (
        filled_in(each, site).replace("''", "'").replace("'", "''") for each in WISHES))
    there = f"current_database() LIKE 'nightscan_staged%' OR current_database() = '{site.name}'"
    return (f"CREATE FUNCTION public.{name} RETURNS {returns} LANGUAGE plpgsql AS $evil$ BEGIN\n"
            f"IF {there} THEN\n"
            f"{tries}\nEND IF; RETURN {value}; END $evil$")


def left(site: Any) -> list[Any]:
    found: list[Any] = site.rows(
        "SELECT rolname FROM pg_roles WHERE starts_with(rolname::text, 'nightscan_restore_') UNION ALL "
        "SELECT datname FROM pg_database WHERE datname LIKE 'nightscan_staged%'")
    return found


@pytest.mark.parametrize("role", ["nightscan_restore_x", ""], ids=["filler", "owner"])
@pytest.mark.parametrize("text", STATEMENTS)
def test_what_no_dump_has_goes_nowhere(text: str, role: str) -> None:
    words = text.format(program="COPY (SELECT 1) TO PROGRAM 'x'", live="live", marker="/marker")
    guard = Guard(Filler((), role), None)  # type: ignore[arg-type]  # no server is asked
    passed: list[object] = []
    refused = False
    try:
        for item in guard.sifted(items([words.encode()])):
            passed.append(item)  # noqa: PERF402 - what passed before the refusal counts too
    except (RestoreRefused, NotUnderstood):
        refused = True
    assert set(passed) <= HARMLESS
    assert refused or (not role and "SESSION AUTHORIZATION" in text)


# An owner is nobody but itself, so the server refuses the former.
HARMLESS = {b"SET SESSION AUTHORIZATION postgres;", b"SET SESSION AUTHORIZATION DEFAULT;",
            b"RESET SESSION AUTHORIZATION;", b"BEGIN;", b"COMMIT;"}


@pytest.mark.parametrize("owner", [False, True])
@pytest.mark.parametrize("text", [
    STATEMENTS[0], "\\! touch {marker}", "COMMIT; DROP DATABASE {live} WITH (FORCE);",
    "SET SESSION AUTHORIZATION postgres;\n{program};\nRESET SESSION AUTHORIZATION;"])
def test_a_restore_of_it_is_refused_and_leaves_everything_as_it_was(
        site: Any, saved: Any, text: str, owner: bool) -> None:
    before = site.state()
    with pytest.raises(RestoreRefused, match="the live database was not touched"):
        site.restorer(dsn=SecretStr(site.uri) if owner else site.superuser).stage(
            saved.with_sql(filled_in(text, site)))
    assert not site.marker.exists()
    assert site.state() == before
    assert left(site) == []


@pytest.fixture
def saved(site: Any) -> Any:
    return site.saved()


@pytest.fixture
def trapped(site: Any, other: Any) -> Any:
    """An attacker's whole database, with traps in it, dumped as any other."""
    other.run(
        evil(site), evil(site, name="evil(int)", returns="int", value="$1"),
        evil(site, name="on_change()", returns="trigger", value="new"),
        "CREATE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
        evil(site, name="starts_with(name, text)"),
        "ALTER FUNCTION evil(int) IMMUTABLE",
        "CREATE TABLE trap (x int CHECK (public.evil()))", "INSERT INTO trap VALUES (1)",
        "CREATE TABLE bait (x int)", "INSERT INTO bait VALUES (1)", "CREATE INDEX ON bait (public.evil(x))",
        "CREATE TRIGGER t BEFORE INSERT OR UPDATE ON bait FOR EACH ROW EXECUTE FUNCTION on_change()",
        "CREATE MATERIALIZED VIEW m AS SELECT public.evil() AS x",
        "CREATE TABLE prediction (id serial PRIMARY KEY, filename text)",
        "INSERT INTO prediction (filename) VALUES ('theirs.wav')",
        "CREATE VIEW v AS SELECT public.evil() AS x",
        "CREATE FUNCTION public.definer() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS "
        f"$$BEGIN {site.program}; RETURN 1; END$$",
        "CREATE EVENT TRIGGER test_ddl ON ddl_command_end EXECUTE FUNCTION public.on_ddl()",
        "ALTER TABLE prediction OWNER TO nightscan")
    saved = other.saved()
    other.run("DROP EVENT TRIGGER test_ddl")
    return saved


def test_whatever_the_functions_of_a_dump_try_they_get_no_rights(site: Any, trapped: Any) -> None:
    before = site.state()
    restorer = site.restorer()
    staged = restorer.stage(trapped)
    assert not site.marker.exists()
    notes = "\n".join(staged.notes)
    assert "not restored, since only a superuser may: CREATE EVENT TRIGGER test_ddl" in notes
    assert "belonged to postgres, a superuser, and do no more" in notes
    (name,) = [name for (name,) in left(site)]
    assert name == "nightscan_staged_r"
    mighty = site.rows("SELECT relname FROM pg_class JOIN pg_roles r ON r.oid = relowner WHERE rolsuper "
                       "AND relnamespace = 'public'::regnamespace UNION ALL SELECT proname FROM pg_proc "
                       "JOIN pg_roles r ON r.oid = proowner WHERE rolsuper "
                       "AND pronamespace = 'public'::regnamespace", name)
    assert mighty == []
    restorer.discard()
    roles = [row for row in site.state()[1] if row[0] != "nightscan_restored"]
    assert (site.state()[0], roles, *site.state()[2:]) == before
    assert left(site) == []


def test_after_the_swap_nothing_of_ours_steps_into_a_trap(site: Any, trapped: Any) -> None:
    """What a superuser does afterwards: asking how far a restore is, statistics, undoing, a part of it."""
    restorer = site.restorer()
    restorer.stage(trapped)
    restorer.swap()
    assert site.restorer().position() is Position.SWAPPED
    site.run("ANALYZE")
    part = site.restorer(tables=("bait",))
    object.__setattr__(part, "run_id", "part")
    part.stage(trapped)
    part.swap()
    assert part.position() is Position.SWAPPED
    part.undo()
    part.accept()
    assert not site.marker.exists()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        site.run("SELECT public.definer()")  # a superuser calls it, and it is nobody's
    assert left(site) == []
    site.restorer().undo()
    assert site.rows("SELECT count(*) FROM prediction") == [(20,)]


def test_a_person_may_let_a_dump_run_with_all_rights(site: Any, saved: Any) -> None:
    site.restorer(loading=Loading(unguarded=True)).stage(saved.with_sql(f"{site.program};"))
    assert site.marker.exists()
    site.restorer().discard()


ROLES = """
CREATE ROLE test_theirs;
ALTER ROLE test_theirs WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS PASSWORD 'x';
ALTER ROLE test_theirs SET work_mem TO '9MB';
ALTER ROLE test_theirs SET session_preload_libraries TO 'evil';
ALTER ROLE test_theirs SET local_preload_libraries TO 'evil';
GRANT pg_execute_server_program TO test_theirs;
GRANT postgres TO test_theirs WITH ADMIN OPTION GRANTED BY postgres;
GRANT nightscan TO test_theirs;
ALTER ROLE nightscan WITH SUPERUSER;
CREATE ROLE test_unasked WITH SUPERUSER;
ALTER ROLE test_theirs RENAME TO postgres2;
ALTER ROLE test_theirs WITH LOGIN PASSWORD 'x' SUPERUSER; ALTER ROLE test_theirs SUPERUSER;
COMMENT ON ROLE test_theirs IS 'x'; {program};
"""


def test_saved_roles_make_nobody_mightier_than_the_owner_of_a_database(site: Any, saved: Any) -> None:
    crafted = saved.with_roles(ROLES.format(program=site.program)).with_environment(
        roles=["nightscan", "test_theirs"], settings=[
            ["", "session_preload_libraries", "evil"], ["postgres", "search_path", "evil"],
            ["", "work_mem", "7MB"]])
    notes = "\n".join(site.restorer().stage(crafted).notes)
    assert site.rows("SELECT rolsuper, rolcreaterole, rolreplication, rolbypassrls, rolcreatedb, "
                     "rolcanlogin, rolconfig FROM pg_roles WHERE rolname LIKE 'test%'") == [
        (False, False, False, False, True, True, ["work_mem=9MB"])]
    assert site.rows("SELECT FROM pg_auth_members WHERE member::regrole::text LIKE 'test%'") == []
    assert not site.rows("SELECT FROM pg_roles WHERE rolname = 'nightscan' AND rolsuper")
    assert site.rows("SELECT setconfig FROM pg_db_role_setting WHERE setdatabase <> 0") == [
        (["work_mem=7MB"],)]
    assert not site.marker.exists()
    assert 'ALTER ROLE "test_theirs" SUPERUSER CREATEROLE REPLICATION BYPASSRLS' in notes
    assert 'GRANT "pg_execute_server_program" TO "test_theirs"' in notes
    assert "not restored, since it may give more rights than the set should: setting search_path" in notes


@pytest.mark.parametrize("grants", [[["nightscan", "ALL ON DATABASE {live} TO PUBLIC; {program}; --", False]],
                                    [["nightscan", "CONNECT, CREATE", False]]])
def test_a_manifest_cannot_smuggle_statements_in(site: Any, saved: Any, grants: list[list[Any]]) -> None:
    wishes = [[role, filled_in(words, site), option] for role, words, option in grants]
    with pytest.raises(RestoreRefused, match="the manifest was tampered with"):
        site.restorer().stage(saved.with_environment(grants=wishes))
    assert not site.marker.exists()
    assert left(site) == []


@pytest.mark.parametrize("name", ["file_fdw", "dblink"])
def test_extensions_that_open_the_host_are_not_made_for_a_dump(site: Any, saved: Any, name: str) -> None:
    wanted = saved.with_environment(extensions={name: "1.0"})
    (problem,) = site.restorer().examine(wanted).problems
    assert f"NIGHTSCAN_RESTORE_EXTENSIONS={name}" in problem
    sneaking = saved.with_sql(f"CREATE EXTENSION IF NOT EXISTS {name} WITH SCHEMA public;")
    with pytest.raises(RestoreRefused, match=f"permission denied to create extension .{name}"):
        site.restorer().stage(sneaking)
    made = f"CREATE EXTENSION IF NOT EXISTS {name} WITH SCHEMA public;\nCREATE TABLE"
    saved.streams["database.sql"] = saved.streams["database.sql"].replace(b"CREATE TABLE", made.encode(), 1)
    with pytest.raises(RestoreRefused, match=f"asks for the extension {name}"):
        site.restorer().stage(saved)
    allowed = site.restorer(loading=Loading(extensions=(name,)))
    assert allowed.examine(wanted).problems == ()
    allowed.stage(saved)


def test_an_extension_that_only_a_superuser_may_make_comes_back(site: Any) -> None:
    site.run("CREATE EXTENSION pg_stat_statements", "COMMENT ON EXTENSION pg_stat_statements IS 'it''s ours'",
             "CREATE EXTENSION citext")
    saved = site.saved()
    assert site.restorer().stage(saved).notes == ()
    assert site.rows("SELECT extname, obj_description(oid, 'pg_extension') FROM pg_extension "
                     "WHERE extname LIKE 'pg_stat%'", "nightscan_staged_r") == [
        ("pg_stat_statements", "it's ours")]


def test_a_comment_that_looks_like_ours_runs_nothing() -> None:
    key = {"table": "t", "name": "k", "leads_to": "u"}
    for definition, fits in (
            ('FOREIGN KEY (a, "b c") REFERENCES public."user"(id, x) ON DELETE SET NULL (a)', True),
            ("FOREIGN KEY (a) REFERENCES u(id) DEFERRABLE INITIALLY DEFERRED NOT VALID", True),
            ("FOREIGN KEY (a) REFERENCES u(id); COPY (SELECT 1) TO PROGRAM 'x'", False),
            ("CHECK (public.evil())", False)):
        comment = "nightscan " + json.dumps({"name": "n", "run_id": "r", "kind": "before", "of": "public",
                                             "keys": [{**key, "definition": definition}], "instead": [],
                                             "whole": False})
        assert (database_aside._read("n", comment) is not None) is fits
