"""One table, one database of Redis, some keys, some files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.restore import plan_restore, restore, rollback
from nightscan_tasks.workflows.restore import wanted


def test_one_table_comes_back_with_what_depends_on_it_and_others_stay(site: Any) -> None:
    site.sql("CREATE TABLE audit (line text)")
    site.save()
    site.sql("INSERT INTO audit VALUES ('later')", "DROP TABLE prediction CASCADE")
    done = restore(site.system, wanted("database", tables=["prediction"], safety=False))
    assert site.rows("SELECT count(*) FROM prediction") == [(20,)]
    assert site.rows("SELECT line FROM audit") == [("later",)]
    with pytest.raises(Exception, match="foreign key"):
        site.sql("INSERT INTO detection (prediction_id) VALUES (999)")
    rollback(site.system, done.run_id)
    assert site.rows("SELECT to_regclass('prediction')") == [(None,)]


def test_one_database_of_redis_comes_back_alone(saved: Any) -> None:
    with saved.redis(1) as client:
        client.set("other", "changed")
    restore(saved.system, wanted("redis", databases=[1], safety=False))
    with saved.redis(1) as client:
        assert client.get("other") == b"database"
    assert saved.state()["redis"] == "changed"


def test_keys_that_fit_come_back_and_others_stay(saved: Any) -> None:
    with saved.redis() as client:
        client.set("newer", "1")
        client.delete("session")
    restore(saved.system, wanted("redis", keys=["s*"], safety=False))
    with saved.redis() as client:
        assert client.get("newer") == b"1"
        assert client.get("species") == b"owl"
        assert 0 < client.ttl("session") <= 100_000


def test_files_that_fit_come_back_and_others_stay(saved: Any) -> None:
    newer = saved.write("uploads/2026/newer.wav", b"newer")
    done = restore(saved.system, wanted("user_data", paths=["uploads/2026/*"], safety=False))
    assert (saved.root / "uploads/2026/3.wav").read_bytes().startswith(b"sound 3")
    assert newer.read_bytes() == b"newer"
    assert not (saved.root / "models/birds.pt").exists()
    rollback(saved.system, done.run_id)
    assert (saved.root / "uploads/2026/3.wav").read_bytes() == b"spoilt"


def test_files_that_fit_go_into_another_folder(saved: Any, tmp_path: Path) -> None:
    restore(saved.system, wanted("user_data", paths=["models"], target_root=str(tmp_path / "look")))
    found = [path.relative_to(tmp_path / "look") for path in (tmp_path / "look").rglob("*") if path.is_file()]
    assert list(map(str, found)) == ["user_data/models/birds.pt"]
    assert not (saved.root / "models/birds.pt").exists()


def test_a_part_that_matches_nothing_is_refused_with_what_is_near(saved: Any) -> None:
    with pytest.raises(RestoreRefused, match="prediction"):
        restore(saved.system, wanted("database", tables=["predictions"], safety=False))
    with pytest.raises(RestoreRefused, match="uploads"):
        restore(saved.system, wanted("user_data", paths=["upload/2026/*"], safety=False))


def test_a_plan_of_a_part_says_which_tables_come_along(saved: Any) -> None:
    plan = plan_restore(saved.system, wanted("database", tables=["prediction"]))
    said = " ".join([plan.components[0].replaces, *plan.components[0].notes])
    assert "prediction" in said
    assert "detection" in said


@pytest.mark.parametrize(("what", "part", "words"), [
    ("redis", {"tables": ["prediction"]}, "redis has no tables"),
    ("full", {"paths": ["uploads"]}, "a part is of one component")])
def test_a_part_that_does_not_fit_is_refused(what: str, part: dict[str, list[str]], words: str) -> None:
    with pytest.raises(RestoreRefused, match=words):
        wanted(what, **part)  # type: ignore[arg-type]  # each is one of several options
