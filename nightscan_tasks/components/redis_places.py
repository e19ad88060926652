"""Which databases of the live server a restore may use, and whether it has room for both states."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nightscan_tasks.components.redis_marks import Database


@dataclass(frozen=True)
class Place:
    """Where one database is staged; `reserved` is where single keys will go that it replaces."""

    of: int
    staged: int
    reserved: int | None = None


@dataclass(frozen=True)
class Shortage:
    """There are not enough free databases."""

    needed: int
    free: int
    databases: int


def plan_places(wanted: Sequence[int], databases: Iterable[Database], *, in_use: Iterable[int],
                per_database: int) -> tuple[Place, ...] | Shortage:
    """A free database for each one wanted, or two: the highest, as applications begin at 0.

    Free is what is empty, not wanted itself, and no client is connected to.
    """
    known = tuple(databases)
    taken = {*wanted, *in_use}
    free = [each.number for each in reversed(known)
            if not each.keys and not each.mark and each.number not in taken]
    needed = per_database * len(wanted)
    if len(free) < needed:
        return Shortage(needed, len(free), len(known))
    if per_database == 1:
        return tuple(Place(of, staged) for of, staged in zip(wanted, free, strict=False))
    return tuple(Place(of, *pair) for of, pair in zip(wanted, zip(free[::2], free[1::2], strict=False),
                                                      strict=False))
