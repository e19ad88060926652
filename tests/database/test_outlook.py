"""What would stop a restore is found beforehand, with its remedy, and nothing is changed by looking."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nightscan_tasks.components.database_restorer import DatabaseRestorer
from nightscan_tasks.components.restorer import Outlook
from nightscan_tasks.components.staged_database import maintenance, reserved, staged_name
from nightscan_tasks.errors import RestoreRefused


@pytest.fixture
def saved(scratch: Any) -> Any:
    scratch.run('CREATE TABLE "user" (id int PRIMARY KEY)',
                'CREATE TABLE prediction (id int PRIMARY KEY, u int REFERENCES "user")')
    return scratch.saved()


def databases(scratch: Any) -> object:
    return scratch.rows("SELECT oid, datname FROM pg_database ORDER BY 1")


def with_environment(saved: Any, **values: object) -> None:
    fingerprint = dict(saved.report.fingerprint)
    fingerprint["environment"] = {**fingerprint["environment"], **values}
    saved.report = replace(saved.report, fingerprint=fingerprint)


def test_what_will_be_replaced_is_named_and_measured(scratch: Any, saved: Any, cluster: Any) -> None:
    before = databases(scratch)
    outlook = scratch.restorer().examine(saved)
    assert outlook.target == f"database {scratch.name} at 127.0.0.1:{cluster.port} as postgres"
    assert outlook.replaces.startswith(f"{outlook.target}: 2 tables, ")
    assert outlook.replaced_bytes > 1_000_000
    assert (outlook.problems, outlook.notes) == ((), ())
    assert databases(scratch) == before


@pytest.mark.parametrize(("values", "says"), [
    ({"server_version": "99.1"}, "restore to 99 or newer"),
    ({"collate": "tlh_TLH.utf8"}, "tlh_TLH.utf8.*generate that locale"),
    ({"encoding": "LATIN1", "collate": "C.UTF-8", "ctype": "C.UTF-8"}, "encoding.*does not match locale"),
    ({"extensions": {"plpgsql": "1.0", "no_such": "1.0"}}, "lacks the extensions no_such: install"),
    ({"collations": ["C", "tlh_TLH"]}, "columns sort by tlh_TLH.*pg_import_system_collations"),
    ({"roles": ["postgres", "test_gone"], "owner": "test_gone"}, 'CREATE ROLE "test_gone"'),
])
def test_what_the_server_lacks_is_found(scratch: Any, saved: Any, values: Any, says: str) -> None:
    with_environment(saved, **values)
    before = databases(scratch)
    outlook: Outlook = scratch.restorer().examine(saved)
    (problem,) = outlook.problems
    with pytest.raises(RestoreRefused, match=says):
        raise RestoreRefused(problem)
    with pytest.raises(RestoreRefused, match=says):
        scratch.restorer().stage(saved)
    assert databases(scratch) == before


def test_roles_that_the_set_brings_are_no_problem(scratch: Any, saved: Any) -> None:
    with_environment(saved, roles=["postgres", "test_gone"], owner="test_gone")
    saved.streams["database.roles.sql"] += b"CREATE ROLE test_gone;\n"
    assert scratch.restorer().examine(saved).problems == ()
    scratch.restorer().stage(saved)


def test_a_lack_of_rights_is_found(scratch: Any, saved: Any, cluster: Any) -> None:
    scratch.run("CREATE ROLE test_weak LOGIN PASSWORD 'x'")
    with_environment(saved, extensions={"file_fdw": "1.0", "citext": "1.0"})
    dsn = cluster.uri(scratch.name, user="test_weak", password="x")
    problems = DatabaseRestorer(dsn, "r").examine(saved).problems
    assert 'ALTER ROLE "test_weak" CREATEDB' in problems[0]
    assert f"test_weak does not own database {scratch.name}" in problems[1]
    assert "only a superuser may create the extensions file_fdw" in problems[2]
    scratch.run("ALTER ROLE test_weak CREATEDB")
    assert "owner postgres) cannot be made here" in DatabaseRestorer(dsn, "r").examine(saved).problems[-1]


def test_another_restore_at_work_is_a_problem_and_one_that_waits_a_note(scratch: Any, saved: Any) -> None:
    scratch.restorer("other").stage(saved)
    outlook = scratch.restorer().examine(saved)
    assert (outlook.problems, len(outlook.notes)) == ((), 1)
    assert "nightscan_staged_other of run other waits" in outlook.notes[0]
    with maintenance(scratch.dsn) as connection, reserved(connection, staged_name("other")):
        assert "is filling nightscan_staged_other just now" in scratch.restorer().examine(saved).problems[0]
    scratch.restorer().stage(saved)
    assert scratch.restorer("other").swap().before is not None


def test_other_versions_are_said(scratch: Any, saved: Any) -> None:
    saved.report = replace(saved.report, versions={"pg_dump": "99.1 (system)"})
    with_environment(saved, extensions={"citext": "0.1"}, collation_version="0.1")
    notes = "\n".join(scratch.restorer().examine(saved).notes)
    assert "made by pg_dump 99 and goes to PostgreSQL 18" in notes
    assert "extension citext was 0.1, and becomes" in notes


def test_of_a_part_it_is_said_what_comes_along(scratch: Any, saved: Any) -> None:
    scratch.run("CREATE VIEW v AS SELECT * FROM prediction")
    outlook = scratch.restorer(tables=("user",)).examine(saved)
    assert outlook.problems == ()
    assert outlook.replaced_bytes > 8000
    assert 'public."user"' in outlook.replaces
    (note,) = outlook.notes
    assert note == ("come along, because they depend on it: table public.prediction, view public.v")
    scratch.run('CREATE TABLE later (u int REFERENCES "user")')
    (problem,) = scratch.restorer(tables=("user",)).examine(saved).problems
    assert problem.startswith("table public.later is not in the backup: drop it first")
    scratch.run("DROP TABLE prediction CASCADE")
    assert scratch.restorer(tables=("prediction",)).examine(saved).notes == (
        "made anew, because it is not there: public.prediction",)
    (problem,) = scratch.restorer(tables=("predict",)).examine(saved).problems
    assert "did you mean prediction?" in problem
