"""Unpacking the archives of a component: what has to be known for one of them, in whichever process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Protocol, runtime_checkable

from nightscan_tasks.apart import Apart, Tell
from nightscan_tasks.components.extraction import Extraction, Unpacked
from nightscan_tasks.components.files_source import Archives, Pair
from nightscan_tasks.components.paths import Paths
from nightscan_tasks.components.problems import shown
from nightscan_tasks.components.restorer import Source
from nightscan_tasks.components.tree import Elsewhere
from nightscan_tasks.errors import ProcessFailed, RestoreRefused
from nightscan_tasks.streams import Abandoned

_PREFIXES = {"system_config": b"etc"}
# Beginning a process takes 0.4 s of a processor; threads wait as long for each other with so much to unpack.
_LARGE_BYTES = 200 << 20
_MANY_FILES = 10_000


class Recipe(Protocol):
    """What another process makes a source of. It can be pickled; `jobs` is how many may read it at once."""

    @property
    def jobs(self) -> int:
        """How many processes may read it at once."""

    def source(self, tell: Tell) -> Source:
        """The source, whose progress is told."""


@runtime_checkable
class Portable(Protocol):
    """A source that another process may have too."""

    watch: Any

    def recipe(self) -> Recipe | None:
        """What the other process needs; None where it cannot have the same."""


def prefix_of(component: str) -> bytes:
    """What every name in a component's archives begins with."""
    return _PREFIXES.get(component, b"")


@dataclass(frozen=True)
class Task:
    """Where to unpack a component's archives, and which of their files."""

    component: str
    where: tuple[Path, Elsewhere]
    patterns: tuple[str, ...]
    stand_ins: Mapping[bytes, bytes]

    def extraction(self) -> Extraction:
        """An extraction of what is meant."""
        return Extraction(*self.where, include=_included(prefix_of(self.component), Paths(self.patterns)),
                          stand_ins=self.stand_ins)


def plan_processes(source: Source, pairs: tuple[Pair, ...]) -> Recipe | None:
    """What processes of their own need to read the source; None where they cannot, or it is not worth it."""
    files = int(str(source.report.fingerprint.get("files", 0)))
    if sum(pair.tar.plain_bytes for pair in pairs) <= _LARGE_BYTES and files <= _MANY_FILES:
        return None
    recipe = _recipe(source) if len(pairs) > 1 else None
    if recipe is None or recipe.jobs <= 1:
        return None
    return recipe


def _recipe(source: object) -> Recipe | None:
    return source.recipe() if isinstance(source, Portable) else None


class Crew:
    """Processes that unpack an archive each, and end when one of them fails."""

    def __init__(self, task: Task, recipe: Recipe, told: Tell | None) -> None:
        self._task, self._recipe, self._told = task, recipe, told
        self._others: list[Apart] = []
        self._stopped = Event()

    def unpack(self, pair: Pair) -> Unpacked:
        """Unpack one, and wait for it; errors as `Extraction.run` has them."""
        if self._stopped.is_set():
            raise Abandoned
        try:
            with Apart(unpack_here, self._task, self._recipe, pair) as other:
                self._others.append(other)
                unpacked: Unpacked = other.result(self._told)
        except BaseException as exc:
            if self._stopped.is_set() and isinstance(exc, ProcessFailed):  # we ended it
                raise Abandoned from exc
            self.stop()  # the others need not go on
            raise
        return unpacked

    def stop(self) -> None:
        """End every process."""
        self._stopped.set()
        for other in list(self._others):
            other.end()


def unpack_here(tell: Tell, task: Task, recipe: Recipe, pair: Pair) -> Unpacked:
    """Unpack one archive, and compare it with its index."""
    archives = Archives(task.component, recipe.source(tell))
    extraction = task.extraction()
    with archives.opened(pair) as (chunks, index):
        return extraction.run(chunks, index=index, told=pair)


def _included(prefix: bytes, paths: Paths) -> Callable[[bytes], bool]:
    def included(path: bytes) -> bool:
        if prefix and path != prefix and not path.startswith(prefix + b"/"):
            raise RestoreRefused(f"{shown(path)} is not below {shown(prefix)}: such an archive was not made "
                                 f"here")
        return paths.matches(path)

    return included
