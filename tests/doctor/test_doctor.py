"""The doctor finds what would spoil a backup, names it, and says what to do."""

import os
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import redis
from click.testing import CliRunner

from nightscan_tasks import settings
from nightscan_tasks.cli import broker, doctor, nightscan
from nightscan_tasks.doctor import Finding, Level
from nightscan_tasks.doctor.examining import examine
from nightscan_tasks.ledger import Run
from nightscan_tasks.model import SetId, Tier
from nightscan_tasks.system import System
from nightscan_tasks.workflows import DAILY
from nightscan_tasks.world.keyring import SIGNER

QUEUES = ("nightscan.fast", "nightscan.control")
WORKERS = {"fast@here": ["nightscan.fast"], "control@here": ["nightscan.control"]}
Examined = Callable[..., dict[str, Finding]]


@pytest.fixture
def examined(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Examined:
    """Examine the environment with some settings changed; the findings by name."""

    def run(changes: Mapping[str, str] | None = None, *, clock: Callable[[], datetime] | None = None,
            consumers: Callable[[], Mapping[str, Collection[str]]] = lambda: WORKERS) -> dict[str, Finding]:
        for name, value in {**environ, **(changes or {})}.items():
            monkeypatch.setenv(name, value)
        system = System(settings.load())
        if clock:
            system = replace(system, clock=clock)
        return {each.name: each for each in examine(system, plan=DAILY, queues=QUEUES, consumers=consumers)}

    return run


def levels(found: Mapping[str, Finding], level: Level) -> set[str]:
    return {name for name, each in found.items() if each.level is level}


@pytest.fixture
def configured(environ: dict[str, str]) -> None:
    """An /etc that has all that the guide lists."""
    etc = Path(environ["NIGHTSCAN_ETC"])
    for name in ("nginx/sites-available/nightscan", "systemd/system/nightscan-web.service",
                 "ssl/certs/nightscan.crt", "crontab", "logrotate.d/nightscan"):
        (etc / name).parent.mkdir(parents=True, exist_ok=True)
        (etc / name).write_text("x")


@pytest.mark.usefixtures("configured")
def test_where_all_is_well_every_line_is_ok_and_tells_versions(examined: Examined) -> None:
    found = examined({"NIGHTSCAN_SIGNING_KEY": SIGNER, "BACKUP_EMAIL": "admin@nightscan.com"})
    assert levels(found, Level.FAIL) | levels(found, Level.WARN) == set(), found
    assert found["database"].found.startswith("PostgreSQL ")
    assert found["pg_dump"].found.endswith("pg_dump")
    assert "as a replica reads it" in found["redis"].found
    assert "backup@nightscan.com" in found["encryption"].found
    assert SIGNER in found["signing"].found
    assert found["queue fast"].found == "fast@here"


def test_everything_that_is_wrong_is_told_at_once_and_no_secret(examined: Examined,
                                                                environ: dict[str, str]) -> None:
    wrong = environ["NIGHTSCAN_DATABASE_URI"].replace("nightscan:", "nightscan:hunter2", 1)
    found = examined({
        "NIGHTSCAN_DATABASE_URI": wrong,
        "REDIS_URL": "redis://:hunter2@localhost:1/0", "NIGHTSCAN_BROKER_URL": "redis://:hunter2@localhost:2/0",
        "AWS_BACKUP_BUCKET": "no-such-bucket-1", "NIGHTSCAN_GPG_RECIPIENT": "nobody@nightscan.com",
        "NIGHTSCAN_ROOT": "/nowhere", "NIGHTSCAN_ETC": "/nowhere/etc"}, consumers=dict)
    assert levels(found, Level.FAIL) == {
        "database", "redis", "user data", "system config", "offsite", "encryption", "broker",
        "queue fast", "queue control"}
    assert "password authentication failed" in found["database"].found
    assert "REDIS_URL" in found["redis"].found
    assert "no-such-bucket-1" in found["offsite"].found
    assert "no public key for nobody@nightscan.com" in found["encryption"].found
    assert found["queue fast"].advice == "celery -A worker worker -Q nightscan.fast"
    assert "hunter2" not in repr(found)
    assert found["primary"].level is Level.OK


def test_where_nothing_can_be_remembered_increments_are_warned_of(examined: Examined, tmp_path: Path) -> None:
    in_the_way = tmp_path / "a file"
    in_the_way.touch()
    found = examined({"NIGHTSCAN_STATE_DIR": str(in_the_way / "state")})["increments"]
    assert found.level is Level.WARN
    assert "NIGHTSCAN_STATE_DIR" in found.advice
    assert "always" not in examined()["increments"].found


def test_a_check_that_breaks_hides_no_other(examined: Examined) -> None:
    def broken() -> Mapping[str, Sequence[str]]:
        raise RuntimeError("out of cheese")

    found = examined(consumers=broken)
    assert found["workers"].level is Level.FAIL
    assert "out of cheese" in found["workers"].found
    assert found["database"].level is Level.OK


def test_two_addresses_of_one_redis_are_found_out(examined: Examined, environ: dict[str, str]) -> None:
    other = environ["REDIS_URL"].replace("127.0.0.1", "0.0.0.0")  # noqa: S104 - reaches the same server
    found = examined({"NIGHTSCAN_BROKER_URL": other})
    assert found["broker address"].level is Level.OK
    assert found["broker"].level is Level.FAIL
    assert "the very server that is backed up" in found["broker"].found


def test_a_broker_that_may_lose_messages_is_warned_of(examined: Examined, broker_redis: str) -> None:
    with redis.Redis.from_url(broker_redis) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
        try:
            found = examined()
        finally:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("appendonly", "yes")
    assert "allkeys-lru" in found["broker's eviction"].found
    assert found["broker's memory"].advice.startswith("CONFIG SET appendonly yes")


@pytest.fixture
def replica_less(app_redis: str) -> Iterator[str]:
    """A URL whose user may do everything but read as a replica."""
    with redis.Redis.from_url(app_redis) as client:
        client.execute_command("ACL", "SETUSER", "plain", "on", ">secret", "~*", "&*", "+@all", "-psync")
        yield f"redis://plain:secret@{app_redis.rpartition('@')[2]}"
        client.acl_deluser("plain")


def test_a_redis_that_feeds_no_replica_is_warned_of(examined: Examined, replica_less: str) -> None:
    found = examined({"REDIS_URL": replica_less})
    assert found["redis"].level is Level.WARN
    assert "key by key" in found["redis"].advice
    assert "ACL SETUSER plain +psync +replconf" in found["redis"].advice


def test_a_table_that_the_role_may_not_read_is_named(examined: Examined, database: str,
                                                     postgres_server: object) -> None:
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("CREATE TABLE secret_notes (id int)")
        owner.execute("REVOKE ALL ON secret_notes FROM nightscan")
        found = examined()
    assert found["database"].level is Level.FAIL
    assert "public.secret_notes" in found["database"].found
    assert found["database"].advice.endswith("GRANT pg_read_all_data TO nightscan;")
    assert "docs/privileges/sql/dump_role.sql" in found["database"].advice


@pytest.mark.parametrize(("days", "level"), [(29, Level.WARN), (31, Level.OK)])
def test_a_key_that_expires_within_a_month_is_warned_of(examined: Examined, days: int, level: Level,
                                                        environ: dict[str, str]) -> None:
    from nightscan_tasks.codec import inspect_recipient

    key = inspect_recipient("backup@nightscan.com", Path(environ["NIGHTSCAN_GPG_HOME"]))
    assert key.expires_at
    almost = key.expires_at - timedelta(days=days)
    assert examined(clock=lambda: almost)["encryption"].level is level


def test_a_clock_that_is_wrong_is_compared_with_the_servers(examined: Examined) -> None:
    found = examined(clock=lambda: datetime.now(UTC) - timedelta(minutes=10))
    assert found["clock"].level is Level.WARN
    assert "behind that of" in found["clock"].found


def test_a_set_from_the_future_is_a_failure(examined: Examined, environ: dict[str, str],
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    system = System(settings.load())
    later = SetId.at(Tier.DAILY, datetime.now(UTC) + timedelta(days=2))
    system.ledger.open(Run(run_id="daily-from-the-future", set_id=later, plan=DAILY, parts=(), archives=1,
                           offsites=(), opened_at=later.taken_at, deadline_seconds=60, host="here"))
    found = examined()
    assert found["newest set"].level is Level.FAIL
    assert "set the clock" in found["newest set"].advice


def test_without_encryption_or_offsite_store_a_backup_works_but_is_warned_of(examined: Examined) -> None:
    found = examined({"NIGHTSCAN_GPG_RECIPIENT": "", "AWS_BACKUP_BUCKET": ""})
    assert {"encryption", "signing", "offsite"} <= levels(found, Level.WARN)
    assert levels(found, Level.FAIL) == set()


def test_a_set_that_would_not_fit_is_a_failure(examined: Examined, environ: dict[str, str]) -> None:
    path = Path(environ["NIGHTSCAN_ROOT"], "uploads", f"{secrets.token_hex(4)}.wav")
    free_bytes = os.statvfs(path.parent).f_bavail * os.statvfs(path.parent).f_frsize
    try:
        with path.open("wb") as file:
            file.truncate(2 * free_bytes)
    except OSError:
        pytest.skip("this file system has no sparse files of that size")
    found = examined()["space"]
    assert found.level is Level.FAIL
    assert "rotate --dry-run" in found.advice


def test_a_primary_that_others_can_read_is_warned_of(examined: Examined, environ: dict[str, str]) -> None:
    Path(environ["NIGHTSCAN_BACKUP_DIR"]).chmod(0o755)
    found = examined()
    assert found["primary's mode"].level is Level.WARN
    assert found["primary's mode"].advice.startswith("chmod 0750 ")


def test_the_application_is_there_before_checks_run_side_by_side(
        environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads that import Celery at once find half of it: a check would fail that has no fault."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    broker.application.cache_clear()
    built: list[int] = []

    def examined(*_words: object, **_more: object) -> list[Finding]:
        built.append(broker.application.cache_info().currsize)
        return []

    monkeypatch.setattr(doctor, "examine", examined)
    assert CliRunner().invoke(nightscan, ["doctor"]).exit_code == 0
    assert built == [1]
