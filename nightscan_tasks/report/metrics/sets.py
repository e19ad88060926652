"""What is saved: by tier, component and store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nightscan_tasks.report.metrics.metric import Metric, Row, metric
from nightscan_tasks.system import PRIMARY
from nightscan_tasks.watch.overview import CopySeen, Overview, SetSeen
from nightscan_tasks.watch.problem import Severity

_LEVELS = {None: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


@metric("backup_last_success_timestamp_seconds",
        "when the newest set was taken that is in the store and has the component",
        "tier", "component", "store")
def last_success(overview: Overview) -> Iterator[Row]:
    """Of every tier; the set as a whole may lack another component."""
    for labels, newest in _newest_by_component(overview):
        yield labels, newest.set_id.taken_at.timestamp()


@metric("backup_freshness",
        "0 fresh, 1 too old (warning), 2 far too old (critical), by the settings; never saved counts as old",
        "tier", "component", "store")
def freshness(overview: Overview) -> Iterator[Row]:
    """Of the tiers that may become stale."""
    for each in overview.freshness:
        yield (each.tier, each.component, each.store), _LEVELS[each.level]


@metric("backup_plain_bytes",
        "the component in its newest set in the store, before compression and encryption",
        "tier", "component", "store")
def plain_bytes(overview: Overview) -> Iterator[Row]:
    """Of the set of the last success."""
    for labels, newest in _newest_by_component(overview):
        yield labels, newest.components[labels[1]].plain_bytes


@metric("backup_stored_bytes", "what the component takes in its newest set in the store",
        "tier", "component", "store")
def stored_bytes(overview: Overview) -> Iterator[Row]:
    """Of the set of the last success."""
    for labels, newest in _newest_by_component(overview):
        yield labels, newest.components[labels[1]].stored_bytes


@metric("sets", "how many sets are in the store", "tier", "store")
def sets(overview: Overview) -> Iterator[Row]:
    """Of the stores that answer."""
    for store in _answering(overview):
        for tier in overview.tiers:
            yield (tier, store), sum(each.set_id.tier is tier and _copy(each, store) is not None
                                     for each in overview.sets)


@metric("newest_set_complete", "whether the newest set of the tier has all its components", "tier")
def complete(overview: Overview) -> Iterator[Row]:
    """Of every tier that has sets."""
    yield from (((each.set_id.tier,), float(each.complete)) for each in _newest_sets(overview))


@metric("newest_set_encrypted", "whether the newest set of the tier is encrypted", "tier")
def encrypted(overview: Overview) -> Iterator[Row]:
    """Of every tier that has sets."""
    yield from (((each.set_id.tier,), float(each.encrypted)) for each in _newest_sets(overview))


@metric("newest_set_copies",
        "how many stores have the newest complete set of the tier; only while all answer", "tier")
def copies(overview: Overview) -> Iterator[Row]:
    """Of every tier that has sets."""
    if all(store.answers for store in overview.stores):
        yield from (((each.set_id.tier,), len(each.copies))
                    for each in _newest_sets(overview, only_complete=True))


@metric("newest_set_offsite_copies",
        "how many offsite stores have the newest complete set of the tier; only while all answer", "tier")
def offsite_copies(overview: Overview) -> Iterator[Row]:
    """Of every tier that has sets."""
    if all(store.answers for store in overview.stores):
        for each in _newest_sets(overview, only_complete=True):
            yield (each.set_id.tier,), sum(copy.store != PRIMARY for copy in each.copies)


@metric("newest_set_verified",
        "whether the newest complete set of the tier in the store was read back, and is what was saved",
        "tier", "store")
def verified(overview: Overview) -> Iterator[Row]:
    """Of the stores that answer."""
    for labels, copy in _newest_copies(overview):
        yield labels, float(copy.verified_at is not None and not copy.problems)


@metric("verified_timestamp_seconds",
        "when a set of the tier was last read back from the store, and was what had been saved",
        "tier", "store")
def verified_at(overview: Overview) -> Iterator[Row]:
    """Of whatever set it was."""
    last: dict[tuple[str, ...], float] = {}
    for each in overview.sets:
        for copy in each.copies:
            if copy.verified_at is not None and not copy.problems:
                labels = (each.set_id.tier, copy.store)
                last[labels] = max(last.get(labels, 0), copy.verified_at.timestamp())
    yield from last.items()


@metric("damaged_copies", "how many sets were damaged in the store when they were last verified", "store")
def damaged(overview: Overview) -> Iterator[Row]:
    """Of the stores that answer."""
    for store in _answering(overview):
        yield (store,), sum(bool(copy.problems) for each in overview.sets for copy in each.copies
                            if copy.store == store)


def _newest_by_component(overview: Overview) -> Iterable[tuple[tuple[str, ...], SetSeen]]:
    """The newest set by tier, component and store; those of a clock in the future count for nothing."""
    found: dict[tuple[str, ...], SetSeen] = {}
    for each in _past(overview):
        for component in each.components:
            for copy in each.copies:
                found.setdefault((each.set_id.tier, component, copy.store), each)
    return found.items()


def _newest_copies(overview: Overview) -> Iterable[tuple[tuple[str, ...], CopySeen]]:
    found: dict[tuple[str, ...], CopySeen] = {}
    for each in _past(overview):
        for copy in each.copies if each.complete else ():
            found.setdefault((each.set_id.tier, copy.store), copy)
    return found.items()


def _newest_sets(overview: Overview, *, only_complete: bool = False) -> Iterable[SetSeen]:
    found: dict[str, SetSeen] = {}
    for each in _past(overview):
        if each.complete or not only_complete:
            found.setdefault(each.set_id.tier, each)
    return found.values()


def _past(overview: Overview) -> Iterator[SetSeen]:
    """The newest first."""
    return (each for each in overview.sets if each.set_id.taken_at <= overview.now)


def _answering(overview: Overview) -> Iterator[str]:
    return (store.name for store in overview.stores if store.answers)


def _copy(each: SetSeen, store: str) -> CopySeen | None:
    return next((copy for copy in each.copies if copy.store == store), None)


METRICS: tuple[Metric, ...] = (last_success, freshness, plain_bytes, stored_bytes, sets, complete, encrypted,
                               copies, offsite_copies, verified, verified_at, damaged)
