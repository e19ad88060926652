"""A host's own copy of what it recorded: a file that is only ever appended to, a line for each record.

What the store could not take waits in a second file beside it, and is carried over with the next record.
`chattr +a` on the first makes the kernel refuse everything but appending.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic_core import to_json

from nightscan_tasks import wire
from nightscan_tasks.audit.records import Line
from nightscan_tasks.errors import ManifestInvalid
from nightscan_tasks.stores.folders import FILE_MODE, Owner, made

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


class LocalCopy:
    """The file `path`, and the one of what waits beside it. All raise OSError where they cannot."""

    def __init__(self, path: Path, *, owner: str = "") -> None:
        self.path = path
        self._waiting = path.with_name(f"{path.name}.waiting")
        self._owner = owner

    def add(self, line: Line) -> None:
        """Append a line; it has survived a power cut when this returns."""
        with self._opened(self.path, _APPEND) as fd:
            _write(fd, line)

    def wait(self, line: Line) -> None:
        """Keep a record that has to be carried over."""
        with self._opened(self._waiting, _APPEND) as fd:
            fcntl.flock(fd, fcntl.LOCK_EX)
            _write(fd, line)

    def lines(self) -> Iterator[Line]:
        """Every line there is, the oldest first. One that is cut off, or no line of ours, is left out."""
        yield from _read(self.path)

    def waiting(self) -> list[Line]:
        """What has to be carried over."""
        return list(_read(self._waiting))

    @contextmanager
    def taking(self) -> Iterator[list[Line]]:
        """What has to be carried over, alone; when the context ends without an error, nothing is left.

        Killed in between, all of it is carried over once more: twice rather than never.
        """
        if not self._waiting.exists():
            yield []
            return
        with self._opened(self._waiting, _LOCK) as fd:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield list(_read(self._waiting))
            os.ftruncate(fd, 0)
            os.fsync(fd)

    @contextmanager
    def _opened(self, path: Path, flags: int) -> Iterator[int]:
        owner = Owner.parse(self._owner)
        with made(self.path.parent.absolute(), (), owner):
            pass
        try:
            fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, FILE_MODE)
        except FileExistsError:
            fd = os.open(path, flags)
        else:
            owner.own(fd, FILE_MODE)
        try:
            yield fd
        finally:
            os.close(fd)


def _write(fd: int, line: Line) -> None:
    os.write(fd, to_json(line) + b"\n")  # one call: lines of two processes do not mix
    os.fsync(fd)


def _read(path: Path) -> Iterator[Line]:
    try:
        with path.open("rb") as file:
            for number, data in enumerate(file, start=1):
                with suppress(ManifestInvalid):
                    yield wire.decode(Line, data, source=f"{path}, line {number}")
    except FileNotFoundError:
        return
