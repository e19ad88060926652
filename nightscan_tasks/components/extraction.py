"""Unpacking archives into a folder, each compared with its index on the way.

Whatever archive it is, made here or not: `tar_reader` and `restored` refuse what leaves the folder, and
`writer` touches nothing outside of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from nightscan_tasks.components.entry import Kind, agrees, path_of, read_index_line
from nightscan_tasks.components.problems import Problems, shown
from nightscan_tasks.components.restored import Restored
from nightscan_tasks.components.tar_reader import Pieces, Stream, members
from nightscan_tasks.components.tree import Elsewhere
from nightscan_tasks.components.treeprint import Fingerprint, combine
from nightscan_tasks.components.writer import Writer
from nightscan_tasks.errors import DigestMismatch, ManifestInvalid
from nightscan_tasks.model import Chunks, Json
from nightscan_tasks.streams import Abandoned, ReadAhead

_AHEAD = 4  # chunks that are decrypted before they are written
_NAMED = 20
_LONGEST_LINE_BYTES = 1 << 20


@dataclass(frozen=True)
class ExtractReport:
    """What was unpacked; `notes` are attributes and owners that this system did not take.

    `fingerprint` is what lies on disk now, where the archives came with their indexes.
    """

    files: int
    directories: int
    links: int
    content_bytes: int
    notes: tuple[str, ...] = ()
    fingerprint: Mapping[str, Json] = field(default_factory=dict)


def extract(chunks: Chunks, target: Path, *, index: Chunks | None = None,
            include: Callable[[bytes], bool] | None = None, owner: bool | None = None,
            told: Told | None = None) -> ExtractReport:
    """Unpack a tar stream into `target`, a folder that holds nothing but other archives of the set.

    `include` chooses by path. With the archive's `index` every file is compared with its hash, and
    `DigestMismatch` names those that differ, after the rest was unpacked; it is also raised when the
    stream is damaged. `told` is for an index that tells of other archives too. `RestoreRefused` when a name
    would leave the folder or is there already. `owner` restores owners by name, else by number; None does so
    for root.
    """
    extraction = Extraction(target, include=include, owner=owner)
    extraction.run(chunks, index=index, told=told)
    return extraction.finish()


class Told(Protocol):
    """What an index that tells of several archives tells of one of them."""

    @property
    def partly(self) -> bool:
        """Whether the archive holds more than it tells of: what is gone, or what a later archive has."""

    def of(self, index_lines: Iterable[bytes]) -> Iterator[bytes]:
        """The lines of the index that tell of this archive."""


class Extraction:
    """Archives of one set on their way into one folder, of which parts may lie `elsewhere`.

    `run` each archive, also side by side in threads; then `finish`: folders get their modes and times
    last, since whatever is made in them changes the time. A folder above what `include` chose gets its own,
    too. `stand_ins` gives files that are not included the name that they are unpacked by, since another
    name of theirs is included.
    """

    def __init__(self, target: Path, elsewhere: Elsewhere | None = None, *,
                 include: Callable[[bytes], bool] | None = None,
                 stand_ins: Mapping[bytes, bytes] | None = None, owner: bool | None = None) -> None:
        self.include = include or _everything
        self.stand_ins = stand_ins or {}
        self.failed = False
        chown = os.geteuid() == 0 if owner is None else owner
        self._writer = partial(Writer, target, elsewhere, stand_ins=self.stand_ins, chown=chown)
        self._done: list[Unpacked] = []

    def run(self, chunks: Chunks, *, index: Chunks | None = None, told: Told | None = None) -> Unpacked:
        """Unpack one archive, and compare it with its index; errors as `extract` has them."""
        try:
            with self._writer(hashed=index is not None) as writer:
                listed = None if index is None else told.of(lines(index)) if told else lines(index)
                run = _Run(self, writer, listed, partly=told is not None and told.partly)
                run.read(chunks)
        except BaseException:
            self.stop()  # the others need not go on
            raise
        self._done.append(run.unpacked)
        return run.unpacked

    def add(self, unpacked: Unpacked) -> None:
        """Count an archive that another process has unpacked into the same folder."""
        self._done.append(unpacked)

    def stop(self) -> None:
        """Let what runs in other threads end at its next member."""
        self.failed = True

    def finish(self) -> ExtractReport:
        """Give folders their owners, modes and times, from the deepest up, and say what was done.

        The fingerprint is that of what is on disk: each entry was looked at after it was written.
        """
        folders = {path: entry for run in self._done for path, entry in run.folders.items()}
        parents = {path for run in self._done for path in run.parents}
        fingerprint = Fingerprint()
        with self._writer(hashed=False) as writer:
            for path in sorted(folders.keys() & parents, reverse=True):
                writer.dress_folder(path, folders[path])
                fingerprint.add(writer.look(folders[path]), "")
            problems = [*(run.problems for run in self._done), writer.problems]
        count = {kind: sum(run.counts[kind] for run in self._done) for kind in Kind}
        return ExtractReport(
            count[Kind.FILE], count[Kind.DIRECTORY], count[Kind.SYMLINK] + count[Kind.HARD_LINK],
            sum(run.content_bytes for run in self._done),
            tuple(dict.fromkeys(note for each in problems for note in each.notes)),
            combine([fingerprint.as_json(), *(run.fingerprint.as_json() for run in self._done)]))


@dataclass
class Unpacked:
    """One archive, unpacked. `parents` are the folders that were made, or that something was made in."""

    problems: Problems
    folders: dict[bytes, Restored] = field(default_factory=dict)
    parents: set[bytes] = field(default_factory=lambda: {b""})
    counts: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    content_bytes: int = 0
    fingerprint: Fingerprint = field(default_factory=Fingerprint)


class _Run:
    """One archive that is being unpacked."""

    def __init__(self, extraction: Extraction, writer: Writer, index: Iterator[bytes] | None, *,
                 partly: bool = False) -> None:
        self.unpacked = Unpacked(writer.problems)
        self._extraction = extraction
        self._writer = writer
        self._index = index
        self._partly = partly
        self._wanted = self._wanted_path = b""
        if partly:
            self._want_next()
        self._differing: list[str] = []

    def read(self, chunks: Chunks) -> None:
        """Unpack it all."""
        with ReadAhead(_kept(chunks), depth=_AHEAD, name="unpack") as ahead:
            stream = Stream(iter(ahead))
            for entry, content in members(stream):
                if self._extraction.failed:
                    raise Abandoned
                self._take(entry, content)
            stream.drain()
        if self._index is not None and (self._wanted or next(self._index, None) is not None):
            self._differ("the index lists more than the archive holds")
        if self._differing:
            raise DigestMismatch("the archive differs from its index: "
                                 + "; ".join(self._differing[:_NAMED]))

    def _take(self, entry: Restored, content: Pieces) -> None:
        if self._partly and not (self._wanted and self._wanted_path == entry.path):
            return
        included = bool(entry.path) and self._extraction.include(entry.path)
        written = entry
        if not included and entry.path in self._extraction.stand_ins and entry.kind is Kind.FILE:
            included, written = True, entry._replace(path=self._extraction.stand_ins[entry.path])
        if entry.kind is Kind.DIRECTORY and entry.path:
            self.unpacked.folders[entry.path] = entry
        sha256 = self._create(written, content) if included else None
        self._compare(entry, sha256)

    def _create(self, entry: Restored, content: Pieces) -> str | None:
        parent = entry.path if entry.kind is Kind.DIRECTORY else entry.path.rpartition(b"/")[0]
        while parent not in self.unpacked.parents:
            self.unpacked.parents.add(parent)
            parent = parent.rpartition(b"/")[0]
        sha256 = self._writer.create(entry, content)
        self.unpacked.counts[entry.kind] += 1
        if entry.kind is Kind.FILE:
            self.unpacked.content_bytes += entry.content_bytes
        if self._index is not None and sha256 is not None and entry.kind is not Kind.DIRECTORY:
            self.unpacked.fingerprint.add(self._writer.look(entry), sha256)
        return sha256

    def _compare(self, entry: Restored, sha256: str | None) -> None:
        """Compare an entry with its line in the index; `sha256` is of what was written, if anything was."""
        if self._index is None:
            return
        line: bytes | None = self._wanted or next(self._index, None)
        if self._partly:
            self._want_next()
        if line is None:
            self._differ(f"{shown(entry.path)} is not in the index")
            return
        if agrees(line, entry.path, entry.kind, sha256 or ""):  # nearly always
            return
        listed = read_index_line(line)
        if listed.entry.path != entry.path or listed.entry.kind is not entry.kind:
            self._differ(f"{shown(entry.path)} stands where the index has {shown(listed.entry.path)}")
        elif sha256 and listed.sha256 != sha256:
            self._differ(f"{shown(entry.path)} has sha256 {sha256}, expected {listed.sha256}")

    def _want_next(self) -> None:
        """Look at the next line of the index before the entry comes: what is before that is left out."""
        self._wanted = next(self._index, b"") if self._index is not None else b""
        self._wanted_path = path_of(self._wanted) if self._wanted else b""

    def _differ(self, what: str) -> None:
        if len(self._differing) <= _NAMED:
            self._differing.append(what)


def _kept(chunks: Chunks) -> Iterator[bytes]:
    """Chunks that outlive the next one: they wait for their turn."""
    return (chunk if isinstance(chunk, bytes) else bytes(chunk) for chunk in chunks)


def lines(chunks: Chunks) -> Iterator[bytes]:
    """The lines of a stream, without their ends."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + bytes(chunk)).split(b"\n")
        yield from whole
        if len(rest) > _LONGEST_LINE_BYTES:
            raise ManifestInvalid(f"not a line of an index: it is longer than {_LONGEST_LINE_BYTES} bytes")
    if rest:
        yield rest


def _everything(_path: bytes) -> bool:
    return True
