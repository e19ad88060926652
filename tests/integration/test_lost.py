"""Workers that are killed, messages that are lost or come twice: every run ends, and ends well."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from nightscan_tasks.errors import LeaseLost
from nightscan_tasks.ledger import Ending
from nightscan_tasks.verification import verify_set

pytestmark = pytest.mark.long

Held = Callable[..., Any]
Until = Callable[..., Any]
Dumping = Callable[[str], list[int]]


@pytest.fixture
def crew(crew: Any, until: Until) -> Any:
    """The module's workers, with nothing to do, and all of them there."""
    until(lambda: not crew.system.ledger.open_runs(now=crew.system.clock()), "the test before to be over",
          meanwhile=crew.reap)
    return crew


@pytest.fixture
def dsn(site: dict[str, str]) -> str:
    return site["NIGHTSCAN_DATABASE_URI"]


def sound(crew: Any, run_id: str) -> bool:
    catalog = crew.system.catalog()
    (manifest,) = (each for each in catalog.sets() if each.run_id == run_id)
    return manifest.complete and not verify_set(catalog, manifest, clock=crew.system.clock).problems


def parent(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("PPid:"))


def test_a_worker_killed_in_mid_dump_costs_the_run_nothing(
        crew: Any, dsn: str, held: Held, until: Until, dumping: Dumping) -> None:
    with held(dsn) as waits:
        run_id = crew.manual("database", "system_config")
        until(lambda: waits() and dumping(dsn), "pg_dump to wait")
        crew.hands["fast"].killed()
        until(lambda: not dumping(dsn), "the orphaned pg_dump to end")
        crew.hire("fast", "fast")  # what systemd does
    assert crew.outcome(run_id, reaped=True).ending == Ending.GOOD
    assert sound(crew, run_id)
    assert not dumping(dsn)


def test_a_child_of_the_pool_killed_in_mid_dump_is_replaced_and_the_run_ends_well(
        crew: Any, dsn: str, held: Held, until: Until, dumping: Dumping) -> None:
    with held(dsn) as waits:
        run_id = crew.manual("database")
        until(lambda: waits() and dumping(dsn), "pg_dump to wait")
        (child,) = crew.hands["fast"].children()
        os.kill(child, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{child}").exists(), "the child to be gone")
    assert crew.outcome(run_id, reaped=True).ending == Ending.GOOD
    assert sound(crew, run_id)


def test_a_broker_that_loses_everything_in_mid_run_loses_no_run(
        crew: Any, site: dict[str, str], dsn: str, held: Held, until: Until, dumping: Dumping) -> None:
    with held(dsn) as waits:
        run_id = crew.manual("database", "redis", "system_config")
        until(lambda: waits() and dumping(dsn), "pg_dump to wait")
        until(lambda: crew.system.ledger.part(run_id, "system_config"), "the other worker to be done")
        with redis.Redis.from_url(site["NIGHTSCAN_BROKER_URL"]) as broker:
            broker.flushall()  # with it go dump_redis, which waits for its turn, and the chord's counter
    assert crew.outcome(run_id, reaped=True).ending == Ending.GOOD
    assert sound(crew, run_id)


def test_a_message_that_is_delivered_twice_at_once_does_its_work_once(
        crew: Any, dsn: str, held: Held, until: Until, dumping: Dumping) -> None:
    crew.hire("second", "fast")
    with held(dsn) as waits:
        run_id = crew.manual("database")
        until(lambda: waits() and dumping(dsn), "pg_dump to wait")
        again = crew.send("dump_database", run_id, "database")
        until(lambda: crew.state(again) == "RETRY", "the second to find it taken")
    assert crew.outcome(run_id).ending == Ending.GOOD
    with suppress(LeaseLost):  # it may find that the run has ended meanwhile
        assert crew.answer(again)["part"] == "database"
    assert crew.system.ledger.state(run_id).failures == {}
    assert sound(crew, run_id)
    record = crew.system.ledger.part(run_id, "database")
    stored = [entry.key for entry in crew.system.primary.list("manual/") if "database.sql" in entry.key
              and run_id.rpartition("-")[2] in entry.key]
    assert len(stored) == 1
    assert record.objects["database.sql.gz.gpg"] == crew.system.primary.stat(stored[0]).version
    crew.hands.pop("second").end()


def test_a_worker_that_sleeps_longer_than_its_lease_spoils_nothing_when_it_wakes(
        crew: Any, dsn: str, held: Held, until: Until, dumping: Dumping) -> None:
    crew.hire("second", "fast")
    with held(dsn) as waits:
        run_id = crew.manual("database")
        until(lambda: waits() and dumping(dsn), "pg_dump to wait")
        sleeper = parent(dumping(dsn)[0])
        os.kill(sleeper, signal.SIGSTOP)
        try:
            until(lambda: len(dumping(dsn)) > 1, "another to take the work over", meanwhile=crew.reap)
        finally:
            os.kill(sleeper, signal.SIGCONT)
    assert crew.outcome(run_id, reaped=True).ending == Ending.GOOD
    assert crew.system.ledger.state(run_id).failures == {}
    assert sound(crew, run_id)
    crew.hands.pop("second").end()


def test_a_worker_that_is_asked_to_stop_finishes_what_it_does(
        crew: Any, dsn: str, held: Held, until: Until, dumping: Dumping) -> None:
    with held(dsn) as waits:
        run_id = crew.manual("database")
        until(lambda: waits() and dumping(dsn), "pg_dump to wait")
        hand = crew.hands["fast"]
        hand.process.send_signal(signal.SIGTERM)
        until(lambda: "Warm shutdown" in hand.said(), "it to have heard")
        assert hand.process.poll() is None
    hand.process.wait(timeout=180)
    assert crew.system.ledger.part(run_id, "database") is not None
    assert crew.outcome(run_id).ending == Ending.GOOD
    crew.hire("fast", "fast")


def test_a_verification_whose_store_is_away_is_only_put_off(
        crews: Callable[..., Any], site: dict[str, str], until: Until, tmp_path: Path) -> None:
    url = site["NIGHTSCAN_BROKER_URL"].rpartition("/")[0]
    away = crews(tmp_path / "away", {
        **site, "NIGHTSCAN_BROKER_URL": f"{url}/8", "NIGHTSCAN_RESULT_BACKEND": f"{url}/9",
        "AWS_BACKUP_BUCKET": "some-bucket", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    away.hire("away", "heavy")
    asked = away.send("verify", "daily/20261123T020000Z", "offsite")
    until(lambda: away.state(asked) in {"RETRY", "FAILURE"}, "the store to be missed")
    assert away.state(asked) == "RETRY"


def test_a_run_that_nobody_can_finish_is_reported_and_says_what_is_missing(
        crews: Callable[..., Any], site: dict[str, str], tmp_path: Path) -> None:
    url = site["NIGHTSCAN_BROKER_URL"].rpartition("/")[0]
    alone = crews(tmp_path / "alone", {
        **site, "NIGHTSCAN_BROKER_URL": f"{url}/6", "NIGHTSCAN_RESULT_BACKEND": f"{url}/7",
        "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), "NIGHTSCAN_DEADLINE_SECONDS": "4"})
    alone.hire("alone", "fast", "control")  # and nobody for nightscan.heavy
    run_id = alone.manual("database", "system_config")
    outcome = alone.outcome(run_id, reaped=True)
    assert outcome.ending == Ending.INCOMPLETE
    (failure,) = outcome.failures
    assert failure.part == "system_config"
    assert "no worker took it up" in failure.message
    assert alone.system.catalog().ids() == [outcome.set_id]
