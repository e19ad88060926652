"""How contests are to be held."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BYTES = (100_000_000, 300_000_000, 1_000_000_000, 3_000_000_000, 10_000_000_000)
FILES = (1_000, 10_000, 100_000, 1_000_000)


@dataclass(frozen=True)
class Ask:
    """`scale` makes the data smaller; `bytes` and `files` are the steps of growth. With `only`, contenders
    whose names begin so take part, and nobody else.

    Each contest works in a folder of its own in `parent`, or in `keep`, which stays.
    """

    rounds: int = 3
    seed: int = 1
    scale: float = 1.0
    bytes: tuple[int, ...] = BYTES
    files: tuple[int, ...] = FILES
    only: tuple[str, ...] = ()
    parent: Path = Path("/var/tmp")  # noqa: S108 - only the place of a folder of one's own, made by mkdtemp
    keep: Path | None = None
