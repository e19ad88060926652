"""One metric: its name, what it says, and how it is read off an overview."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from nightscan_tasks.watch.overview import Overview

Row = tuple[tuple[str, ...], float]
"""The values of the labels, and the figure. What is not known has no row."""


@dataclass(frozen=True)
class Metric:
    """A gauge: each can go down, as the past that they are read from is forgotten bit by bit.

    Units are Prometheus' own: seconds, bytes, moments as seconds since 1970, yes and no as 1 and 0.
    """

    name: str
    says: str
    labels: tuple[str, ...]
    rows: Callable[[Overview], Iterable[Row]]


def metric(name: str, says: str, *labels: str) -> Callable[[Callable[[Overview], Iterable[Row]]], Metric]:
    """Make a metric of the function that yields its rows; its name begins with `nightscan_`."""
    return lambda rows: Metric(f"nightscan_{name}", says, labels, rows)


def moments(*found: tuple[tuple[str, ...], datetime | None]) -> Iterator[Row]:
    """Rows of moments, without those that are not known."""
    yield from ((labels, moment.timestamp()) for labels, moment in found if moment is not None)
