"""Opening what lies below a folder, never through a symlink.

Every step down is taken relative to the folder before, which stays open: whoever replaces a folder by
a symlink in the meantime does not make us read what is elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_LISTED = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking: should it have become a fifo, opening it must not wait for a writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Tree:
    """The tree below `root`. Paths are relative bytes; those in `follow` may be symlinks to folders.

    It keeps the folders down to the last path open, so it is quick for paths in the order of a walk.
    Errors are the system's own; a symlink on the way is `NotADirectoryError`.
    """

    def __init__(self, root: Path, follow: frozenset[bytes] = frozenset()) -> None:
        self._follow = follow
        self._names: list[bytes] = []
        self._folders = [os.open(root, _FOLDER)]
        self._parent = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._climb(0)
        os.close(self._folders.pop())

    def lstat(self, path: bytes) -> os.stat_result:
        """What lies there: the symlink itself, but for those that are to be followed."""
        folder, name = self.locate(path)
        return os.stat(name, dir_fd=folder, follow_symlinks=path in self._follow)

    def readlink(self, path: bytes) -> bytes:
        """Where a symlink points."""
        folder, name = self.locate(path)
        return os.readlink(name, dir_fd=folder)

    def open(self, path: bytes) -> int:
        """A descriptor that reads the file or folder, without changing its access time if permitted."""
        folder, name = self.locate(path)
        flags = _FILE & ~os.O_NOFOLLOW if path in self._follow else _FILE
        try:
            return os.open(name, flags | os.O_NOATIME, dir_fd=folder)
        except PermissionError:  # only its owner may leave the access time alone
            return os.open(name, flags, dir_fd=folder)

    def locate(self, path: bytes) -> tuple[int, bytes]:
        """The folder that holds `path`, open until the next call, and the name in there."""
        parent, _, name = path.rpartition(b"/")
        if parent != self._parent:
            self._descend(parent)
        return self._folders[-1], name

    def _descend(self, parent: bytes) -> None:
        names = parent.split(b"/") if parent else []
        same = 0
        while same < min(len(names), len(self._names)) and names[same] == self._names[same]:
            same += 1
        self._climb(same)
        self._parent = b"/".join(names[:same])
        for name in names[same:]:
            path = self._parent + b"/" + name if self._parent else name
            follow = 0 if path in self._follow else os.O_NOFOLLOW
            self._folders.append(self._enter(name, _FOLDER | follow, self._folders[-1]))
            self._names.append(name)
            self._parent = path

    def _enter(self, name: bytes, flags: int, above: int) -> int:
        return os.open(name, flags, dir_fd=above)

    def _climb(self, depth: int) -> None:
        while len(self._names) > depth:
            self._names.pop()
            os.close(self._folders.pop())


class GrowingTree(Tree):
    """A tree that is written to: folders that are missing on the way are made, for its owner alone."""

    def _enter(self, name: bytes, flags: int, above: int) -> int:
        try:
            return super()._enter(name, flags, above)
        except FileNotFoundError:
            with suppress(FileExistsError):  # another archive that is unpacked beside this one made it
                os.mkdir(name, 0o700, dir_fd=above)
            return super()._enter(name, flags, above)


Elsewhere = Mapping[bytes, tuple[Path, bytes]]
"""Folders of a tree that lie elsewhere: by path, a folder and the path in there."""


class Trees:
    """A tree of which some folders lie elsewhere: on another disk, under another name.

    `root` and each folder that `elsewhere` names stay open. With `grow`, folders that are missing on the
    way are made.
    """

    def __init__(self, root: Path, elsewhere: Elsewhere | None = None, *, grow: bool = False) -> None:
        kind = GrowingTree if grow else Tree
        with ExitStack() as stack:
            self._main = stack.enter_context(kind(root))
            # The deepest first: it is the nearest.
            self._elsewhere = [(folder, name, stack.enter_context(kind(base))) for folder, (base, name)
                               in sorted((elsewhere or {}).items(), reverse=True)]
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stack.close()

    def locate(self, path: bytes) -> tuple[int, bytes]:
        """The folder that holds `path`, open until the next call, and the name in there."""
        for folder, name, tree in self._elsewhere:
            if path.startswith(folder) and path[len(folder):len(folder) + 1] in {b"", b"/"}:
                return tree.locate(name + path[len(folder):])
        return self._main.locate(path)

    def lstat(self, path: bytes) -> os.stat_result | None:
        """What lies there, the symlink itself; None if nothing does."""
        try:
            folder, name = self.locate(path)
            return os.stat(name or b".", dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def names(self, path: bytes) -> list[bytes]:
        """The names in a folder, sorted; none if it is not there."""
        try:
            folder, name = self.locate(path)
            descriptor = os.open(name or b".", _LISTED, dir_fd=folder)
        except FileNotFoundError:
            return []
        try:
            return sorted(map(os.fsencode, os.listdir(descriptor)))  # noqa: PTH208 - Path takes none
        finally:
            os.close(descriptor)
