"""What is wrong with queues: nobody takes from one, or its tasks wait too long."""

from __future__ import annotations

from collections.abc import Iterator

from nightscan_tasks.settings import Settings
from nightscan_tasks.watch.overview import Overview
from nightscan_tasks.watch.problem import Kind, Problem, Severity


def problems(overview: Overview, settings: Settings) -> Iterator[Problem]:
    """Of each queue, if the broker was asked."""
    for queue in overview.queues or ():
        if queue.workers is not None and not queue.workers:
            yield Problem(Kind.NO_WORKER, queue.name, Severity.CRITICAL, None,
                          {"queue": queue.name, "depth": queue.depth})
        elif queue.oldest_seconds is not None and queue.oldest_seconds > settings.waiting_seconds:
            yield Problem(Kind.WAITING, queue.name, Severity.WARNING, None, {
                "queue": queue.name, "depth": queue.depth, "seconds": queue.oldest_seconds,
                "allowed_seconds": settings.waiting_seconds})
