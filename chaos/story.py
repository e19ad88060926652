"""Which runs there are and what happens to each: decided by a seed, before anything is started."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

_ALL = ("database", "redis", "user_data", "system_config")
_LATEST_SECONDS = 1.5  # a run of a small site takes about that long, with its copies
_LONGEST_SECONDS = 4.0
_EVERYTHING = 0.5  # how many of the runs save all components
_TWO_FAULTS = 0.25


@dataclass(frozen=True)
class Strike:
    """One fault: how long after its run was asked for, and how long until it is mended.

    `chance` is from 0 to 1, and picks among several targets.
    """

    fault: str
    after_seconds: float
    for_seconds: float
    chance: float


@dataclass(frozen=True)
class Chapter:
    """One run, and the faults that befall it."""

    number: int
    components: tuple[str, ...]
    strikes: tuple[Strike, ...]


def plan_story(seed: int, runs: int, faults: Sequence[str]) -> tuple[Chapter, ...]:
    """A story of so many runs. Every fault comes as often as any other, or once more."""
    dice = random.Random(seed)
    order: list[str] = []
    while len(order) < runs:
        order += dice.sample(faults, len(faults))
    return tuple(_chapter(dice, number, fault, faults) for number, fault in enumerate(order[:runs]))


def _chapter(dice: random.Random, number: int, fault: str, faults: Sequence[str]) -> Chapter:
    components = _ALL if dice.random() < _EVERYTHING else tuple(
        each for each in _ALL if each in dice.sample(_ALL, 2) or each == "database")
    struck = [fault, *([dice.choice(faults)] if dice.random() < _TWO_FAULTS else [])]
    return Chapter(number, components, tuple(
        Strike(each, dice.uniform(0, _LATEST_SECONDS), dice.uniform(0.2, _LONGEST_SECONDS), dice.random())
        for each in struck))
