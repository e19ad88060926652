"""All checks that a backup needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from nightscan_tasks.doctor import brokers, clocks, keys, settings, sources, stores
from nightscan_tasks.doctor.finding import Check, Finding
from nightscan_tasks.doctor.looking import look
from nightscan_tasks.model import Plan
from nightscan_tasks.system import System

Consumers = Callable[[], Mapping[str, Sequence[str]]]
"""Asks which worker takes from which queues."""


def examine(system: System, *, plan: Plan, queues: Sequence[str], consumers: Consumers) -> Iterator[Finding]:
    """Every finding, in a steady order, as soon as it is known. `plan` is the backup to be ready for."""
    return look(system, _checks(plan, queues, consumers))


def _checks(plan: Plan, queues: Sequence[str], consumers: Consumers) -> tuple[Check, ...]:
    return (
        *settings.CHECKS, *sources.CHECKS, *stores.CHECKS,
        Check("space", partial(stores.space, plan=plan), seconds=60),
        *keys.CHECKS, *brokers.CHECKS,
        Check("workers", partial(brokers.workers, queues=queues, consumers=consumers)), *clocks.CHECKS,
    )
