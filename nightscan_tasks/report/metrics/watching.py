"""What watching itself says: health, problems, alerts, queues, keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version

from nightscan_tasks.report.metrics.metric import Metric, Row, metric, moments
from nightscan_tasks.watch.overview import Overview
from nightscan_tasks.watch.problem import Health, Kind, Severity


@metric("info", "1; which version of these tasks looks after which site", "version", "site")
def info(overview: Overview) -> Iterator[Row]:
    """Always one."""
    try:
        found = version("nightscan-tasks")
    except PackageNotFoundError:  # a checkout that is not installed
        found = "unknown"
    yield (found, overview.site), 1


@metric("gathered_timestamp_seconds", "when all of this was looked at; where it is old, so is the rest")
def gathered(overview: Overview) -> Iterator[Row]:
    """Always."""
    yield from moments(((), overview.now))


@metric("health",
        "1 for the state that all problems make, 0 for the others: good, warning, critical, unknown", "state")
def health(overview: Overview) -> Iterator[Row]:
    """Always."""
    yield from (((state,), float(overview.health is state)) for state in Health)


@metric("problems", "how many problems of the kind there are; 0 only where it was looked for",
        "kind", "severity")
def problems(overview: Overview) -> Iterator[Row]:
    """Every kind, so that an alert clears; but for those that nobody could look for."""
    counted = Counter((each.kind, each.severity) for each in overview.problems)
    for kind in Kind:
        blind = any(fnmatchcase(f"{kind}:*", pattern) for pattern in overview.blind)
        if not blind or any(counted[kind, severity] for severity in Severity):
            yield from (((kind, severity), counted[kind, severity]) for severity in Severity)


@metric("alerts_open", "how many alerts are open", "severity")
def alerts(overview: Overview) -> Iterator[Row]:
    """As the last look left them."""
    counted = Counter(each.problem.severity for each in overview.alerts if each.closed_at is None)
    yield from (((severity,), counted[severity]) for severity in Severity)


@metric("alerts_untold", "how many open alerts no channel has been told of; all, where there is no channel")
def untold(overview: Overview) -> Iterator[Row]:
    """As the last look left them."""
    yield (), sum(each.closed_at is None and not each.told for each in overview.alerts)


@metric("queue_depth", "how many messages wait in the queue", "queue")
def depth(overview: Overview) -> Iterator[Row]:
    """Where the broker was asked, and told."""
    yield from (((each.name,), each.depth) for each in overview.queues or () if each.depth is not None)


@metric("queue_workers", "how many workers take from the queue", "queue")
def workers(overview: Overview) -> Iterator[Row]:
    """Where the broker was asked, and told."""
    yield from (((each.name,), len(each.workers)) for each in overview.queues or ()
                if each.workers is not None)


@metric("queue_oldest_seconds", "how long the oldest message of the queue waits", "queue")
def oldest(overview: Overview) -> Iterator[Row]:
    """Where that is known; 0 where none waits."""
    for each in overview.queues or ():
        seconds = 0.0 if each.depth == 0 else each.oldest_seconds
        if seconds is not None:
            yield (each.name,), seconds


@metric("key_expiry_timestamp_seconds", "when the key expires that sets are encrypted or signed with", "use")
def key_expiry(overview: Overview) -> Iterator[Row]:
    """Of the keys that were looked at and expire."""
    yield from moments(*(((each.use,), each.expires_at) for each in overview.keys or ()))


@metric("key_usable", "whether the key can be used that sets are encrypted or signed with", "use")
def key_usable(overview: Overview) -> Iterator[Row]:
    """Of the keys that were looked at."""
    yield from (((each.use,), float(not each.problem)) for each in overview.keys or ())


METRICS: tuple[Metric, ...] = (info, gathered, health, problems, alerts, untold, depth, workers, oldest,
                               key_expiry, key_usable)
