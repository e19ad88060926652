"""A component made of files: user data, system configuration and source code are each one of these.

`found` lists, `Archive` reads, `Index` hashes, and `FilesDump` says what is stored of them.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nightscan_tasks.components.archive import Archive
from nightscan_tasks.components.base import Dump, Shared
from nightscan_tasks.components.changes import Change
from nightscan_tasks.components.files_dump import FilesDump
from nightscan_tasks.components.index import Index
from nightscan_tasks.components.listing import Found, lines_of, listed_bytes, walk
from nightscan_tasks.components.tree import Tree
from nightscan_tasks.components.treeprint import combine
from nightscan_tasks.errors import SourceUnavailable
from nightscan_tasks.model import Json

Before = Callable[[str, bytes], None]

OURS = (".nightscan_*",)
"""What restores keep beside the files, which no backup saves: staged and old states, journals, quarantine."""


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
        self.expected: dict[str, int] = {}

    @abstractmethod
    def found(self) -> Iterator[Found]:
        """Everything that belongs to it now, folders before what is in them."""

    def parts(self) -> tuple[str, ...]:
        """One for each archive."""
        return (self.name,)

    def own_parts(self) -> tuple[str, ...]:
        """Those of this host's files."""
        return self.parts()

    def number(self, part: str) -> int:
        """Which of the archives a part is."""
        return self.own_parts().index(part)

    def listed_as(self, _part: str) -> str:
        """What a part's list of files is called: the parts that share it call it the same."""
        return self.name

    def followed(self) -> frozenset[bytes]:
        """Paths that may be symlinks to folders."""
        return frozenset()

    def facts(self) -> Mapping[str, Json]:
        """What the report says beside the fingerprint."""
        return {}

    def predicted_bytes(self, part: str) -> int:
        """The sizes of the part's files when they were listed; of one that is not open, as they are now."""
        if part not in self.expected:
            self.expected |= self._sizes()
        return self.expected[part]

    @contextmanager
    def open(self, part: str, shared: Shared) -> Iterator[Dump]:
        """Open one archive for reading; `SourceUnavailable` when the root is not there."""
        self._check_root()
        with ExitStack() as stack:
            self.look_ahead(part, shared)
            lines = stack.enter_context(shared.listing(self.listed_as(part), self.lines))
            yield self._dump(stack, part, lines)

    def _sizes(self) -> dict[str, int]:
        sizes = dict.fromkeys(self.parts(), 0)
        if not _is_folder(self.root):
            return sizes
        for line in lines_of(self.found(), self.archives):
            for number, part in enumerate(self.parts()):
                sizes[part] += listed_bytes(line, number)
        return sizes

    def look_ahead(self, part: str, shared: Shared) -> None:
        """Find out from the list how much there is to read of a part."""
        number, total = self.number(part), 0
        with shared.listing(self.listed_as(part), self.lines) as lines:
            for line in lines:
                total += listed_bytes(line, number)
        self.expected[part] = total

    def lines(self) -> Iterator[bytes]:
        """The run's list of files."""
        self._check_root()
        return lines_of(self.found(), self.archives)

    def fingerprint(self) -> dict[str, Json]:
        """The fingerprint that a backup taken now would have; `DumpIncomplete` if it would fail."""
        prints = []
        for part in self.own_parts():
            with ExitStack() as stack:
                dump = self._dump(stack, part, self.lines())
                _drain(dump)
                prints.append(dump.report().fingerprint)
        return combine(prints)

    def _dump(self, stack: ExitStack, part: str, lines: Iterator[bytes]) -> FilesDump:
        tree = stack.enter_context(Tree(self.root, self.followed()))
        index = stack.enter_context(Index(self.temp_dir))
        archive = Archive(tree, map(Change, lines), index, number=self.number(part),
                          prefix=self.prefix, before=self.before)
        return FilesDump(part, archive, index, facts=self.facts())

    def _check_root(self) -> None:
        if not _is_folder(self.root):
            raise SourceUnavailable(
                f"{self.name}: {self.root} is not there, not a folder, or closed to this user: mount "
                f"it, or correct {self.root_setting}")


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
        lines = lines_of(walk(os.fsencode(root), b""))
        dump = FilesDump(str(root), Archive(tree, map(Change, lines), index), index)
        _drain(dump)
        return dict(dump.report().fingerprint)


def _drain(dump: FilesDump) -> None:
    for stream in dump.streams():
        for _ in stream.chunks:
            pass
