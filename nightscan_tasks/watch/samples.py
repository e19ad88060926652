"""How much room stores have had: small samples over time, and the day on which there will be none.

`samples/<store>.json` in the primary store keeps the last ones. One writes it at a time: whoever looks at
everything holds a lease (`watch.telling`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from statistics import median

from nightscan_tasks.ledger import record
from nightscan_tasks.stores.base import Store
from nightscan_tasks.watch.overview import Filling

SAMPLES = "samples"
_KEPT = 120
_APART = timedelta(hours=20)  # one a day is enough to see a month by
_FORECAST_FROM = timedelta(days=60)  # what was longer ago says little of what is now
_LEAST = timedelta(days=2)
_HORIZON_DAYS = 3650


@dataclass(frozen=True)
class Sample:
    """How many bytes were free at a moment."""

    at: datetime
    free_bytes: int


@dataclass(frozen=True)
class Sampled:
    """The samples of one store, the oldest first; `total_bytes` where its size is known."""

    store: str
    url: str
    samples: tuple[Sample, ...] = ()
    total_bytes: int | None = None


class Samples:
    """Where the samples are kept."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, store: Store) -> Sampled:
        """The samples of a store, where it is now; none where it was never sampled."""
        found = record.read_leniently(self._store, Sampled, f"{SAMPLES}/{store.name}.json")
        return found if found and found.url == store.url else Sampled(store.name, store.url)

    def add(self, store: Store, sample: Sample, *, total_bytes: int | None) -> Sampled:
        """Keep one more, in place of the newest where that is less than a day after the one before."""
        before = self.of(store).samples
        newest_but_one = before[-2:-1]
        settled = all(before[-1].at - each.at >= _APART for each in newest_but_one)
        kept = before if settled else before[:-1]
        sampled = Sampled(store.name, store.url, (*kept, sample)[-_KEPT:], total_bytes)
        record.write(self._store, f"{SAMPLES}/{store.name}.json", sampled)
        return sampled


def plan_filling(sampled: Sampled) -> Filling | None:
    """How full a store is, and the day on which nothing is free; None where it was never sampled.

    The slope is the median of those between any two samples of the last 60 days: one that somebody filled
    and emptied again, or one big removal, moves it little. There is none from less than two days.
    """
    if not sampled.samples:
        return None
    newest = sampled.samples[-1]
    recent = [each for each in sampled.samples if newest.at - each.at <= _FORECAST_FROM]
    slopes = [(one.free_bytes - other.free_bytes) / ((other.at - one.at) / timedelta(days=1))
              for one, other in combinations(recent, 2) if other.at - one.at >= timedelta(hours=12)]
    if not slopes or newest.at - recent[0].at < _LEAST:
        return Filling(newest.free_bytes, sampled.total_bytes, newest.at)
    growth = median(slopes)
    days = newest.free_bytes / growth if growth > 0 else _HORIZON_DAYS
    full_on = (newest.at + timedelta(days=days)).date() if days < _HORIZON_DAYS else None
    return Filling(newest.free_bytes, sampled.total_bytes, newest.at, growth, full_on)
