"""Drills with real scratch servers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.drill import drill, prove_key
from nightscan_tasks.model import Tier
from nightscan_tasks.system import System, utc_now

pytestmark = pytest.mark.long


def test_a_drill_restores_compares_measures_and_leaves_nothing_behind(site: Any) -> None:
    set_id = site.save()
    before, held = site.state(), drill(site.system)
    assert held.problems == ()
    assert held.set_id == set_id
    assert {each.component for each in held.components} == {"database", "redis", "user_data"}
    assert all(each.met and each.plain_bytes for each in held.components)
    assert held.loss_seconds is not None
    assert held.loss_seconds > 0
    assert site.state() == before
    assert site.system.restores.drills() == [held]
    assert list(Path(site.environ["NIGHTSCAN_TEMP_DIR"]).iterdir()) == []


def test_a_simulated_loss_recovers_everything_from_the_offsite_copy_alone(site: Any) -> None:
    set_id = site.save()
    Path(site.environ["NIGHTSCAN_BACKUP_DIR"], str(set_id), "manifest.json").unlink()
    held = drill(site.system, simulate_loss=True)
    assert held.problems == ()
    assert held.store == "offsite"
    assert {each.component for each in held.components} == {
        "database", "redis", "user_data", "system_config", "source_code"}
    assert [name for name, _ in held.stages][:2] == ["find", "fetch"]


def test_a_loss_without_any_offsite_store_is_a_drill_that_failed(site: Any) -> None:
    site.save()
    system = site.with_settings(AWS_BACKUP_BUCKET="")
    failed = drill(system, simulate_loss=True)
    assert "no offsite store" in failed.problems[0]
    assert system.restores.drills()[0] == failed


def test_a_drill_fails_when_a_set_is_damaged(site: Any) -> None:
    set_id = site.save()
    path = Path(site.environ["NIGHTSCAN_BACKUP_DIR"], str(set_id), "database.sql.gz.gpg")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    failed = drill(site.system)
    assert len(failed.problems) == 1
    assert f"{set_id}/database.sql.gz.gpg" in failed.problems[0]
    assert f"--set {set_id} --from offsite" in failed.problems[0]


def test_a_drill_fails_when_an_objective_is_missed(site: Any) -> None:
    site.sql("CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS "
             "$$BEGIN PERFORM pg_sleep(1.5); RETURN $1; END$$",
             "CREATE TABLE slowly AS SELECT 1 AS id", "CREATE INDEX ON slowly (slow(id))")
    site.save()
    later = System(site.with_settings(NIGHTSCAN_OBJECTIVE_DATABASE_SECONDS="1").settings,
                   clock=lambda: utc_now() + timedelta(hours=30))
    failed = drill(later)
    assert any("would be lost" in problem for problem in failed.problems)
    assert any(problem.startswith("database took") for problem in failed.problems)
    assert not next(each for each in failed.components if each.component == "database").met


def test_a_drill_fails_when_rows_name_files_that_the_set_has_not(site: Any) -> None:
    site.write("uploads/cache/thumb.wav", b"excluded")
    site.sql("INSERT INTO prediction (filename) VALUES ('cache/thumb.wav')")
    site.save()
    failed = drill(site.system)
    assert any("uploads/cache/thumb.wav" in problem for problem in failed.problems)


def test_a_drill_of_a_tier_takes_the_newest_of_it(site: Any) -> None:
    daily = site.save("database", "redis", "user_data", tier=Tier.DAILY)
    site.save()
    assert drill(site.system, tier=Tier.DAILY).set_id == daily


def test_the_applications_own_servers_are_no_place_for_a_drill(site: Any) -> None:
    site.save()
    before = site.state()
    spelled = site.environ["NIGHTSCAN_DATABASE_URI"].replace("127.0.0.1", "localhost")
    failed = drill(site.with_settings(NIGHTSCAN_DRILL_DATABASE_URI=spelled))
    assert "the application's own database" in failed.problems[0]
    spelled = site.environ["REDIS_URL"].replace("127.0.0.1", "localhost")
    failed = drill(site.with_settings(NIGHTSCAN_DRILL_REDIS_URL=spelled))
    assert "the application's own Redis" in failed.problems[0]
    assert site.state() == before


def test_a_server_that_is_lent_for_a_drill_is_left_as_it_was(site: Any, database: str) -> None:
    site.save()
    lent = f"{database}_lent"
    before = site.rows("SELECT datname FROM pg_database ORDER BY 1")
    held = drill(site.with_settings(NIGHTSCAN_DRILL_DATABASE_URI=lent))
    assert held.problems == ()
    assert site.rows("SELECT datname FROM pg_database ORDER BY 1") == before


def test_the_key_opens_the_newest_set_of_every_store(site: Any, tmp_path: Path) -> None:
    set_id = site.save()
    opened = prove_key(site.system)
    assert [(each.store, each.set_id, each.problem) for each in opened] == [
        ("primary", str(set_id), ""), ("offsite", str(set_id), "")]
    assert all(each.opened >= 8 for each in opened)
    (tmp_path / "no-key").mkdir(mode=0o700)
    refused = prove_key(site.with_settings(NIGHTSCAN_GPG_HOME=str(tmp_path / "no-key")))
    assert all("private key" in each.problem for each in refused)


@pytest.mark.parametrize("tier", [None, Tier.WEEKLY])
def test_where_there_is_no_set_the_drill_fails_and_is_recorded(site: Any, tier: Tier | None) -> None:
    failed = drill(site.system, tier=tier)
    assert "has no complete" in failed.problems[0]
    assert site.system.restores.drills() == [failed]
