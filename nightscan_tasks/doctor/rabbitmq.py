"""A RabbitMQ as the broker: what it says of itself, and what it does with what takes long."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from nightscan_tasks.doctor.finding import Finding, ok, warn
from nightscan_tasks.settings import without_secret
from nightscan_tasks.system import System

Greeting = Callable[[], tuple[str, str]]
"""Asks a broker of that kind for its product and version."""

_LISTENS_FROM = (3, 12)


def examine(system: System, greeting: Greeting) -> Iterator[Finding]:
    """Which one it is, and whether it waits as long as a part may take."""
    product, version = greeting()
    place = without_secret(system.settings.broker_url.get_secret_value())
    yield ok("broker", f"{product} {version} at {place}, with quorum queues")
    if product != "RabbitMQ" or _numbers(version) >= _LISTENS_FROM:
        return
    seconds = system.settings.visibility_seconds
    yield warn("broker's patience",
               f"RabbitMQ {version} does not listen to how long our queues want to be waited for: after its "
               f"own consumer_timeout, 30 minutes unless it was set, it hands a part out again that is still "
               f"under way",
               f"consumer_timeout = {seconds * 1000} in its rabbitmq.conf and a restart, or RabbitMQ 3.12")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
