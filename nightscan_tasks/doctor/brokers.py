"""Whether tasks are kept, handed out, and taken up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from pydantic import SecretStr

from nightscan_tasks.doctor import rabbitmq
from nightscan_tasks.doctor.finding import Check, Finding, fail, ok, warn
from nightscan_tasks.doctor.servers import Server, asked
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.settings import is_rabbitmq, without_secret
from nightscan_tasks.system import System


def broker(system: System, *, greeting: rabbitmq.Greeting) -> Iterator[Finding]:
    """Whether it is there, is another server than the one that is backed up, and loses nothing."""
    url = system.settings.broker_url
    if is_rabbitmq(url):
        yield from rabbitmq.examine(system, greeting)
        return
    if not _is_redis(url):
        yield warn("broker", f"{without_secret(url.get_secret_value())} is no Redis, and is not looked into",
                   "only whether workers answer is known")
        return
    with asked(url, "NIGHTSCAN_BROKER_URL") as server:
        yield _apart(system, server, "broker", "NIGHTSCAN_BROKER_URL")
        if not server.info.get("aof_enabled"):
            yield warn("broker's memory", "it keeps messages in memory only: a restart loses what waits",
                       "CONFIG SET appendonly yes, and the same in its configuration file")
        policy = server.info.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            yield warn("broker's eviction", f"its maxmemory-policy is {policy}: when full it drops messages",
                       "CONFIG SET maxmemory-policy noeviction, and the same in its configuration file")


def results(system: System) -> Iterator[Finding]:
    """Whether the server of the results is there, and is another one too."""
    url = system.settings.results
    if url.get_secret_value() == system.settings.broker_url.get_secret_value():
        yield ok("results", "are kept in the broker")
    elif _is_redis(url):
        with asked(url, "NIGHTSCAN_RESULT_BACKEND") as server:
            yield _apart(system, server, "results", "NIGHTSCAN_RESULT_BACKEND")


def workers(_system: System, *, queues: Sequence[str],
            consumers: Callable[[], Mapping[str, Collection[str]]]) -> Iterator[Finding]:
    """Whether some worker takes from every queue."""
    found = consumers()
    for queue in queues:
        nodes = sorted(node for node, taken in found.items() if queue in taken)
        if nodes:
            yield ok(f"queue {queue.partition('.')[2]}", ", ".join(nodes))
        else:
            yield fail(f"queue {queue.partition('.')[2]}", f"no worker takes from {queue}",
                       f"celery -A worker worker -Q {queue}")


def _apart(system: System, server: Server, name: str, setting: str) -> Finding:
    """Two addresses may be one server; its run id tells."""
    found = f"{server.version} at {server.place}"
    try:
        with asked(system.settings.redis, "REDIS_URL") as application:
            same = bool(server.run_id) and server.run_id == application.run_id
    except NightscanError:  # the check of that Redis says so
        same = False
    if same:
        return fail(name, f"{found} is the very server that is backed up: a restore would bring old messages "
                          f"back", f"start another Redis, and set {setting} to it")
    return ok(name, found)


def _is_redis(url: SecretStr) -> bool:
    return url.get_secret_value().startswith(("redis://", "rediss://"))


CHECKS = (Check("results", results),)
