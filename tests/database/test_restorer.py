"""The restorer's steps: each may be repeated, by another process too, and none loses what was live."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from nightscan_tasks.components import staged_database
from nightscan_tasks.components.database_restorer import DatabaseRestorer
from nightscan_tasks.components.restorer import Position
from nightscan_tasks.components.staged_database import maintenance, reserved, staged_name
from nightscan_tasks.errors import Busy, RestoreRefused


@pytest.fixture
def saved(scratch: Any) -> Any:
    """A set of one table with one row; what is live since has another."""
    scratch.run("CREATE TABLE t AS SELECT 'saved' AS x",
                f"COMMENT ON DATABASE {scratch.name} IS 'ours; [nightscan] and \"so'' on'")
    saved = scratch.saved()
    scratch.run("UPDATE t SET x = 'later'")
    return saved


def content(scratch: Any) -> object:
    return scratch.rows("SELECT x FROM t")[0][0]


def kept(scratch: Any) -> list[str]:
    with scratch.server.connect() as connection:
        return [name for (name,) in connection.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE 'nightscan%' AND datname <> 'nightscan'")]


def comment(scratch: Any) -> object:
    return scratch.rows("SELECT shobj_description(oid, 'pg_database') FROM pg_database "
                        "WHERE datname = current_database()")[0][0]


def put_back(scratch: Any, saved: Any, run_id: str = "r") -> DatabaseRestorer:
    restorer: DatabaseRestorer = scratch.restorer(run_id)
    restorer.stage(saved)
    restorer.swap()
    return restorer


def test_each_step_is_found_again_by_another_process(scratch: Any, saved: Any) -> None:
    assert scratch.restorer().position() is Position.ABSENT
    assert scratch.restorer().stage(saved).fingerprint["tables"] == saved.report.fingerprint["tables"]
    assert (content(scratch), scratch.restorer().position()) == ("later", Position.STAGED)
    swapped = scratch.restorer().swap()
    assert (content(scratch), scratch.restorer().position()) == ("saved", Position.SWAPPED)
    assert swapped.before is not None
    assert swapped.before.startswith("database nightscan_before_")
    assert scratch.restorer().swap() == swapped
    scratch.restorer().undo()
    assert (content(scratch), scratch.restorer().position()) == ("later", Position.UNDONE)
    scratch.restorer().undo()
    (name,) = kept(scratch)
    assert name.startswith("nightscan_undone_")
    assert scratch.restorer().accept() == (f"database {name}",)
    assert (content(scratch), kept(scratch)) == ("later", [])
    assert scratch.restorer().position() is Position.ABSENT
    assert comment(scratch) == "ours; [nightscan] and \"so' on"


def test_an_accepted_restore_lets_the_old_state_go_and_cannot_be_undone(scratch: Any, saved: Any) -> None:
    put_back(scratch, saved)
    assert len(scratch.restorer().accept()) == 1
    assert scratch.restorer().accept() == ()
    assert (content(scratch), kept(scratch)) == ("saved", [])
    with pytest.raises(RestoreRefused, match="run r was accepted"):
        scratch.restorer().undo()
    assert content(scratch) == "saved"
    assert scratch.restorer().position() is Position.SWAPPED
    assert scratch.restorer().swap().before is None
    assert str(comment(scratch)).startswith("ours; [nightscan] and")


def test_a_restorer_touches_only_what_its_own_run_made(scratch: Any, saved: Any) -> None:
    put_back(scratch, saved, "first")
    scratch.run("UPDATE t SET x = 'between'")
    put_back(scratch, saved, "second")
    with pytest.raises(RestoreRefused, match="run second has replaced what run first restored"):
        scratch.restorer("first").undo()
    assert len(scratch.restorer("first").accept()) == 1
    assert scratch.restorer("other").accept() == ()
    scratch.restorer("other").undo()
    scratch.restorer("other").discard()
    scratch.restorer("second").undo()
    assert content(scratch) == "between"
    with pytest.raises(RestoreRefused, match="run first was accepted"):
        scratch.restorer("first").undo()


def test_undoing_before_a_swap_discards_what_was_staged(scratch: Any, saved: Any) -> None:
    for leave in (DatabaseRestorer.undo, DatabaseRestorer.discard):
        scratch.restorer().stage(saved)
        leave(scratch.restorer())
        assert kept(scratch) == []
        assert scratch.restorer().position() is Position.ABSENT
    with pytest.raises(RestoreRefused, match="nothing of run r is staged"):
        scratch.restorer().swap()
    assert content(scratch) == "later"


def test_what_was_not_filled_to_its_end_is_not_swapped_in(scratch: Any, saved: Any) -> None:
    with scratch.server.connect() as connection:
        connection.execute(f"CREATE DATABASE {staged_name('r')}".encode())
    assert scratch.restorer().position() is Position.STAGED
    with pytest.raises(RestoreRefused, match="was not filled to its end"):
        scratch.restorer().swap()
    assert content(scratch) == "later"


def test_a_database_that_did_not_exist_is_made_and_undone_to_nothing(scratch: Any, saved: Any) -> None:
    with scratch.server.connect() as connection:
        connection.execute(f"DROP DATABASE {scratch.name}".encode())
    outlook = scratch.restorer().examine(saved)
    assert (outlook.replaces, outlook.replaced_bytes, outlook.problems) == ("", None, ())
    assert put_back(scratch, saved).swap().before is None
    assert content(scratch) == "saved"
    scratch.restorer().undo()
    assert scratch.restorer().position() is Position.UNDONE
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        scratch.connect()
    assert len(scratch.restorer().accept()) == 1


def rename(scratch: Any, name: str, new_name: str) -> None:
    with scratch.server.connect() as connection:
        connection.execute(f'ALTER DATABASE "{name}" RENAME TO "{new_name}"'.encode())


def test_names_that_were_changed_by_hand_are_found_or_said(scratch: Any, saved: Any) -> None:
    put_back(scratch, saved)
    (before,) = kept(scratch)
    rename(scratch, before, "nightscan_elsewhere")
    assert scratch.restorer().swap().before == "database nightscan_elsewhere"
    rename(scratch, scratch.name, "nightscan_moved")
    with scratch.server.connect() as connection:
        connection.execute(f"CREATE DATABASE {scratch.name}".encode())
    with pytest.raises(RestoreRefused, match="that is now called nightscan_moved"):
        scratch.restorer().undo()
    rename(scratch, scratch.name, "nightscan_strange")
    scratch.restorer().undo()
    assert content(scratch) == "later"


def test_a_new_comment_on_what_is_live_does_not_hide_the_run(scratch: Any, saved: Any) -> None:
    put_back(scratch, saved)
    scratch.run(f"COMMENT ON DATABASE {scratch.name} IS 'fresh'")
    assert scratch.restorer().position() is Position.SWAPPED
    scratch.restorer().undo()
    assert content(scratch) == "later"
    assert scratch.restorer().position() is Position.UNDONE
    assert len(scratch.restorer().accept()) == 1
    assert kept(scratch) == []


def test_an_old_state_that_was_dropped_by_hand_is_said(scratch: Any, saved: Any) -> None:
    put_back(scratch, saved)
    (before,) = kept(scratch)
    with scratch.server.connect() as connection:
        connection.execute(f'DROP DATABASE "{before}"'.encode())
    with pytest.raises(RestoreRefused, match=f"the old state {before} is gone"):
        scratch.restorer().undo()
    assert content(scratch) == "saved"
    assert scratch.restorer().accept() == ()


def test_a_session_that_may_not_be_ended_is_said_and_the_old_state_stays(
    scratch: Any, cluster: Any, saved: Any,
) -> None:
    scratch.run("CREATE ROLE test_app LOGIN CREATEDB PASSWORD 'x'", "ALTER TABLE t OWNER TO test_app",
                f"ALTER DATABASE {scratch.name} OWNER TO test_app",
                "GRANT CREATE ON SCHEMA public TO test_app")
    restorer = DatabaseRestorer(cluster.uri(scratch.name, user="test_app", password="x"), "r")
    restorer.stage(scratch.saved())
    with scratch.connect() as administrator, pytest.raises(RestoreRefused, match="stop the application"):
        restorer.swap()
    assert not administrator.broken
    assert (content(scratch), restorer.position()) == ("later", Position.STAGED)
    assert restorer.swap().before is not None


def test_two_processes_do_not_fill_one_place(scratch: Any, saved: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(staged_database, "_PATIENCE", 2)
    with maintenance(scratch.dsn) as connection, reserved(connection, staged_name("r")), \
            pytest.raises(Busy, match="another process is working on nightscan_staged_r"):
        scratch.restorer().stage(saved)
    scratch.restorer().stage(saved)
