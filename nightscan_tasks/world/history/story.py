"""What happens on which day. Days are counted back: 0 is the last one, on which `now` is."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_RANDOM_FROM = 50  # before the troubles that every history has
_RARELY = {"failed": 0.012, "incomplete": 0.015, "outage": 0.008}


class Trouble(StrEnum):
    """What may happen to the daily run of a day."""

    GAP = "gap"                # beat was down: nothing ran
    FAILED = "failed"
    INCOMPLETE = "incomplete"  # Redis did not answer
    WIPED = "wiped"            # most rows were gone: a suspicious set
    OUTAGE = "outage"          # the first offsite store did not answer; replicated when it was over


@dataclass(frozen=True)
class Story:
    """The troubles of each day, and the drills that did not hold, counted from the last one back."""

    days: int
    troubles: Mapping[int, Trouble]
    slow_drill: int = 1
    failed_drill: int = 2
    drilled_again: bool = True
    """Whether there was another, which held, on the day after the one that failed."""

    def of(self, day: int) -> Trouble | None:
        """The trouble of a day."""
        return self.troubles.get(day)

    def on(self, trouble: Trouble) -> tuple[int, ...]:
        """The days of a trouble, the earliest first."""
        return tuple(sorted((day for day, each in self.troubles.items() if each is trouble), reverse=True))


def plan_story(days: int, *, seed: int, well: bool) -> Story:
    """What every history has of troubles, as far as it reaches back, and before that some by chance."""
    chance = random.Random(f"{seed}/story")
    troubles: dict[int, Trouble] = {}
    for day in range(_RANDOM_FROM, days - 1):
        for name, share in _RARELY.items():
            if chance.random() < share:
                troubles[day] = Trouble(name)
    troubles |= {3: Trouble.INCOMPLETE, 5: Trouble.WIPED, 20: Trouble.FAILED, 45: Trouble.FAILED,
                 **dict.fromkeys((12, 11, 10), Trouble.OUTAGE), **dict.fromkeys(range(30, 34), Trouble.GAP)}
    if not well:
        troubles |= {0: Trouble.FAILED, 1: Trouble.OUTAGE, 2: Trouble.OUTAGE}
    within = {day: trouble for day, trouble in sorted(troubles.items()) if day < days - 1}
    return Story(days, within, failed_drill=2 if well else 0, drilled_again=well)
