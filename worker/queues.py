"""Which task goes to which queue. Each queue can be consumed on a host of its own.

`fast` is for database hosts, `heavy` for file hosts and bandwidth, `restore` for where the private key
is; `control` decides and records, and one is enough. What proves that the live state is in order goes to
`restore` too: only where sets are put back are database, Redis, files and key all within reach.

Where `NIGHTSCAN_HOSTS` names hosts, each has a `heavy` and a `restore` queue of its own besides, for what
only that host can do: reading and writing its own files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from kombu import Exchange, Queue

from nightscan_tasks.hosts import host_of, host_queue
from nightscan_tasks.settings import Settings, is_rabbitmq

_OURS = "nightscan"
FAST, HEAVY, RESTORE, CONTROL = (f"{_OURS}.{name}" for name in ("fast", "heavy", "restore", "control"))
NAMES = (FAST, HEAVY, RESTORE, CONTROL)
QUEUES = tuple(Queue(name, routing_key=name) for name in NAMES)
OF_HOSTS = (HEAVY, RESTORE)
"""The queues of which each host has one of its own."""

_FAST = ("dump_database", "dump_redis")
_HEAVY = ("archive_user_data", "archive_system_config", "archive_source_code", "upload", "verify", "scrub",
          "replicate")
_RESTORE = ("drill", "health_check", "reap_restores", "reconcile_user_data", "validate_user_data")
_BY_PART = f"{_OURS}.archive_user_data"
_BY_HOST = f"{_OURS}.restore_*"

ROUTES = {
    **{f"{_OURS}.{name}": {"queue": FAST} for name in _FAST},
    **{f"{_OURS}.{name}": {"queue": HEAVY} for name in _HEAVY},
    f"{_OURS}.restore_*": {"queue": RESTORE},
    **{f"{_OURS}.{name}": {"queue": RESTORE} for name in _RESTORE},
    f"{_OURS}.*": {"queue": CONTROL},
}
# Celery's own exchange for RabbitMQ has to be a topic: only so can a message wait there for its moment.
_EXCHANGE = Exchange(_OURS, type="topic")


def queue_of(task: str) -> str:
    """The queue that a task goes to, whichever host it is for."""
    return next((route["queue"] for pattern, route in ROUTES.items() if fnmatchcase(task, pattern)), CONTROL)


def route(name: str, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None,
          *_rest: object, **_further: object) -> dict[str, str]:
    """Where Celery sends a task, the first time and each time that it is tried again."""
    return {"queue": host_queue(queue_of(name), _host(name, args or (), kwargs or {}))}


def names(settings: Settings) -> tuple[str, ...]:
    """Every queue of these settings, those of single hosts last."""
    return (*NAMES, *(host_queue(queue, host) for host in settings.hosts for queue in OF_HOSTS))


def plan_taking(given: Sequence[str], settings: Settings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a worker of this host takes from beside what it was given, and what it was given and leaves.

    Given `heavy`, it takes from its host's own too: so all hosts start their workers alike. Given no names,
    which is every queue, it leaves those of other hosts.
    """
    own = {host_queue(queue, settings.own_host): queue for queue in OF_HOSTS if settings.own_host}
    besides = tuple(name for name, queue in own.items() if queue in given and name not in given)
    if set(given) != set(names(settings)):
        return besides, ()
    return besides, tuple(name for name in given if name not in {*NAMES, *own})


def queues(settings: Settings) -> tuple[Queue, ...]:
    """The queues as the broker is to keep them. RabbitMQ's are on the disks of several of its nodes.

    RabbitMQ takes back what is not acknowledged within half an hour, which is shorter than a part may take:
    so each queue says how long it may be. From 3.12 on it listens to that; docs/HOSTS.md tells of before.
    """
    if not is_rabbitmq(settings.broker_url):
        return tuple(Queue(name, routing_key=name) for name in names(settings))
    arguments = {"x-queue-type": "quorum", "x-consumer-timeout": settings.visibility_seconds * 1000}
    return tuple(Queue(name, _EXCHANGE, routing_key=name, queue_arguments=arguments)
                 for name in names(settings))


def unacknowledged(queues: Iterable[str]) -> dict[str, str]:
    """Transport options that give the workers of these queues keys of their own for what they were handed.

    Kombu keeps what was handed out and not acknowledged in one hash for all, from where it goes back to its
    queue: whoever may write that hash could plant a message for any queue. A single host's queue ends in its
    kind there, `unacked.web1.heavy`, so that the rights of that kind reach it.
    """
    kinds = (queue.removeprefix(f"{_OURS}.").partition(".") for queue in queues)
    group = "+".join(sorted(".".join(filter(None, (host, kind))) for kind, _, host in kinds))
    return {f"{key}_key": f"{key}.{group}" for key in ("unacked", "unacked_index", "unacked_mutex")}


def _host(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Whose work a task is, by what it is asked; empty where it is anybody's."""
    if name == _BY_PART:
        part = kwargs.get("part", args[1] if len(args) > 1 else "")
        return host_of(str(part))
    if fnmatchcase(name, _BY_HOST):
        return str(kwargs.get("host") or "")
    return ""
