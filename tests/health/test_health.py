"""Health tells what of the live application works, and what to do about what does not."""

import json
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import redis
from click.testing import CliRunner

from nightscan_tasks.cli import nightscan
from nightscan_tasks.doctor import Finding, Level
from nightscan_tasks.model import Manifest
from nightscan_tasks.tasks.proof import health_check
from worker.queues import RESTORE, ROUTES

Checked = Callable[..., dict[str, Finding]]
_TABLES = """
CREATE TABLE "user" (id serial PRIMARY KEY, email text UNIQUE);
CREATE TABLE prediction (id int, filename text);
CREATE VIEW seen AS SELECT filename FROM prediction;
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
"""


@pytest.fixture
def tables(database: str) -> str:
    with psycopg.connect(database) as connection:
        connection.execute(_TABLES)
    return database


def run(database: str, statement: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(statement)


def save(client: redis.Redis) -> None:
    client.bgsave()
    while client.info()["rdb_bgsave_in_progress"]:
        time.sleep(0.02)


def test_where_all_is_well_every_line_is_ok(checked: Checked, tables: str,
                                            saved: Callable[[], Manifest]) -> None:
    manifest = saved()
    found = checked({"NIGHTSCAN_SERVICES_CHECK": "true"})
    assert {each.level for name, each in found.items() if not name.startswith("space")} == {Level.OK}, found
    assert found["database"].found.startswith("PostgreSQL ")
    assert found["schema"].found == f"2 tables, as in {manifest.set_id}"
    assert str(manifest.set_id) in found["newest set"].found
    assert {name for name in found if name.startswith("space")} == {"space root, temp, backups"}


def test_what_does_not_answer_is_named_with_its_setting_and_no_secret(checked: Checked) -> None:
    found = checked({"NIGHTSCAN_DATABASE_URI": "postgresql://nightscan:hunter2@localhost:1/x",
                     "REDIS_URL": "redis://:hunter2@localhost:1/0"})
    assert found["database"].level is found["redis"].level is Level.FAIL
    assert "REDIS_URL" in found["redis"].found
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(("change", "level", "said"), [
    ('DROP TABLE "user"', Level.FAIL, 'table public."user"'),
    ("DROP VIEW seen", Level.WARN, "0 views instead of 1"),
    ("DROP FUNCTION one", Level.WARN, "0 functions instead of 1"),
    ("CREATE TABLE sensor (id int)", Level.WARN, "newer than the set"),
    ("CREATE INDEX ON prediction (id)", Level.WARN, "indexes instead of"),
])
def test_a_schema_is_compared_with_the_newest_set(checked: Checked, tables: str, change: str, level: Level,
                                                  said: str, saved: Callable[[], Manifest]) -> None:
    saved()
    run(tables, change)
    finding = checked()["schema"]
    assert finding.level is level, finding
    assert said in finding.found


def test_a_schema_is_compared_with_the_set_that_is_named(checked: Checked, tables: str,
                                                         saved: Callable[[], Manifest]) -> None:
    old = saved()
    run(tables, "DROP TABLE prediction CASCADE")
    new = saved()
    assert checked()["schema"].found == f"1 table, as in {new.set_id}"
    assert checked(manifest=old)["schema"].level is Level.FAIL
    assert checked(manifest=new)["schema"].level is Level.OK


def test_a_database_that_takes_no_writes_is_a_failure(checked: Checked, database: str) -> None:
    name = database.rpartition("/")[2].partition("?")[0]
    run(database, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert "it is read-only" in checked()["database"].found


def test_a_redis_that_is_a_replica_is_a_failure(checked: Checked, app_redis: str) -> None:
    with redis.Redis.from_url(app_redis) as client:
        client.replicaof("127.0.0.1", "1")
        try:
            finding = checked()["redis"]
        finally:
            client.replicaof("NO", "ONE")
    assert finding.level is Level.FAIL
    assert "REPLICAOF NO ONE" in finding.advice


def test_a_redis_that_could_not_save_is_warned_of(checked: Checked, app_redis: str) -> None:
    with redis.Redis.from_url(app_redis) as client:
        dump = Path(client.config_get("dir")["dir"], client.config_get("dbfilename")["dbfilename"])
        dump.unlink(missing_ok=True)
        dump.mkdir()  # a file cannot be renamed over a folder, not even by root
        try:
            save(client)
            finding = checked()["redis"]
        finally:
            dump.rmdir()
            save(client)
    assert finding.level is Level.WARN
    assert "its last save to disk failed" in finding.found


@pytest.mark.parametrize(("mode", "level", "advice"), [
    (0o550, Level.FAIL, "chmod u+rwx "), (0o777, Level.WARN, "chmod o-w "), (0o750, Level.OK, "")])
def test_a_folder_that_its_owner_cannot_use_or_everybody_can_write(
        checked: Checked, live: dict[str, str], mode: int, level: Level, advice: str) -> None:
    folder = Path(live["NIGHTSCAN_ROOT"], "models")
    folder.chmod(mode)
    try:
        found = checked()
    finally:
        folder.chmod(0o755)
    finding = found.get("folder models", found.get("user data"))
    assert finding
    assert (finding.level, finding.advice[:len(advice)]) == (level, advice)


def test_a_folder_that_is_missing_is_a_failure(checked: Checked, live: dict[str, str]) -> None:
    shutil.rmtree(Path(live["NIGHTSCAN_ROOT"], "uploads"))
    assert checked()["folder uploads"].level is Level.FAIL


def test_a_set_that_is_too_old_is_warned_of_and_then_a_failure(checked: Checked, tables: str,
                                                              saved: Callable[[], Manifest]) -> None:
    manifest = saved()

    def after(hours: int) -> dict[str, Finding]:
        return checked(clock=lambda: datetime.now(UTC) + timedelta(hours=hours))

    assert after(23)["newest set"].level is Level.OK
    assert after(25)["newest set"].level is Level.WARN
    assert after(49)["newest set"].level is Level.FAIL
    late = checked(manifest=manifest, clock=lambda: datetime.now(UTC) + timedelta(hours=49))
    assert late["newest set"].level is Level.WARN  # no reason to undo a restore


def test_no_set_at_all_is_a_failure_but_none_of_a_restore(checked: Checked, tables: str,
                                                         saved: Callable[[], Manifest],
                                                         tmp_path: Path) -> None:
    manifest = saved()
    empty = {"NIGHTSCAN_BACKUP_DIR": str(tmp_path / "empty")}
    assert checked(empty)["newest set"].level is Level.FAIL
    assert checked(empty)["schema"].found == "not compared: no complete set has a database"
    assert checked(empty, manifest=manifest)["newest set"].level is Level.WARN


def test_the_broker_must_be_another_redis(checked: Checked, app_redis: str) -> None:
    assert checked({"NIGHTSCAN_BROKER_URL": app_redis})["broker address"].level is Level.FAIL


def test_services_are_looked_at_where_a_command_says_how(checked: Checked) -> None:
    assert checked()["services"].found == "not checked: set NIGHTSCAN_SERVICES_CHECK"
    failing = checked({"NIGHTSCAN_SERVICES_CHECK": "sh -c 'echo inactive; exit 3'"})["services"]
    assert failing.level is Level.FAIL
    assert failing.found == "sh ended with exit status 3: inactive"
    assert "services" not in checked(services=False)


def test_the_command_tells_it_in_lines_json_and_exit_status(live: dict[str, str], tables: str,
                                                           saved: Callable[[], Manifest],
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    saved()
    for name, value in live.items():
        monkeypatch.setenv(name, value)
    run(tables, "CREATE TABLE sensor (id int)")
    told = CliRunner().invoke(nightscan, ["health", "--local"])
    assert told.exit_code == 3, told.output
    assert "Everything works; 1 warning" in told.stdout
    told = CliRunner().invoke(nightscan, ["health", "--local", "--json"])
    assert json.loads(told.stdout)["level"] == "warn"
    run(tables, "DROP TABLE prediction CASCADE")
    told = CliRunner().invoke(nightscan, ["health", "--local"])
    assert told.exit_code == 1
    assert "Something does not work: 1 problem" in told.stdout


def test_the_task_answers_in_json_where_restores_are_done(live: dict[str, str],
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in live.items():
        monkeypatch.setenv(name, value)
    answer = health_check()
    assert json.loads(json.dumps(answer))["level"] == "fail"  # there is no set
    assert ROUTES["nightscan.health_check"] == {"queue": RESTORE}
