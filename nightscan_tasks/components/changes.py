"""What changed since the last set: the list of files beside the cache, in one pass over both.

Both are in the order of a walk, and only a line that is the same in every letter was not changed (see
`listing`): of nothing else is it known what is in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from nightscan_tasks.components.files_cache import Cached
from nightscan_tasks.components.listing import path_of

Order = Callable[[bytes], tuple[int, bytes]]
"""A path's place in the order of a walk."""

_SPOKEN = (b"n ", b"u ")  # notes, and what cannot be read: never saved, and told each time


class Change(NamedTuple):
    """A line of the list. `cached` is an earlier index's line of just that; empty: it is new or changed."""

    line: bytes
    cached: bytes = b""


def compare(lines: Iterable[bytes], cached: Iterator[Cached], *, number: int, order: Order,
            gone: Callable[[bytes], None], drop: Callable[[bytes], None]) -> Iterator[Change]:
    """Every line of archive `number`, and every folder. `gone` is told each path that is saved, but is no
    longer there, or has become something else; `drop` the index's line of each entry that is in no `Change`,
    but for a folder that another archive counts.
    """
    counted = re.compile(b"d %d |[^d]" % number).match
    saved = _Saved(cached, order, gone, lambda old: drop(old.indexed) if counted(old.line) else None)
    for line in _ours(lines, number):
        if line.startswith(_SPOKEN):
            yield Change(line)
        else:
            yield Change(line, saved.of(line))
    saved.end()


def unchanged(lines: Iterable[bytes], saved: Iterator[bytes], *, number: int,
              noted: Callable[[bytes], None]) -> bool:
    """Whether an archive of these lines would hold just what is saved already, of which there are the lines.

    `noted` is told the notes.
    """
    old = next(saved, None)
    for line in _ours(lines, number):
        if line == old:  # a note never is, nor what cannot be read: neither is ever saved
            old = next(saved, None)
        elif line.startswith(b"n "):
            noted(path_of(line))
        else:
            return False
    return old is None


def _ours(lines: Iterable[bytes], number: int) -> Iterator[bytes]:
    """The lines of archive `number`, and every folder's."""
    return filter(re.compile(b"d |. %d " % number).match, lines)


class _Saved:
    """What is saved, read along with the list."""

    def __init__(self, cached: Iterator[Cached], order: Order, gone: Callable[[bytes], None],
                 drop: Callable[[Cached], None]) -> None:
        self._cached = cached
        self._order = order
        self._gone = gone
        self._drop = drop
        self._next = next(cached, None)

    def of(self, line: bytes) -> bytes:
        """The index's line of just this one; empty where there is none."""
        old = self._next
        if old is not None and old.line == line:  # nearly every line of nearly every set is the same
            self._next = next(self._cached, None)
            return old.indexed
        path = path_of(line)
        old = self._skip_to(path)
        if old is None or path_of(old.line) != path:
            return b""
        self._next = next(self._cached, None)
        if old.line == line:
            return old.indexed
        if old.line[:2] != line[:2]:
            self._gone(path)
        self._drop(old)
        return b""

    def end(self) -> None:
        """No more lines: what is left is gone."""
        while self._next is not None:
            self._leave(self._next)

    def _skip_to(self, path: bytes) -> Cached | None:
        place = self._order(path)
        while self._next is not None and self._order(path_of(self._next.line)) < place:
            self._leave(self._next)
        return self._next

    def _leave(self, old: Cached) -> None:
        self._gone(path_of(old.line))
        self._drop(old)
        self._next = next(self._cached, None)


def walk_order(folders: tuple[bytes, ...]) -> Order:
    """The order in which `folders` are walked, one after the other, each sorted by name on every level."""

    def order(path: bytes) -> tuple[int, bytes]:
        # A folder comes before what is in it, and that before a name which goes on after the folder's.
        return _place(path), path.replace(b"/", b"\0")

    def _place(path: bytes) -> int:
        for number, folder in enumerate(folders):
            if path == folder or path.startswith(folder + b"/") or folder.startswith(path + b"/"):
                return number
        return len(folders)

    return order
