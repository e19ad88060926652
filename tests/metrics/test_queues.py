"""The broker is asked what waits, for how long, and who takes it; nothing of it is changed by asking."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery
from celery.contrib.testing.worker import start_worker
from celery.signals import before_task_publish

from nightscan_tasks.errors import TransientError
from nightscan_tasks.settings import load
from nightscan_tasks.tasks import queues
from nightscan_tasks.tasks.queues import HEADER, look_at_queues, waiting_seconds
from nightscan_tasks.watch.queue import QueueSeen
from worker.configuration import configure
from worker.queues import CONTROL, FAST, HEAVY, NAMES, RESTORE, unacknowledged

ACL = Path(__file__).resolve().parents[2] / "docs" / "privileges" / "redis" / "broker.acl"
AT_ONCE = (0.3,)
NOW = 1_790_000_000.0
HOUR = 3600


def application(broker_url: str) -> Celery:
    app = Celery("queues", set_as_current=False)
    app.conf.update(configure(load({"NIGHTSCAN_BROKER_URL": broker_url})), task_ignore_result=True)
    return app


@pytest.fixture
def app(broker_redis: str) -> Iterator[Celery]:
    """An application whose messages say when they were sent."""
    queues.connect()
    app = application(broker_redis)
    yield app
    before_task_publish.disconnect(queues._sending, dispatch_uid="nightscan queues sending")
    app.close()


@pytest.fixture
def broker(broker_redis: str) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(broker_redis)
    yield client
    client.close()


def until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def aged(broker: redis.Redis, key: str, seconds: float) -> None:
    """Make the oldest message of a list look as if it had been sent so long ago."""
    message = json.loads(broker.lindex(key, -1) or b"")
    message["headers"][HEADER] -= seconds
    broker.lset(key, -1, json.dumps(message))


def messages(broker: redis.Redis, key: str) -> list[bytes]:
    return [each for each in broker.lrange(key, 0, -1) if isinstance(each, bytes)]


def seen(app: Celery) -> dict[str, QueueSeen]:
    return {each.name: each for each in look_at_queues(app, patience=AT_ONCE)}


def test_an_empty_broker_has_every_queue_and_nothing_in_it(app: Celery, broker: redis.Redis) -> None:
    assert look_at_queues(app, patience=AT_ONCE) == tuple(QueueSeen(name, (), 0, None) for name in NAMES)
    assert not broker.exists(*NAMES)


def test_what_waits_is_counted_over_all_priorities_and_stays(app: Celery, broker: redis.Redis) -> None:
    for priority in (0, 3, 9):
        app.send_task("nightscan.upload", priority=priority)
    app.send_task("nightscan.settle")
    before = {key: broker.lrange(key, 0, -1) for key in broker.keys("nightscan.*")}
    found = seen(app)
    assert {name: each.depth for name, each in found.items()} == {FAST: 0, HEAVY: 3, RESTORE: 0, CONTROL: 1}
    assert {key: broker.lrange(key, 0, -1) for key in broker.keys("nightscan.*")} == before


def test_the_oldest_message_tells_how_long_it_waits(app: Celery, broker: redis.Redis) -> None:
    app.send_task("nightscan.upload")
    app.send_task("nightscan.upload", priority=9)
    aged(broker, HEAVY, HOUR)
    app.send_task("nightscan.upload")
    oldest = seen(app)[HEAVY].oldest_seconds
    assert oldest is not None
    assert HOUR <= oldest < 2 * HOUR


def test_a_message_for_later_waits_from_its_moment_on(app: Celery, broker: redis.Redis) -> None:
    app.send_task("nightscan.upload", countdown=2 * HOUR)
    assert seen(app)[HEAVY].oldest_seconds is None
    app.send_task("nightscan.settle", countdown=1)
    aged(broker, CONTROL, HOUR)
    (message,) = messages(broker, CONTROL)
    waits = waiting_seconds([message], now=time.time() + HOUR)
    assert waits is not None
    assert waits < 2 * HOUR


def test_a_retry_waits_anew(app: Celery, broker: redis.Redis) -> None:
    app.send_task("nightscan.upload", headers={HEADER: NOW - HOUR})
    (message,) = messages(broker, HEAVY)
    assert json.loads(message)["headers"][HEADER] > time.time() - HOUR


@pytest.mark.parametrize("message", [
    b"", b"\xff", b"[]", b"{}", b'{"headers": null}', b'{"headers": {"nightscan_sent_at": "soon"}}',
    b'{"headers": {"nightscan_sent_at": 1, "eta": "tomorrow"}}', b'{"headers": {"nightscan_sent_at": 1e999}}',
    b'{"headers": {"nightscan_sent_at": 1, "eta": 7}}', b"[" * 100_000])
def test_a_message_that_nobody_of_ours_sent_says_nothing(message: bytes) -> None:
    known = json.dumps({"headers": {HEADER: NOW - 60}}).encode()
    assert waiting_seconds([message], now=NOW) is None
    assert waiting_seconds([message, known], now=NOW) == 60


def test_who_takes_from_a_queue_is_told_and_what_runs_does_not_wait(app: Celery, broker: redis.Redis) -> None:
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **unacknowledged([HEAVY])}

    @app.task(name="nightscan.upload", shared=False)
    def upload() -> None:
        broker.blpop(["release"], timeout=180)

    with start_worker(app, pool="threads", concurrency=1, queues=[HEAVY], perform_ping_check=False,
                      shutdown_timeout=30) as worker:
        for _each in range(3):
            upload.delay()
        until(lambda: broker.llen(HEAVY) == 2)
        found = {each.name: each for each in look_at_queues(app, patience=(2, 0.1))}
        broker.rpush("release", *"123")
        assert found[HEAVY].workers == (worker.hostname,)
        assert found[HEAVY].depth == 2
        assert found[FAST].workers == ()


def test_a_worker_without_children_that_asks_knows_of_itself(app: Celery, broker: redis.Redis) -> None:
    found: list[QueueSeen] = []

    @app.task(name="nightscan.asks_while_it_works", shared=False)
    def asks() -> None:
        found.extend(look_at_queues(app, names=(CONTROL,), patience=AT_ONCE))

    with start_worker(app, pool="solo", queues=[CONTROL], perform_ping_check=False, shutdown_timeout=30):
        asks.delay()
        until(lambda: bool(found))
    assert [len(each.workers or ()) for each in found] == [1]


def test_a_broker_that_is_down_is_said_so_without_its_password() -> None:
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = application(f"redis://:tres-secret@127.0.0.1:{port}/0")
    with pytest.raises(TransientError, match=f"127.0.0.1:{port}.*does not answer") as raised:
        look_at_queues(app, patience=AT_ONCE)
    assert "tres-secret" not in str(raised.value)


@pytest.mark.parametrize(("user", "workers", "restores"), [
    ("control", None, 1), ("heavy", None, None), ("operator", (), 1), ("flower", (), 1)])
def test_what_a_user_of_the_broker_may_not_ask_is_not_known(
    app: Celery, broker: redis.Redis, broker_redis: str, user: str, workers: tuple[str, ...] | None,
    restores: int | None,
) -> None:
    app.send_task("nightscan.upload")
    app.send_task("nightscan.restore_redis")
    (line,) = (line for line in ACL.read_text().splitlines() if line.startswith(f"user {user} "))
    rules = re.findall(r"\([^)]*\)|\S+", line.replace(f"#SHA256-OF-{user}", ">pw"))[2:]
    broker.execute_command("ACL", "SETUSER", user, *rules)  # type: ignore[no-untyped-call]  # redis-py's
    try:
        watching = application(f"redis://{user}:pw@{broker_redis.rpartition('@')[2]}")
        found = look_at_queues(watching, names=(HEAVY, RESTORE), patience=AT_ONCE)
    finally:
        broker.acl_deluser(user)
    assert found == (QueueSeen(HEAVY, workers, 1, None), QueueSeen(RESTORE, workers, restores, None))


def test_other_brokers_tell_how_much_waits_and_not_for_how_long() -> None:
    app = application("memory://")
    app.conf.broker_transport_options = {}
    with app.connection_for_write() as connection:
        queue = app.amqp.queues[HEAVY](connection.default_channel)
        queue.declare()
        connection.Producer().publish({}, routing_key=HEAVY, exchange=queue.exchange)
        found = look_at_queues(app, names=(HEAVY, CONTROL), patience=AT_ONCE)
        queue.purge()
    assert found == (QueueSeen(HEAVY, (), 1, None), QueueSeen(CONTROL, (), 0, None))


