"""The stores: whether they answer, how full they are, and when they were read again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time

from nightscan_tasks.report.metrics.metric import Metric, Row, metric, moments
from nightscan_tasks.watch.overview import Filling, Overview

_DAY_SECONDS = 86400


@metric("store_up", "whether the store answers", "store")
def up(overview: Overview) -> Iterator[Row]:
    """Of every store that was asked."""
    yield from (((store.name,), float(store.answers)) for store in overview.stores)


@metric("store_sets_bytes", "what the sets take that are in the store", "store")
def sets_bytes(overview: Overview) -> Iterator[Row]:
    """Of the stores that answer."""
    yield from (((store.name,), store.stored_bytes) for store in overview.stores if store.answers)


@metric("store_free_bytes", "what is free, of the disk or of the quota that was set", "store")
def free_bytes(overview: Overview) -> Iterator[Row]:
    """Of the stores that can tell."""
    yield from (((name,), each.free_bytes) for name, each in _filling(overview))


@metric("store_size_bytes", "how big the disk or the quota of the store is", "store")
def size_bytes(overview: Overview) -> Iterator[Row]:
    """Of the stores that can tell."""
    yield from (((name,), each.total_bytes) for name, each in _filling(overview) if each.total_bytes)


@metric("store_consumption_bytes_per_second",
        "how fast what is free goes, from samples of up to 60 days; below 0 it grows", "store")
def consumption(overview: Overview) -> Iterator[Row]:
    """Of the stores of which there are samples."""
    for name, each in _filling(overview):
        if each.bytes_per_day is not None:
            yield (name,), each.bytes_per_day / _DAY_SECONDS


@metric("store_full_timestamp_seconds",
        "the day on which nothing will be free, at the pace of the samples", "store")
def full_on(overview: Overview) -> Iterator[Row]:
    """Of the stores that fill."""
    yield from moments(*(((name,), datetime.combine(each.full_on, time(), UTC) if each.full_on else None)
                         for name, each in _filling(overview)))


@metric("retention_frozen", "whether rotation removes nothing from the store, at all or of a tier", "store")
def frozen(overview: Overview) -> Iterator[Row]:
    """Of the stores that answer."""
    names = {key.partition(" ")[0] for key in overview.frozen}
    yield from (((store.name,), float(store.name in names)) for store in overview.stores if store.answers)


@metric("scrub_last_timestamp_seconds", "when the last scrub of the store ended", "store")
def scrubbed(overview: Overview) -> Iterator[Row]:
    """Absent while one runs, and after one that was killed."""
    yield from moments(*(((store.name,), store.scrubbed.ended_at) for store in overview.stores
                         if store.scrubbed))


@metric("scrub_oldest_timestamp_seconds", "when the artifact was read that is unread for longest", "store")
def oldest_read(overview: Overview) -> Iterator[Row]:
    """Of the stores that were scrubbed."""
    yield from moments(*(((store.name,), store.scrubbed.oldest_at) for store in overview.stores
                         if store.scrubbed))


@metric("scrub_unsettled_files",
        "files that a scrub found damaged, mended or unreadable, and nobody has read whole since", "store")
def unsettled(overview: Overview) -> Iterator[Row]:
    """Of the stores that were scrubbed."""
    yield from (((store.name,), len(store.scrubbed.unsettled)) for store in overview.stores if store.scrubbed)


def _filling(overview: Overview) -> Iterator[tuple[str, Filling]]:
    return ((store.name, store.filling) for store in overview.stores if store.filling)


METRICS: tuple[Metric, ...] = (up, sets_bytes, free_bytes, size_bytes, consumption, full_on, frozen, scrubbed,
                               oldest_read, unsettled)
