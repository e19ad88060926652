"""Restores to another place: nothing live is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.restore import restore, rollback
from nightscan_tasks.workflows.restore import wanted

States = tuple[dict[str, str], dict[str, str]]


@pytest.fixture
def other_database(saved: Any) -> Any:
    """The name of a database beside the live one, gone afterwards with all that is kept of it."""
    name = f"{urlsplit(saved.environ['NIGHTSCAN_DATABASE_URI']).path[1:]}_other"
    yield name
    for (each,) in saved.rows("SELECT datname FROM pg_database WHERE datname LIKE 'nightscan\\_%' "
                              "OR datname LIKE '%\\_other'"):
        if each != "nightscan":
            saved.sql(f'DROP DATABASE "{each}" WITH (FORCE)')


def count_in(saved: Any, name: str) -> int:
    uri = urlsplit(saved.environ["NIGHTSCAN_DATABASE_URI"])._replace(path=f"/{name}").geturl()
    with psycopg.connect(uri) as connection:
        row = connection.execute("SELECT count(*) FROM prediction").fetchone()
        return int(row[0]) if row else -1


def test_full_with_a_target_is_what_has_one_and_leaves_everything_live_alone(
        saved: Any, states: States, other_database: str) -> None:
    done = restore(saved.system, wanted(target_db=other_database))
    assert [each.component for each in done.components] == ["database"]
    assert count_in(saved, other_database) == 20
    assert saved.state() == states[1]
    assert not any(each.set_id.tier == "pre_restore" for each in saved.system.catalog().sets())


def test_a_second_restore_to_a_target_keeps_the_first_and_can_be_taken_back(saved: Any,
                                                                           other_database: str) -> None:
    first = restore(saved.system, wanted("database", target_db=other_database))
    second = restore(saved.system, wanted("database", target_db=other_database))
    assert first.components[0].before is None
    assert second.components[0].before is not None
    with pytest.raises(RestoreRefused, match="came after"):
        rollback(saved.system, first.run_id)
    rollback(saved.system, second.run_id)
    assert count_in(saved, other_database) == 20


def test_files_go_into_a_folder_of_ones_choice(saved: Any, states: States, tmp_path: Path) -> None:
    target = tmp_path / "look"
    done = restore(saved.system, wanted("user_data", target_root=str(target)))
    assert (target / "user_data/uploads/2026/3.wav").read_bytes().startswith(b"sound 3")
    assert any(str(target) in note for note in done.components[0].notes)
    assert saved.state() == states[1]
    assert [path.name for path in target.iterdir()] == ["user_data"]
    with pytest.raises(RestoreRefused, match="exists"):
        restore(saved.system, wanted("user_data", target_root=str(target)))


def test_full_with_a_folder_unpacks_all_three_components_of_files(saved: Any, tmp_path: Path) -> None:
    done = restore(saved.system, wanted(target_root=str(tmp_path / "look")))
    assert [each.component for each in done.components] == ["user_data", "system_config", "source_code"]
    assert (tmp_path / "look/source_code/web/app.py").exists()
    assert (tmp_path / "look/system_config/etc/crontab").exists()


def test_a_component_without_its_target_is_refused() -> None:
    with pytest.raises(RestoreRefused, match="give --target-redis"):
        wanted("redis", target_db="elsewhere")


def test_the_broker_is_no_target(saved: Any, states: States) -> None:
    with pytest.raises(RestoreRefused, match="broker"):
        restore(saved.system, wanted("redis", target_redis=saved.environ["NIGHTSCAN_BROKER_URL"]))
    assert saved.state() == states[1]


def test_configuration_and_code_go_live_where_they_were(saved: Any) -> None:
    crontab, app = Path(saved.environ["NIGHTSCAN_ETC"], "crontab"), saved.root / "web/app.py"
    crontab.write_text("# spoilt\n")
    app.write_text("spoilt")
    restore(saved.system, wanted("system_config", safety=False))
    done = restore(saved.system, wanted("source_code", safety=False))
    assert crontab.read_text() == "# nothing\n"
    assert app.read_text() == "print('night')\n"
    assert (saved.root / "uploads/2026/3.wav").read_bytes() == b"spoilt"  # user data is not code
    rollback(saved.system, done.run_id)
    assert app.read_text() == "spoilt"


@pytest.mark.parametrize(("what", "name", "target"), [
    ("database", "NIGHTSCAN_DATABASE_URI", "target_db"), ("redis", "REDIS_URL", "target_redis")])
def test_what_is_live_is_no_target_however_it_is_spelled(saved: Any, states: States, what: str, name: str,
                                                         target: str) -> None:
    spelled = saved.environ[name].replace("127.0.0.1", "localhost")
    with pytest.raises(RestoreRefused, match="the application's own"):
        restore(saved.system, wanted(what, **{target: spelled}))
    assert saved.state() == states[1]
