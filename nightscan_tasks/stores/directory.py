"""A store in a directory: on this host's disk, or on one that is mounted."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from nightscan_tasks.errors import AlreadyExists, NotFound, StoreRefused
from nightscan_tasks.model import Buffer, Chunks, Stored
from nightscan_tasks.stores import folders, keys
from nightscan_tasks.stores.base import Entry, StoreHealth
from nightscan_tasks.stores.disk import Disk
from nightscan_tasks.stores.draft import Draft, hidden_name, modified_at, version
from nightscan_tasks.stores.probing import probe_by_writing, sweep_probes

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}  # nothing, or a link, or a socket
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class DirectoryStore:
    """A directory as a `Store`. Folders are 0750, files 0640, of `owner` (`user:group`) if given.

    An object is written beside its place under a hidden name, brought to the disk, and renamed; so
    a reader sees the old object, or the new one. Links inside are neither followed nor listed.
    The directory itself is made by the first write.
    """

    def __init__(self, name: str, root: Path, *, owner: str = "") -> None:
        self._name = name
        self._root = root.absolute()
        self._owner = folders.Owner.parse(owner)
        self._disk = Disk(name, self._root)

    @property
    def name(self) -> str:
        """What people call it."""
        return self._name

    @property
    def url(self) -> str:
        """Its path."""
        return str(self._root)

    def put(self, key: str, chunks: Iterable[Buffer], *, if_absent: bool = False) -> Stored:
        """See `Store.put`. A full disk is `StoreRefused`, with what is free and was needed."""
        if if_absent and self.stat(key):  # no need to read a long stream to find that out
            raise AlreadyExists(f"{self._name} already has {key}; it was left alone")
        with Draft(self._disk, key, self._owner) as draft:
            return draft.write(chunks, if_absent=if_absent)

    @contextmanager
    def open(self, key: str) -> Iterator[Chunks]:
        """See `Store.open`. The bytes are of one object, even if it is replaced meanwhile."""
        segments = keys.check_key(key)
        with self._explained(key), folders.opened(self._root, segments[:-1]) as folder:
            fd = os.open(segments[-1], _READ, dir_fd=folder)
        try:
            if not folders.is_file(os.fstat(fd)):
                raise self._absent(key)
            yield self._disk.read(fd, key)
        finally:
            os.close(fd)

    def stat(self, key: str) -> Entry | None:
        """See `Store.stat`."""
        segments = keys.check_key(key)
        try:
            with self._explained(key), folders.opened(self._root, segments[:-1]) as folder:
                found = os.lstat(segments[-1], dir_fd=folder)
        except NotFound:
            return None
        return _entry(key, found) if folders.is_file(found) else None

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See `Store.list`. Memory grows with the largest folder, not with the store."""
        for path, found in self._files(prefix):
            if all(keys.is_segment(segment) for segment in path.split("/")):
                yield _entry(path, found)

    def delete(self, key: str) -> None:
        """See `Store.delete`. Folders that become empty go too."""
        if self.stat(key) is None:
            return
        segments = keys.check_key(key)
        with suppress(NotFound):  # another was quicker, and took the folder away as well
            with self._explained(key), folders.opened(self._root, segments[:-1]) as folder:
                with suppress(FileNotFoundError):
                    os.unlink(segments[-1], dir_fd=folder)
                os.fsync(folder)
            folders.prune(self._root, segments[:-1])

    def lock_as(self, key: str, like: str) -> None:
        """See `Store.lock_as`. A directory has no locks."""

    def locked_until(self, key: str) -> datetime | None:
        """See `Store.locked_until`. A directory has no locks."""
        keys.check_key(key)
        return None

    def sweep(self, older_than: datetime) -> Sequence[str]:
        """See `Store.sweep`: hidden files whose writer has not written since `older_than`, and probes."""
        removed = sweep_probes(self, older_than)
        for path, found in self._files(""):
            *above, name = path.split("/")
            if not name.startswith(keys.HIDDEN) or modified_at(found) >= older_than:
                continue
            with suppress(NotFound):
                with self._explained(path), folders.opened(self._root, above) as folder:
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=folder)
                        removed.append(f"half-written file {self._root / path}")
                    os.fsync(folder)
                folders.prune(self._root, above)
        return removed

    def probe(self) -> StoreHealth:
        """See `Store.probe`."""
        probe_by_writing(self)
        return StoreHealth(self.url, "directory", self._disk.free_bytes())

    def link_latest(self, links: dict[str, str]) -> None:
        """Relative links at the root, each replaced in one step: there is never none in between."""
        for name, key in links.items():
            keys.check_link(name)
            keys.check_key(key)
        with self._explained(", ".join(links)), folders.made(self._root, (), self._owner) as fds:
            for name, key in links.items():
                self._link(fds[0], name, key)
            folders.sync(fds)

    def _link(self, root: int, name: str, key: str) -> None:
        hidden = hidden_name()
        os.symlink(key, hidden, dir_fd=root)
        try:
            self._owner.own_link(hidden, root)
            os.rename(hidden, name, src_dir_fd=root, dst_dir_fd=root)
        except BaseException:
            os.unlink(hidden, dir_fd=root)
            raise

    def _files(self, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        """Every file whose path starts with `prefix`, half-written ones too, sorted by path."""
        segments = keys.check_prefix(prefix)
        above = "".join(f"{segment}/" for segment in segments)
        try:
            with self._explained(prefix), folders.opened(self._root, segments) as folder:
                yield from folders.walk(folder, above, prefix)
        except NotFound:
            if os.path.lexists(self._root) and not self._root.is_dir():  # no folder is not an empty one
                raise StoreRefused(f"{self.name} {self._root} is no folder: move what is there away, or "
                                   f"correct the setting") from None
            return

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        """Errors of the disk as errors of a store. Nothing of a caller's may run inside."""
        try:
            yield
        except OSError as exc:
            if exc.errno in _ABSENT:
                raise self._absent(key) from None
            raise self._disk.explain(exc, key) from exc

    def _absent(self, key: str) -> NotFound:
        return NotFound(f"{self._name} has no {key} (looked in {self._root}); `nightscan list` says "
                        "what it has")


def _entry(key: str, found: os.stat_result) -> Entry:
    return Entry(key, found.st_size, modified_at(found), version(found))
