"""The files of a plan, on a disk; and what a day changes of them."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data.media import jpeg, model, mp3, results
from benchmarks.data.noise import Noise
from benchmarks.data.plan import FILES, TOTAL_BYTES, Item, Kind, plan_tree
from benchmarks.data.sound import wav

_CONTENT: dict[Kind, Callable[[Noise, int], Iterator[bytes]]] = {
    "wav": wav, "jpg": jpeg, "mp3": mp3, "pt": model, "yaml": results}
_OLDEST = 1_735_689_600  # the first of 2025; later ones follow by the minute
_NEW = "uploads/new"
_PERIOD = 200  # each is the half of one per cent
_STEP = 37  # has no divisor in common with the period: each day changes others


@dataclass(frozen=True)
class Tree:
    """User data below `root`: which it is, is in the three numbers."""

    root: Path
    total_bytes: int = TOTAL_BYTES
    files: int = FILES
    seed: int = 1

    def write(self) -> None:
        """All of its files, none of which may be there yet."""
        for folder in ("uploads", "models", "config", "logs"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        self._write(self._plan(), "first")
        for number, item in enumerate(self._plan()):
            stamp = _OLDEST + 60 * number
            os.utime(self.root / item.path, (stamp, stamp))

    def change(self, day: int) -> int:
        """Change one file in a hundred: half of them are written anew, half come new, and those that came
        the day before go. How many are written.

        The size of the whole stays about the same, whatever the day; models stay as they are.
        """
        shutil.rmtree(self.root / _NEW, ignore_errors=True)
        rewritten = list(self._chosen(day, 0))
        new = [Item(f"{_NEW}/{day:05}/{Path(item.path).name}", item.kind, item.size_bytes)
               for item in self._chosen(day, _PERIOD // 2)]
        self._write(itertools.chain(rewritten, new), f"day {day}")
        return len(rewritten) + len(new)

    def _chosen(self, day: int, place: int) -> Iterator[Item]:
        for number, item in enumerate(self._plan()):
            if (number + day * _STEP) % _PERIOD == place and item.kind != "pt":
                yield item

    def _plan(self) -> Iterator[Item]:
        return plan_tree(self.total_bytes, self.files, seed=self.seed)

    def _write(self, items: Iterable[Item], version: str) -> None:
        folder = None
        for item in items:
            path = self.root / item.path
            if path.parent != folder:
                folder = path.parent
                folder.mkdir(parents=True, exist_ok=True)
            noise = Noise(f"{self.seed}/{version}/{item.path}")
            with path.open("wb", buffering=0) as file:
                for block in _CONTENT[item.kind](noise, item.size_bytes):
                    file.write(block)
