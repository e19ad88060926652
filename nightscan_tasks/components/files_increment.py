"""A part of files of which an earlier set may have nearly everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from nightscan_tasks.components.archive import Archive
from nightscan_tasks.components.base import Base, Dump
from nightscan_tasks.components.changes import Change, Order, compare, unchanged
from nightscan_tasks.components.files_cache import Cache, Cached, CacheDamaged, CacheWriter
from nightscan_tasks.components.files_dump import INDEX, FilesDump, Increment, Removed, Unchanged
from nightscan_tasks.components.index import Index
from nightscan_tasks.components.problems import Problems
from nightscan_tasks.components.tree import Tree
from nightscan_tasks.components.treeprint import Fingerprint
from nightscan_tasks.model import Artifact

Lines = Callable[[], AbstractContextManager[Iterator[bytes]]]
"""Opens the run's list of files."""


@dataclass(frozen=True)
class Increments:
    """How parts are opened: `rules` name the settings by which files are chosen, `order` how they are sorted.

    `state_dir` is where caches are kept; `before` is handed to the archives.
    """

    state_dir: Path
    rules: str
    order: Order
    temp_dir: Path | None = None
    before: Callable[[str, bytes], None] | None = None

    def open(self, stack: ExitStack, part: str, *, number: int, tree: Tree, lines: Lines, base: Base) -> Dump:
        """The part as it has to be saved: not at all, what changed, or in full."""
        cache, fingerprint = self._cache(part, base.artifacts), Fingerprint()
        if cache:
            try:
                if not base.rehash and (dump := _unchanged(cache, number, lines, base)):
                    return dump
                fingerprint = Fingerprint.of(cache.fingerprint())
            except CacheDamaged:
                cache.forget()
                cache = None
        writer = CacheWriter(self.state_dir, part, self.rules)
        stack.callback(writer.close)
        index = stack.enter_context(Index(self.temp_dir, cache=writer, set_id=str(base.set_id),
                                          fingerprint=fingerprint))
        listed = stack.enter_context(lines())
        if cache is None:
            archive = Archive(tree, map(Change, listed), index, number=number, before=self.before)
            return FilesDump(part, archive, index, cache=writer)
        removed = Removed()
        stack.callback(removed.close)
        changes = compare(listed, _entries(cache), number=number, order=self.order, gone=removed.add,
                          drop=index.drop)
        archive = Archive(tree, changes, index, number=number, rehash=base.rehash, before=self.before)
        stamp = str(base.set_id).partition("/")[2]
        return Increment(f"{part}.{stamp}", archive, index, removed=removed, artifacts=base.artifacts,
                         cache=writer)

    def _cache(self, part: str, artifacts: tuple[Artifact, ...]) -> Cache | None:
        """What this host remembers of the earlier set; None where it does not."""
        index = next((each for each in artifacts if f"{INDEX}." in each.name), None)
        if index is None:
            return None
        cache = Cache(self.state_dir, part, index_sha256=index.plain_sha256, rules=self.rules)
        return cache if cache.there() else None


def _unchanged(cache: Cache, number: int, lines: Lines, base: Base) -> Unchanged | None:
    problems = Problems()
    with lines() as listed:
        if not unchanged(listed, cache.lines(), number=number, noted=problems.note_listed):
            return None
    fingerprint = cache.fingerprint()
    cache.used()
    return Unchanged(base.artifacts, fingerprint, problems)


def _entries(cache: Cache) -> Iterator[Cached]:
    """What is remembered; a cache that is damaged is removed, so that the next try is in full."""
    try:
        yield from cache.entries()
    except CacheDamaged:
        cache.forget()
        raise
