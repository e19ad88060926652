"""A night, event by event: every site sends its set over its own line, and all over one that they share.

What is sent is a fluid: at each moment the shared line is divided as TCP roughly does, evenly among those
who want more than their share, and nobody gets more than his own line or his machine can do.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tools.many_sites.fleet import Fleet


@dataclass(frozen=True)
class Night:
    """When sites were done, in hours from the first one's begin, the earliest first; and the busiest rate."""

    ended_hours: tuple[float, ...]
    peak_bytes_per_second: float
    late: int

    def hours(self, share: float) -> float:
        """When so much of the sites were done."""
        return self.ended_hours[min(int(share * len(self.ended_hours)), len(self.ended_hours) - 1)]


@dataclass
class _Sending:
    begins_at: float
    left_bytes: float
    most: float


def simulate(fleet: Fleet, sets: float, *, reading: bool = False) -> Night:
    """The night in which every site sends (or reads back) so many stocks: one for a full set."""
    line = fleet.downlink if reading else min(fleet.uplink, fleet.archive_bytes_per_second)
    coming = [_Sending(number * fleet.begins_apart_seconds, stock * sets, line)
              for number, stock in enumerate(_shuffled(fleet))]
    now, peak, ended, going = 0.0, 0.0, [], list[_Sending]()
    began = {id(each): each.begins_at for each in coming}
    late = 0
    while coming or going:
        going += [each for each in coming if each.begins_at <= now]
        coming = [each for each in coming if each.begins_at > now]
        rates = shares([each.most for each in going], fleet.shared)
        peak = max(peak, sum(rates))
        ends = [each.left_bytes / rate for each, rate in zip(going, rates, strict=True)]
        step = min([*ends, *(each.begins_at - now for each in coming)])
        now += step
        for each, rate in zip(going, rates, strict=True):
            each.left_bytes -= rate * step
        done = [each for each in going if each.left_bytes < 1]
        late += sum(now - began[id(each)] > fleet.window_hours * 3600 for each in done)
        ended += [now / 3600] * len(done)
        going = [each for each in going if each.left_bytes >= 1]
    return Night(tuple(ended), peak, late)


def shares(wanted: Sequence[float], line: float) -> list[float]:
    """A line divided: who wants less than an even share gets it, and the others divide what is left."""
    granted, left, open_ = [0.0] * len(wanted), line, len(wanted)
    for number in sorted(range(len(wanted)), key=lambda each: wanted[each]):
        granted[number] = min(wanted[number], left / open_)
        left -= granted[number]
        open_ -= 1
    return granted


def _shuffled(fleet: Fleet) -> list[float]:
    """Sites in no order of size, the same each time."""
    stocks = fleet.stocks()
    random.Random(fleet.seed + 1).shuffle(stocks)  # noqa: S311 - the same order each time is the point
    return stocks
