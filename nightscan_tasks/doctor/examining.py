"""All checks that a backup needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from nightscan_tasks.doctor import (
    brokers,
    channels,
    clocks,
    keys,
    locks,
    messages,
    metrics,
    scrubs,
    settings,
    sources,
    stores,
)
from nightscan_tasks.doctor.finding import Check, Finding
from nightscan_tasks.doctor.looking import look
from nightscan_tasks.doctor.rabbitmq import Greeting
from nightscan_tasks.model import Keep, Plan, Tier
from nightscan_tasks.system import System

Consumers = Callable[[], Mapping[str, Collection[str]]]
"""Asks which worker takes from which queues."""


def _nobody() -> tuple[str, str]:
    return "a broker that was not asked", ""


def examine(system: System, *, plan: Plan, queues: Sequence[str], consumers: Consumers,
            greeting: Greeting = _nobody,
            keep: Mapping[Tier, Keep] = MappingProxyType({})) -> Iterator[Finding]:
    """Every finding, in a steady order, as soon as it is known.

    `plan` is the backup to be ready for, `keep` how long the sets of each tier are kept. `greeting` asks a
    broker that is a RabbitMQ who it is.
    """
    retained = Check("locks", partial(locks.retained, keep=keep))
    return look(system, (*_checks(plan, queues, consumers, greeting), retained))


def _checks(plan: Plan, queues: Sequence[str], consumers: Consumers,
            greeting: Greeting) -> tuple[Check, ...]:
    return (
        *settings.CHECKS, *sources.CHECKS, *stores.CHECKS,
        Check("space", partial(stores.space, plan=plan), seconds=60),
        *scrubs.CHECKS, *keys.CHECKS, *messages.CHECKS,
        Check("broker", partial(brokers.broker, greeting=greeting)), *brokers.CHECKS,
        Check("workers", partial(brokers.workers, queues=queues, consumers=consumers)), *clocks.CHECKS,
        *channels.CHECKS, *metrics.CHECKS,
    )
