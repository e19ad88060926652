"""A file that is being written, beside its place and under a hidden name."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from nightscan_tasks.errors import AlreadyExists, StoreError
from nightscan_tasks.model import Buffer, Stored
from nightscan_tasks.stores import folders, keys
from nightscan_tasks.stores.disk import Disk

_TRIES = 100
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def hidden_name() -> str:
    """A name that no key can have, and that nobody else uses."""
    return f"{keys.HIDDEN}{secrets.token_hex(8)}"


def version(found: os.stat_result) -> str:
    """What changes whenever the file is replaced."""
    return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"


def modified_at(found: os.stat_result) -> datetime:
    """When the file was last written, aware."""
    return datetime.fromtimestamp(found.st_mtime, UTC)


class Draft:
    """What will be the object `key`. Leaving the context without `publish` leaves nothing.

    Entering makes the folders that are missing; leaving removes those that stayed empty.
    """

    def __init__(self, disk: Disk, key: str, owner: folders.Owner) -> None:
        self._disk = disk
        self._key = key
        self._owner = owner
        self._segments: Sequence[str] = keys.check_key(key)
        self._hidden = hidden_name()
        self._open = ExitStack()
        self._fds: list[int] = []
        self._fd = -1

    def __enter__(self) -> Self:
        for _ in range(_TRIES):
            try:
                self._begin()
            except FileNotFoundError:
                self._close()  # a delete took the folder away while it was empty: once more
            except OSError as exc:
                self._discard()
                raise self._disk.explain(exc, self._key) from exc
            except BaseException:
                self._discard()
                raise
            else:
                return self
        raise StoreError(f"{self._disk.store} {self._disk.root / self._key}: its folder vanishes as "
                         "soon as it is made; find out which other program deletes there")

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if kind is None:
            self._close()
        else:
            self._discard()

    def write(self, chunks: Iterable[Buffer], *, if_absent: bool) -> Stored:
        """Bring the stream to the disk and give it its name."""
        tally = self._disk.write(self._fd, chunks, self._key)
        found = os.fstat(self._fd)
        try:
            self._publish(if_absent=if_absent)
        except FileExistsError:
            raise AlreadyExists(f"{self._disk.store} already has {self._key}: somebody else was "
                                "first, and it was left alone") from None
        except OSError as exc:
            raise self._disk.explain(exc, self._key) from exc
        return Stored(self._key, tally.total_bytes, tally.sha256, version(found), tally.prefixes)

    def _begin(self) -> None:
        self._fds = self._open.enter_context(
            folders.made(self._disk.root, self._segments[:-1], self._owner))
        self._fd = os.open(self._hidden, _CREATE, folders.FILE_MODE, dir_fd=self._fds[-1])
        self._open.callback(os.close, self._fd)
        self._owner.own(self._fd, folders.FILE_MODE)

    def _publish(self, *, if_absent: bool) -> None:
        folder, name = self._fds[-1], self._segments[-1]
        if if_absent:
            # A rename replaces; only a link refuses when the name is taken.
            os.link(self._hidden, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.unlink(self._hidden, dir_fd=folder)
        else:
            os.rename(self._hidden, name, src_dir_fd=folder, dst_dir_fd=folder)
        folders.sync(self._fds)

    def _discard(self) -> None:
        if self._fds:
            with suppress(OSError):  # what cannot be removed now is swept later
                os.unlink(self._hidden, dir_fd=self._fds[-1])
        self._close()
        folders.prune(self._disk.root, self._segments[:-1])

    def _close(self) -> None:
        self._open.close()
        self._fds = []
