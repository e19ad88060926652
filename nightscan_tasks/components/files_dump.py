"""One part of a component of files, opened: in full, as what changed, or as what an earlier set has.

In full it has two streams: `NAME.tar`, and `NAME.index.jsonl` with one line for each entry. An increment's
are `NAME.STAMP.tar` with what is new or changed and every folder, `NAME.STAMP.removed` with each path that is
no longer there, and `NAME.STAMP.index.jsonl`, which tells of everything, also of what lies with earlier sets.
A part in which nothing changed has no stream: it is what the earlier set's is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from typing import IO

from nightscan_tasks.components.archive import Archive
from nightscan_tasks.components.base import PlainStream
from nightscan_tasks.components.files_cache import CacheWriter
from nightscan_tasks.components.index import Index
from nightscan_tasks.components.problems import Problems
from nightscan_tasks.model import Artifact, Chunks, Json, Report

INDEX, REMOVED, TAR = ".index.jsonl", ".removed", ".tar"
_CHUNK_BYTES = 1 << 20


class FilesDump:
    """One archive that is being read, and its index."""

    def __init__(self, name: str, archive: Archive, index: Index, *, facts: Mapping[str, Json] | None = None,
                 cache: CacheWriter | None = None) -> None:
        self._name = name
        self._archive = archive
        self._index = index
        self._facts = facts or {}
        self._cache = cache

    def streams(self) -> Iterator[PlainStream]:
        """The archive, then its index."""
        yield PlainStream(self._name + TAR, self._archive.chunks(), hashed=False)
        yield PlainStream(self._name + INDEX, self._index.chunks())

    def report(self) -> Report:
        """What was saved; `DumpIncomplete` names what could not be read."""
        self._archive.problems.check(self._name)
        notes = self._archive.problems.notes
        if self._cache and self._cache.problem:
            notes = (*notes, self._cache.problem)
        return Report(self._index.fingerprint.as_json(), notes=notes, facts=self._facts)


class Increment(FilesDump):
    """What changed since an earlier set, whose `artifacts` have the rest."""

    def __init__(self, name: str, archive: Archive, index: Index, *, removed: Removed,
                 artifacts: tuple[Artifact, ...], cache: CacheWriter) -> None:
        super().__init__(name, archive, index, cache=cache)
        self._removed = removed
        self._artifacts = artifacts

    def streams(self) -> Iterator[PlainStream]:
        """The archive, what is gone, and the index of everything."""
        archive, index = super().streams()
        yield archive
        if self._removed.count:
            yield PlainStream(self._name + REMOVED, self._removed.chunks())
        yield index

    def refers(self) -> tuple[Artifact, ...]:
        """The archives that still have something, and what was removed since the first of them."""
        archives = [each for each in self._artifacts if f"{TAR}." in each.name
                    and str(each.set_id) in self._archive.carried_from]
        first = min((each.set_id for each in archives if each.set_id), key=lambda set_id: set_id.taken_at,
                    default=None)
        return (*archives, *(each for each in self._artifacts if f"{REMOVED}." in each.name and first
                             and each.set_id and each.set_id.taken_at > first.taken_at))


class Unchanged:
    """A part that is just what an earlier set has."""

    def __init__(self, artifacts: tuple[Artifact, ...], fingerprint: Mapping[str, Json],
                 problems: Problems) -> None:
        self._artifacts = artifacts
        self._fingerprint = fingerprint
        self._problems = problems

    def streams(self) -> Iterator[PlainStream]:
        """None."""
        return iter(())

    def report(self) -> Report:
        """What the earlier set has, and today's notes."""
        return Report(self._fingerprint, notes=self._problems.notes)

    def refers(self) -> tuple[Artifact, ...]:
        """All of it."""
        return self._artifacts


class Removed:
    """Paths that are gone, each with a NUL byte after it; on disk where they are many."""

    def __init__(self, spool: IO[bytes] | None = None) -> None:
        self.count = 0
        self._spool = spool or tempfile.SpooledTemporaryFile(_CHUNK_BYTES)  # noqa: SIM115 - closed with the dump

    def add(self, path: bytes) -> None:
        """One more."""
        self.count += 1
        self._spool.write(path + b"\0")

    def chunks(self) -> Chunks:
        """All of them."""
        self._spool.seek(0)
        while chunk := self._spool.read(_CHUNK_BYTES):
            yield chunk

    def close(self) -> None:
        """They are not needed any more."""
        self._spool.close()
