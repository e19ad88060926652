"""A component made of files: user data, system configuration and source code are each one of these.

`found` lists, `Archive` reads, `Index` hashes. Each part has two streams: `NAME.tar`, and
`NAME.index.jsonl` with one line for each entry of it.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

from nightscan_tasks.components.archive import Archive
from nightscan_tasks.components.base import Dump, PlainStream, Shared
from nightscan_tasks.components.index import Index
from nightscan_tasks.components.listing import Found, line_of, lines_of, read_line, walk
from nightscan_tasks.components.tree import Tree
from nightscan_tasks.components.treeprint import combine
from nightscan_tasks.errors import SourceUnavailable
from nightscan_tasks.model import Json, Report

Before = Callable[[str, bytes], None]

OURS = (".nightscan_*",)
"""What restores keep beside the files, which no backup saves: staged and old states, journals, quarantine."""


class FilesDump:
    """One archive that is being read, and its index."""

    def __init__(self, part: str, archive: Archive, index: Index,
                 facts: Mapping[str, Json] | None = None) -> None:
        self._part = part
        self._archive = archive
        self._index = index
        self._facts = facts or {}

    def streams(self) -> Iterator[PlainStream]:
        """The archive, then its index."""
        yield PlainStream(f"{self._part}.tar", self._archive.chunks())
        yield PlainStream(f"{self._part}.index.jsonl", self._index.chunks())

    def report(self) -> Report:
        """What was saved; `DumpIncomplete` names what could not be read."""
        self._archive.problems.check(self._part)
        return Report(self._index.fingerprint.as_json(), notes=self._archive.problems.notes,
                      facts=self._facts)


class FileComponent(ABC):
    """Files below `root`, in one archive or several; names in them begin with `prefix`.

    `before` is handed to the archives: it is where tests change files.
    """

    name: str
    root_setting: str

    def __init__(self, root: Path, *, prefix: bytes = b"", archives: int = 1,
                 temp_dir: Path | None = None, before: Before | None = None) -> None:
        self.root = root
        self.prefix = prefix
        self.archives = archives
        self.temp_dir = temp_dir
        self.before = before

    @abstractmethod
    def found(self) -> Iterator[Found]:
        """Everything that belongs to it now, folders before what is in them."""

    def parts(self) -> tuple[str, ...]:
        """One for each archive."""
        return (self.name,)

    def followed(self) -> frozenset[bytes]:
        """Paths that may be symlinks to folders."""
        return frozenset()

    def facts(self) -> Mapping[str, Json]:
        """What the report says beside the fingerprint."""
        return {}

    def predicted_bytes(self, part: str) -> int:
        """The sizes of the part's files as they are now; looked up once for all parts."""
        return self._predicted[self.parts().index(part)]

    @contextmanager
    def open(self, part: str, shared: Shared) -> Iterator[Dump]:
        """Open one archive for reading; `SourceUnavailable` when the root is not there."""
        self._check_root()
        with ExitStack() as stack:
            lines = stack.enter_context(shared.listing(self.name, self.lines))
            yield self._dump(stack, part, lines)

    def lines(self) -> Iterator[bytes]:
        """The run's list of files."""
        self._check_root()
        return lines_of(self.found(), self.archives)

    def fingerprint(self) -> dict[str, Json]:
        """The fingerprint that a backup taken now would have; `DumpIncomplete` if it would fail."""
        prints = []
        for part in self.parts():
            with ExitStack() as stack:
                dump = self._dump(stack, part, self.lines())
                _drain(dump)
                prints.append(dump.report().fingerprint)
        return combine(prints)

    def _dump(self, stack: ExitStack, part: str, lines: Iterator[bytes]) -> FilesDump:
        tree = stack.enter_context(Tree(self.root, self.followed()))
        index = stack.enter_context(Index(self.temp_dir))
        archive = Archive(tree, lines, index, number=self.parts().index(part), prefix=self.prefix,
                          before=self.before)
        return FilesDump(part, archive, index, self.facts())

    def _check_root(self) -> None:
        if not _is_folder(self.root):
            raise SourceUnavailable(
                f"{self.name}: {self.root} is not there, not a folder, or closed to this user: mount "
                f"it, or correct {self.root_setting}")

    @cached_property
    def _predicted(self) -> list[int]:
        sizes = [0] * self.archives
        if not _is_folder(self.root):
            return sizes
        for found in self.found():
            if found.kind == "f" and found.status is not None:
                listed = read_line(line_of(found, self.archives))
                sizes[listed.archive] += found.status.st_size
        return sizes


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except PermissionError:
        return False


def fingerprint_tree(root: Path) -> dict[str, Json]:
    """The fingerprint of everything below `root` as it is now: what a restore is compared with.

    `DumpIncomplete` when something there cannot be read.
    """
    with Tree(root) as tree, Index() as index:
        dump = FilesDump(str(root), Archive(tree, lines_of(walk(os.fsencode(root), b"")), index), index)
        _drain(dump)
        return dict(dump.report().fingerprint)


def _drain(dump: FilesDump) -> None:
    for stream in dump.streams():
        for _ in stream.chunks:
            pass
