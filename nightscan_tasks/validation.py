"""Every file of user data as it is now, against what was recorded of it when it was saved."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from nightscan_tasks.components.entry import Entry, Indexed, Kind
from nightscan_tasks.components.files_source import list_files
from nightscan_tasks.components.paths import Paths
from nightscan_tasks.components.problems import shown
from nightscan_tasks.components.tree import Tree
from nightscan_tasks.components.user_data import UserData
from nightscan_tasks.errors import NotFound
from nightscan_tasks.hosts import host_of
from nightscan_tasks.model import Artifact, Chunks, Json, Manifest
from nightscan_tasks.system import System

OpenIndex = Callable[[Artifact], AbstractContextManager[Chunks]]
"""Gives the plain bytes of an index, which takes the private key to read."""

_COMPONENT = "user_data"
_INDEX = ".index.jsonl."
_NAMED = 20
_READ_BYTES = 1 << 20
_BATCH = 1000


class Finding(StrEnum):
    """What became of a file since it was saved."""

    WHOLE = "whole"
    DAMAGED = "damaged"        # another content, though nobody wrote it: same length, same mtime
    CHANGED = "changed"        # written since: another length, mtime or type
    MISSING = "missing"        # in the set, and not here
    NEW = "new"                # here, and not in the set, though it would be saved now
    UNREADABLE = "unreadable"  # here, and cannot be read


@dataclass(frozen=True)
class Validation:
    """Counts by finding, the first names of each but the whole ones, and how many bytes were read."""

    set_id: str
    root: str
    counts: Mapping[str, int]
    names: Mapping[str, tuple[str, ...]]
    read_bytes: int

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged, missing or unreadable."""
        return not any(self.counts[each] for each in (Finding.DAMAGED, Finding.MISSING, Finding.UNREADABLE))

    def as_json(self) -> dict[str, Json]:
        """The same, for the wire."""
        return {"set_id": self.set_id, "root": self.root, "ok": self.ok, "counts": dict(self.counts),
                "names": {finding: list(names) for finding, names in self.names.items()},
                "read_bytes": self.read_bytes}


def validate_user_data(system: System, manifest: Manifest, open_index: OpenIndex, *,
                       paths: tuple[str, ...] = (), named: int = _NAMED,
                       seen: Callable[[int], None] | None = None) -> Validation:
    """Read every file that the set has (or that `paths` choose of them), and compare it with its hash.

    Memory does not grow with the number of files. `named` is how many names of each finding are kept;
    `seen` is told the bytes read so far. `NotFound` if the set has no user data.
    """
    own = system.settings.own_host
    indexes = [artifact for artifact in manifest.of(_COMPONENT) if _INDEX in artifact.name
               and host_of(artifact.part) in {"", own}]
    if not indexes:
        raise NotFound(f"{manifest.set_id} has no {_COMPONENT}; it has {', '.join(manifest.components)}")
    component = UserData(system.settings, system.clock)
    patterns, tally = Paths(paths), _Tally(named, seen)
    with _names(system.settings.temp_dir) as known:
        with _tree(component) as tree:
            for artifact in indexes:
                with open_index(artifact) as chunks:
                    for indexed in list_files(chunks):
                        known.add(indexed.entry.path)
                        if patterns.matches(indexed.entry.path):
                            tally.compare(tree, indexed)
        patterns.check(f"{_COMPONENT} of {manifest.set_id}")
        for path in _live(component):
            if patterns.matches(path) and path not in known:
                tally.add(Finding.NEW, path)
    return Validation(str(manifest.set_id), str(component.root),
                      {finding.value: tally.counts[finding] for finding in Finding},
                      {finding.value: tuple(names) for finding, names in tally.names.items()},
                      tally.read_bytes)


