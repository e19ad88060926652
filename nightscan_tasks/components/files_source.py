"""A component of a set, as archives with their indexes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from nightscan_tasks.components.entry import Indexed, Kind, read_index_line
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


class Wanted(NamedTuple):
    """What to read. `stand_ins`: a file that is not meant but has another name that is, by its own name."""

    pairs: tuple[Pair, ...]
    stand_ins: Mapping[bytes, bytes] = MappingProxyType({})


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

    def wanted(self, paths: Paths) -> Wanted:
        """What to read for the files that are meant; `RestoreRefused` if a pattern means nothing."""
        if not paths:
            return Wanted(self.pairs)
        stand_ins: dict[bytes, bytes] = {}
        chosen = tuple(pair for pair in self.pairs if self._any(pair, paths, stand_ins))
        paths.check(f"{self.component} of the set")
        return Wanted(chosen, stand_ins)

    def _any(self, pair: Pair, paths: Paths, stand_ins: dict[bytes, bytes]) -> bool:
        found = False
        for each in self.listed(pair):
            entry = each.entry
            if paths.matches(entry.path):
                found = True
                if entry.kind is Kind.HARD_LINK and not paths.matches(entry.target):
                    stand_ins.setdefault(entry.target, entry.path)
        return found


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
