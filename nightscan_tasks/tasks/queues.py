"""What waits in the queues, and who takes from them: asked of the broker, without taking anything.

Waiting is what no worker has taken yet. What was handed out and is not acknowledged runs, or waits in its
worker for the moment it was sent for; neither is counted. A message says in a header when it was sent: the
broker does not know.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from celery import Celery, current_task, signals
from kombu import Connection
from kombu.exceptions import KombuError, OperationalError
from redis import RedisError
from redis.exceptions import NoPermissionError

from nightscan_tasks.errors import TransientError
from nightscan_tasks.settings import without_secret
from nightscan_tasks.watch.queue import QueueSeen

HEADER = "nightscan_sent_at"
"""Seconds since 1970, by the sender's clock."""
_CONNECT_SECONDS = 5
_ASK_SECONDS = (1.0, 4.0)  # a worker that is busy answers a little later
_NOT_FOUND = "404"  # AMQP's, which some of kombu's brokers say as text
_OLDEST = 20  # so many at the old end of a list are looked at: some may be for later


def connect() -> None:
    """Let every message that this process sends say when."""
    signals.before_task_publish.connect(_sending, weak=False, dispatch_uid="nightscan queues sending")


def look_at_queues(app: Celery, *, names: Sequence[str] = (),
                   patience: Sequence[float] = _ASK_SECONDS) -> tuple[QueueSeen, ...]:
    """The queues of these names, or of the configuration; `TransientError` if the broker does not answer.

    Workers are asked for as long as a queue seems to have none, `patience` seconds each time. What the
    broker does not tell, or not to us, is None. It takes five seconds where a worker is missing, and one
    where none is.
    """
    wanted = tuple(names) or tuple(queue.name for queue in app.conf.task_queues)
    try:
        with app.connection_for_write(connect_timeout=_CONNECT_SECONDS) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=_CONNECT_SECONDS)
            taking = takers(app, connection, wanted, patience)
            return tuple(QueueSeen(name, None if taking is None else _takers(taking, name),
                                   _depth(connection, name), _oldest_seconds(connection, name, time.time()))
                         for name in wanted)
    except (KombuError, OSError, OperationalError, RedisError) as exc:
        place = without_secret(app.conf.broker_url)
        raise TransientError(f"the broker at {place} does not answer: {exc}\n"
                             f"start it, or correct NIGHTSCAN_BROKER_URL") from exc


def waiting_seconds(messages: Iterable[bytes], *, now: float) -> float | None:
    """How long the oldest of these messages waits: since it was sent, or since the moment it was sent for.

    None where none waits, or none says when it was sent.
    """
    waits = [now - since for message in messages if (since := _waits_since(message)) is not None]
    return max((seconds for seconds in waits if seconds >= 0), default=None)


def _sending(headers: dict[str, Any] | None = None, **_signal: Any) -> None:
    if headers is not None:  # a retry brings its first one along, and waits anew
        headers[HEADER] = time.time()


def _waits_since(message: bytes) -> float | None:
    """A message comes from whoever reaches the broker: what it says is taken, or it says nothing."""
    try:
        headers = json.loads(message)["headers"]
        sent_at = float(headers[HEADER])
        eta = headers.get("eta")
        return max(sent_at, datetime.fromisoformat(eta).timestamp()) if eta else sent_at
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return None


def takers(app: Celery, connection: Connection, wanted: Sequence[str],
           patience: Sequence[float] = _ASK_SECONDS) -> dict[str, set[str]] | None:
    """Which queues each worker takes from, asked until each wanted queue has one, or patience ends.

    None where we may not ask, as a worker whose user may not.
    """
    taking = dict(_this_worker(wanted))
    for seconds in patience:
        try:
            answer = app.control.inspect(timeout=seconds, connection=connection).active_queues()
        except (NoPermissionError, OperationalError) as exc:
            if isinstance(exc.__cause__ or exc, NoPermissionError):  # kombu wraps some
                return None
            raise
        for node, queues in (answer or {}).items():
            taking.setdefault(node, set()).update(queue["name"] for queue in queues)
        if set(wanted) <= {name for queues in taking.values() for name in queues}:
            break
    return taking


def _this_worker(wanted: Sequence[str]) -> Iterator[tuple[str, set[str]]]:
    """The worker that asks: one without child processes does not answer while it does."""
    if current_task and current_task.request.hostname:
        key = str((current_task.request.delivery_info or {}).get("routing_key"))
        # What waited in a RabbitMQ for its moment has that written before the queue's name.
        yield current_task.request.hostname, {name for name in wanted if f".{key}".endswith(f".{name}")}


def _takers(taking: dict[str, set[str]], name: str) -> tuple[str, ...]:
    return tuple(sorted(node for node, queues in taking.items() if name in queues))


def _depth(connection: Connection, name: str) -> int | None:
    """How many messages wait in a queue; it is not made by asking, and one that is not there is empty."""
    try:
        with connection.channel() as channel:
            if _is_redis(connection):  # a passive declaration asks there whether a list exists, which few may
                return sum(int(channel.client.llen(key)) for key in _lists(channel, name))
            return int(channel.queue_declare(queue=name, passive=True).message_count)
    except NoPermissionError:
        return None
    except connection.channel_errors as exc:
        if str(getattr(exc, "reply_code", "")) == _NOT_FOUND:
            return 0
        raise


def _oldest_seconds(connection: Connection, name: str, now: float) -> float | None:
    """Only a Redis shows messages without handing them out."""
    if not _is_redis(connection):
        return None
    try:
        with connection.channel() as channel:
            return waiting_seconds((message for key in _lists(channel, name)
                                    for message in channel.client.lrange(key, -_OLDEST, -1)), now=now)
    except NoPermissionError:
        return None


def _lists(channel: Any, name: str) -> list[str]:
    """The lists that kombu keeps a queue in: one for each priority."""
    return [f"{name}{channel.sep}{step}" if step else name for step in channel.priority_steps]


def _is_redis(connection: Connection) -> bool:
    return bool(connection.transport.driver_type == "redis")
