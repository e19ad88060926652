"""Which set still has what is missing: the newest first, and no more of them than needed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.components.entry import Kind, read_index_line
from nightscan_tasks.components.extraction import lines
from nightscan_tasks.components.files_dump import INDEX, TAR
from nightscan_tasks.components.files_source import Pair, paired
from nightscan_tasks.errors import NightscanError, NotFound
from nightscan_tasks.model import Artifact, Chunks, Manifest, SetId

OpenArtifact = Callable[[Catalog, Manifest, Artifact], AbstractContextManager[Chunks]]
"""The plain bytes of an artifact, checked at their end."""
Keep = Callable[[SetId], AbstractContextManager[object]]
"""Keeps a set from being removed while it is read."""
Read = Callable[[Catalog, SetId], Manifest]
"""The manifest of a set that may be used; `Untrusted` where it must not."""

_COMPONENT = "user_data"


@dataclass(frozen=True)
class Saved:
    """The sets: catalogs in the order in which they are asked, and how a set and its artifacts are read."""

    open_artifact: OpenArtifact
    catalogs: Sequence[Catalog] = ()
    keep: Keep = nullcontext
    read: Read = Catalog.get


@dataclass(frozen=True, eq=False)  # the same whenever it is read again
class Source:
    """One archive of one set in one store, with its index."""

    catalog: Catalog
    manifest: Manifest
    archive: Artifact
    index: Artifact

    @property
    def pair(self) -> Pair:
        """The two, and what the index tells of the archive."""
        return paired(self.archive, self.index)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        lies_in = self.archive.set_id or self.manifest.set_id
        where = f" in {lies_in}" if lies_in != self.manifest.set_id else ""
        return f"{self.catalog.store.name} {self.manifest.set_id} {self.archive.part}{where}"


class Search:
    """Looks for what is missing, and remembers which archives turned out to be of no use."""

    def __init__(self, scratch: sqlite3.Connection, saved: Saved) -> None:
        self._scratch = scratch
        self._saved = saved
        self.sources: list[Source] = []
        self.problems: list[str] = []
        self._bad: set[str] = set()

    def locate(self) -> None:
        """For each file that is missing, note the newest archive that has it.

        A store, set or index that cannot be read is a problem, and the next is asked.
        """
        self._scratch.execute("CREATE TEMP TABLE IF NOT EXISTS wanted (path BLOB PRIMARY KEY, id INTEGER)")
        self._scratch.execute("DELETE FROM wanted")
        self._scratch.execute("INSERT OR IGNORE INTO wanted "
                              "SELECT path, id FROM missing WHERE source IS NULL")
        self._scratch.execute("INSERT OR IGNORE INTO wanted SELECT reading, id FROM missing "
                              "JOIN reading USING (path) WHERE source IS NULL")
        for holders in self._sets():
            if not self._left():
                return
            self._look(holders)

    def reject(self, source: Source, why: str) -> None:
        """An archive that cannot be read: what it was to give is looked for elsewhere."""
        self._bad.add(str(source))
        self._tell(f"{source}: {why}")
        self._scratch.execute("UPDATE missing SET source = NULL WHERE source = ? AND NOT fetched",
                              (self.number(source),))

    def number(self, source: Source) -> int:
        """The place of an archive in `sources`, which is what the scratch calls it by."""
        if source not in self.sources:
            self.sources.append(source)
        return self.sources.index(source)

    def _tell(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _left(self) -> bool:
        row = self._scratch.execute("SELECT 1 FROM missing WHERE source IS NULL LIMIT 1").fetchone()
        return row is not None

    def _sets(self) -> Iterator[list[tuple[Catalog, SetId]]]:
        """Every set, the newest first, with the catalogs that list it, in the order of the stores."""
        holders: dict[SetId, list[tuple[Catalog, SetId]]] = {}
        for catalog in self._saved.catalogs:
            try:
                for set_id in catalog.ids():
                    holders.setdefault(set_id, []).append((catalog, set_id))
            except NightscanError as exc:
                self._tell(f"{catalog.store.name} could not be searched: {exc}")
        for set_id in sorted(holders, key=lambda each: (each.taken_at, each.tier), reverse=True):
            yield holders[set_id]

    def _look(self, holders: Sequence[tuple[Catalog, SetId]]) -> None:
        """Look into one set: each of its archives in the first store where it can be read."""
        done: set[str] = set()
        for catalog, set_id in holders:
            try:
                manifest = self._saved.read(catalog, set_id)
            except NotFound:
                continue  # removed since it was listed
            except NightscanError as exc:
                self._tell(f"{catalog.store.name} {set_id}: {exc}")
                continue
            pairs = _pairs(catalog, manifest)
            for source in pairs:
                if source.archive.name not in done and str(source) not in self._bad and self._read(source):
                    done.add(source.archive.name)
            if all(source.archive.name in done for source in pairs):
                return

    def _read(self, source: Source) -> bool:
        number = self.number(source)
        try:
            with self._saved.open_artifact(source.catalog, source.manifest, source.index) as chunks:
                for line in source.pair.of(lines(chunks)):
                    self._match(line, number)
        except NightscanError as exc:
            self.reject(source, str(exc))
            return False
        return True

    def _match(self, line: bytes, number: int) -> None:
        entry = read_index_line(line).entry
        if entry.kind not in {Kind.FILE, Kind.HARD_LINK}:
            return
        found = self._scratch.execute("SELECT id FROM wanted WHERE path = ?", (entry.path,)).fetchone()
        if found:
            self._scratch.execute(
                "UPDATE missing SET source = ?, stored = ?, target = ? WHERE id = ? AND source IS NULL",
                (number, entry.path, entry.target or None, found[0]))


def _pairs(catalog: Catalog, manifest: Manifest) -> list[Source]:
    """The archives of user data that have an index."""
    artifacts = manifest.of(_COMPONENT)
    indexes = {each.part: each for each in artifacts if f"{INDEX}." in each.name}
    return [Source(catalog, manifest, each, indexes[each.part]) for each in artifacts
            if f"{TAR}." in each.name and each.part in indexes]
