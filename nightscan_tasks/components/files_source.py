"""A component of a set, as archives with their indexes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple

from nightscan_tasks.components.entry import Indexed, Kind, of_set, read_index_line
from nightscan_tasks.components.extraction import lines
from nightscan_tasks.components.files_dump import INDEX, TAR
from nightscan_tasks.components.paths import Paths
from nightscan_tasks.components.restorer import Source
from nightscan_tasks.errors import NotFound, RestoreRefused
from nightscan_tasks.model import Artifact, Chunks

_TAR, _INDEX = f"{TAR}.", f"{INDEX}."


class Pair(NamedTuple):
    """An archive and the index of its part, which may tell of other archives too."""

    tar: Artifact
    listing: Artifact
    set_id: str = ""

    @property
    def partly(self) -> bool:
        """Whether later sets have some of what is in the archive otherwise, or no more."""
        return bool(self.set_id)

    def of(self, index_lines: Iterable[bytes]) -> Iterator[bytes]:
        """The lines of the index that tell of something in this archive."""
        return of_set(index_lines, self.set_id)


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
        """Each archive with its index: by parts, and of each the oldest first."""
        found = sorted((artifact for artifact in self.source.artifacts if _TAR in artifact.name), key=by_age)
        indexes = {artifact.part: artifact for artifact in self.source.artifacts if _INDEX in artifact.name}
        missing = sorted({artifact.part for artifact in found} ^ set(indexes)) or _gaps(set(indexes))
        if missing or not found:
            raise RestoreRefused(
                f"the set lacks {', '.join(missing) or 'every archive'} of {self.component}: choose another "
                f"set, or another store with --from; nothing was changed")
        return tuple(paired(archive, indexes[archive.part]) for archive in found)

    @contextmanager
    def opened(self, pair: Pair) -> Iterator[tuple[Chunks, Chunks]]:
        """An archive and the index of its part, as plain streams."""
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
            yield from map(read_index_line, pair.of(lines(chunks)))

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


def by_age(artifact: Artifact) -> tuple[str, datetime]:
    """In this order archives are unpacked: those of earlier sets first."""
    return artifact.part, artifact.set_id.taken_at if artifact.set_id else datetime.max.replace(tzinfo=UTC)


def paired(archive: Artifact, index: Artifact) -> Pair:
    """An archive and the index of its part, as a set lists them."""
    together = archive.set_id == index.set_id
    return Pair(archive, index, "" if together or archive.set_id is None else str(archive.set_id))


def _gaps(parts: set[str]) -> list[str]:
    """The parts between the first and the last that are not there."""
    if not parts or any("." not in part for part in parts):
        return []
    stem = next(iter(parts)).rpartition(".")[0]
    numbers = {int(part.rpartition(".")[2]) for part in parts}
    return [f"{stem}.{number:02d}" for number in range(max(numbers)) if number not in numbers]
