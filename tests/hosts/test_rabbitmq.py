"""A RabbitMQ as the broker, its messages signed: the daily run, and what people ask of it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from nightscan_tasks.ledger import Ending
from nightscan_tasks.tasks.queues import look_at_queues
from nightscan_tasks.verification import verify_set
from tests.hands import Hand, wait_until
from tests.hosts.keys import message_key
from tests.hosts.rabbitmq import RabbitMQ
from worker.queues import HEAVY, NAMES, RESTORE

pytestmark = pytest.mark.long

_TAKEN_BACK = "delivery acknowledgement on channel"


@pytest.fixture(scope="module")
def crew(rabbit: RabbitMQ, site: dict[str, str], crews: Callable[[Path, Mapping[str, str]], Any],
         tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A worker for the database, and one for everything else but restores."""
    environ = {**site, "NIGHTSCAN_BROKER_URL": rabbit.url,
               "NIGHTSCAN_RESULT_BACKEND": site["NIGHTSCAN_BROKER_URL"]}
    crew = crews(tmp_path_factory.mktemp("crew"), environ)
    crew.environ |= message_key(crew.folder, "operator")
    starting = [crew.start("fast", "fast"), crew.start("rest", "heavy", "control", concurrency=3)]
    for hand in starting:
        hand.ready()
    # What is sent and asked from here is not signed: nobody takes it, so it stays where it can be counted.
    crew.environ = {name: value for name, value in environ.items() if "MESSAGE" not in name}
    return crew


@pytest.fixture(autouse=True)
def settings_of_the_crew(crew: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in crew.environ.items():
        monkeypatch.setenv(name, value)


def nightscan(crew: Any, name: str, *words: str) -> Hand:
    """A command, as an operator gives it."""
    command: Hand = crew.command(name, *words, **message_key(crew.folder, "operator"))
    return command


def test_the_daily_run_ends_well_though_the_broker_takes_back_what_still_runs(crew: Any) -> None:
    """Twice, so that also what was handed out again is taken back."""
    with psycopg.connect(crew.environ["NIGHTSCAN_DATABASE_URI"]) as holder:
        holder.execute("LOCK TABLE prediction IN ACCESS EXCLUSIVE MODE")
        command = nightscan(crew, "daily", "backup", "daily", "--wait")
        wait_until(lambda: crew.hands["fast"].said().count(_TAKEN_BACK) >= 2, "the broker to lose patience")
        holder.rollback()
    assert command.process.wait() == 0, command.said()
    system = crew.system
    (manifest,) = system.catalog().sets()
    assert manifest.complete
    assert set(manifest.components) == {"database", "redis", "user_data"}
    assert verify_set(system.catalog(), manifest, clock=system.clock).problems == ()
    assert system.ledger.outcome(manifest.run_id).ending is Ending.GOOD
    for hand in crew.hands.values():
        assert hand.process.poll() is None, hand.said()  # none ended over it
        assert "delayed" not in hand.said(), hand.said()  # Celery's complaint of queues that are not there


def test_what_waits_for_its_moment_waits_in_the_broker(crew: Any) -> None:
    """User data waits for the database's snapshot, and is sent again each time: by way of the delays."""
    with stopped(crew.hands["fast"]):  # or the snapshot may be there before anybody asks for it
        command = nightscan(crew, "manual", "backup", "manual", "--component", "database",
                            "--component", "user_data", "--wait")
        wait_until(lambda: _waiting(crew) or command.process.poll() is not None, "a part to wait")
        assert command.process.poll() is None, command.said()
    assert command.process.wait() == 0, command.said()


@contextmanager
def stopped(hand: Hand) -> Iterator[None]:
    """A worker that does nothing meanwhile."""
    os.killpg(hand.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(hand.process.pid, signal.SIGCONT)


def _waiting(crew: Any) -> int:
    with crew.app.connection_for_write() as connection, connection.channel() as channel:
        return sum(channel.queue_declare(queue=f"celery_delayed_{level}", passive=True).message_count
                   for level in range(6))  # pauses grow: up to a minute


def test_how_much_waits_is_told_and_can_be_thrown_away(crew: Any) -> None:
    crew.app.send_task("nightscan.health_check")
    seen = {each.name: each for each in look_at_queues(crew.app, patience=(0.1,))}
    assert seen.keys() == set(NAMES)
    assert seen[RESTORE].depth == 1
    assert seen[HEAVY].depth == 0
    assert seen[RESTORE].oldest_seconds is None  # it cannot be asked without taking it
    with crew.app.connection_for_write() as connection:
        crew.app.control.purge(connection=connection)
    assert {each.depth for each in look_at_queues(crew.app, patience=(0.1,))} == {0}


def test_the_doctor_knows_the_broker_its_workers_and_its_patience(crew: Any) -> None:
    command = nightscan(crew, "doctor", "doctor", "--json")
    command.process.wait()
    found = {each["name"]: each for each in json.loads(command.said())["findings"]}
    assert found["broker"]["level"] == "ok"
    assert found["broker"]["found"].startswith("RabbitMQ 3.10")
    assert "consumer_timeout = 120000" in found["broker's patience"]["advice"]
    assert "workers" not in found, found["workers"]  # who takes from which queue could be asked
    assert found["queue fast"]["found"] == "fast@test"
    assert found["queue heavy"]["found"] == "rest@test"
    assert found["queue restore"]["level"] == "fail"
    secret = crew.environ["NIGHTSCAN_BROKER_URL"].split(":")[2].partition("@")[0]
    assert secret not in command.said()