@dataclass
class _Tally:
    named: int
    seen: Callable[[int], None] | None
    counts: Counter[Finding] = field(default_factory=Counter)
    names: dict[Finding, list[str]] = field(default_factory=lambda: {
        finding: [] for finding in Finding if finding is not Finding.WHOLE})
    read_bytes: int = 0

    def add(self, finding: Finding, path: bytes) -> None:
        """Count a finding."""
        self.counts[finding] += 1
        if finding is not Finding.WHOLE and len(self.names[finding]) < self.named:
            self.names[finding].append(shown(path))

    def compare(self, tree: Tree | None, indexed: Indexed) -> None:
        """Look at one file of the set; folders are those of their files."""
        entry = indexed.entry
        if entry.kind is Kind.DIRECTORY:
            return
        if tree is None:
            self.add(Finding.MISSING, entry.path)
            return
        try:
            finding = self._finding(tree, indexed)
        except (FileNotFoundError, NotADirectoryError):
            finding = Finding.MISSING
        except OSError:
            finding = Finding.UNREADABLE
        self.add(finding, entry.path)

    def _finding(self, tree: Tree, indexed: Indexed) -> Finding:
        entry = indexed.entry
        status = tree.lstat(entry.path)
        if entry.kind is Kind.SYMLINK:
            same = stat.S_ISLNK(status.st_mode) and tree.readlink(entry.path) == entry.target
            return Finding.WHOLE if same else Finding.CHANGED
        if entry.kind is Kind.FIFO:
            return Finding.WHOLE if stat.S_ISFIFO(status.st_mode) else Finding.CHANGED
        if not stat.S_ISREG(status.st_mode) or not _untouched(entry, status):
            return Finding.CHANGED
        if self._sha256(tree, entry.path) == indexed.sha256:
            return Finding.WHOLE
        # Written while it was read, now or when it was saved: nobody can tell what it was.
        if indexed.problem or not _untouched(entry, tree.lstat(entry.path)):
            return Finding.CHANGED
        return Finding.DAMAGED

    def _sha256(self, tree: Tree, path: bytes) -> str:
        descriptor = tree.open(path)
        try:
            # What lies on the disk is the question, not what was left in memory of it.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            digest, buffer = hashlib.sha256(), memoryview(bytearray(_READ_BYTES))
            while count := os.readv(descriptor, [buffer]):
                digest.update(buffer[:count])
                self.read_bytes += count
                if self.seen is not None:
                    self.seen(self.read_bytes)
        finally:
            os.close(descriptor)
        return digest.hexdigest()


def _untouched(entry: Entry, status: os.stat_result) -> bool:
    return (status.st_size, status.st_mtime_ns) == (entry.content_bytes, entry.mtime_ns)


@contextmanager
def _tree(component: UserData) -> Iterator[Tree | None]:
    """The root; None if it is not there, so that everything is missing."""
    try:
        tree = Tree(component.root, component.followed())
    except (FileNotFoundError, NotADirectoryError):
        yield None
        return
    with tree:
        yield tree


def _live(component: UserData) -> Iterator[bytes]:
    """Every file that a backup would save now."""
    if component.root.is_dir():
        yield from (found.path for found in component.found() if found.kind in "flp")


class _Names:
    """A set of names, on disk: there may be millions."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._waiting: list[tuple[bytes]] = []
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("CREATE TABLE name (path BLOB PRIMARY KEY) WITHOUT ROWID")

    def add(self, path: bytes) -> None:
        """Remember a name."""
        self._waiting.append((path,))
        if len(self._waiting) >= _BATCH:
            self._flush()

    def __contains__(self, path: bytes) -> bool:
        self._flush()
        return self._connection.execute("SELECT 1 FROM name WHERE path = ?", (path,)).fetchone() is not None

    def _flush(self) -> None:
        if self._waiting:
            self._connection.executemany("INSERT OR IGNORE INTO name VALUES (?)", self._waiting)
            self._waiting.clear()


@contextmanager
def _names(temp_dir: Path) -> Iterator[_Names]:
    with (TemporaryDirectory(prefix="nightscan-names-", dir=temp_dir) as folder,
          closing(sqlite3.connect(Path(folder) / "names", isolation_level=None)) as connection):
        yield _Names(connection)
