"""A component of a set, as archives with their indexes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from nightscan_tasks.components.entry import Indexed, read_index_line
from nightscan_tasks.components.extraction import lines
from nightscan_tasks.components.paths import Paths
from nightscan_tasks.components.restorer import Source
from nightscan_tasks.errors import NotFound, RestoreRefused
from nightscan_tasks.model import Artifact, Chunks

_TAR, _INDEX = ".tar.", ".index.jsonl."


class Pair(NamedTuple):
    """An archive and its index."""

    tar: Artifact
    listing: Artifact


@dataclass(frozen=True)
class Archives:
    """The archives of one component; `RestoreRefused` names one that is missing."""

    component: str
    source: Source

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Each archive with its index, in the order of their names."""
        found = {artifact.name.partition(_TAR)[0]: artifact for artifact in self.source.artifacts
                 if _TAR in artifact.name}
        indexes = {artifact.name.partition(_INDEX)[0]: artifact for artifact in self.source.artifacts
                   if _INDEX in artifact.name}
        missing = sorted(set(found) ^ set(indexes)) or _gaps(found)
        if missing or not found:
            raise RestoreRefused(
                f"the set lacks {', '.join(missing) or 'every archive'} of {self.component}: choose another "
                f"set, or another store with --from; nothing was changed")
        return tuple(Pair(found[part], indexes[part]) for part in sorted(found))

    @contextmanager
    def opened(self, pair: Pair) -> Iterator[tuple[Chunks, Chunks]]:
        """An archive and its index, as plain streams."""
        with ExitStack() as stack:
            yield stack.enter_context(self._open(pair.tar)), stack.enter_context(self._open(pair.listing))

    @contextmanager
    def _open(self, artifact: Artifact) -> Iterator[Chunks]:
        with ExitStack() as stack:
            try:
                chunks = stack.enter_context(self.source.open(artifact))
            except NotFound as exc:
                raise RestoreRefused(f"{artifact.name} is missing, though the set lists it: choose another "
                                     f"store with --from, or another set ({exc})") from exc
            yield chunks

    def listed(self, pair: Pair) -> Iterator[Indexed]:
        """What an archive holds, from its index alone."""
        with self._open(pair.listing) as chunks:
            yield from list_files(chunks)

    def with_any(self, paths: Paths) -> tuple[Pair, ...]:
        """The archives that hold something that is meant; `RestoreRefused` if a pattern means nothing."""
        if not paths:
            return self.pairs
        chosen = tuple(pair for pair in self.pairs if self._count(pair, paths))
        paths.check(f"{self.component} of the set")
        return chosen

    def _count(self, pair: Pair, paths: Paths) -> int:
        return sum(1 for each in self.listed(pair) if paths.matches(each.entry.path))


def list_files(index_chunks: Chunks) -> Iterator[Indexed]:
    """Every entry that an index names, in its order; `ManifestInvalid` for what is no index."""
    return map(read_index_line, lines(index_chunks))


def _gaps(found: dict[str, Artifact]) -> list[str]:
    """The archives between the first and the last that are not there."""
    if any("." not in part for part in found):
        return []
    stem = next(iter(found)).rpartition(".")[0]
    numbers = {int(part.rpartition(".")[2]) for part in found}
    return [f"{stem}.{number:02d}" for number in range(max(numbers)) if number not in numbers]
