"""Folders by descriptor, from a root downwards, never through a symbolic link.

A path that is checked and then used can be swapped in between; a chain of descriptors cannot. It also
gives `fsync` every folder whose entry a new object depends on.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nightscan_tasks.errors import StoreRefused

DIRECTORY_MODE = 0o750
FILE_MODE = 0o640
_NOT_OURS = {"lost+found"}  # mkfs puts it at a disk's root, unreadable to all but root
_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC  # the root itself may be a link
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Owner:
    """Who owns what is written; -1 leaves it to whoever runs."""

    text: str = ""
    uid: int = -1
    gid: int = -1

    @classmethod
    def parse(cls, text: str) -> Owner:
        """Read `user:group`, `user` or `:group`; `StoreRefused` if this host does not know them."""
        user, _, group = text.partition(":")
        try:
            uid = -1 if not user else int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
        except KeyError:
            raise StoreRefused(f"NIGHTSCAN_OWNER={text}: this host has no user {user!r}; create it "
                               f"with: useradd --system {user}") from None
        try:
            gid = -1 if not group else int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
        except KeyError:
            raise StoreRefused(f"NIGHTSCAN_OWNER={text}: this host has no group {group!r}; create "
                               f"it with: groupadd --system {group}") from None
        return cls(text, uid, gid)

    def own(self, fd: int, mode: int) -> None:
        """Give an open file or folder its owner and mode, whatever the umask says."""
        if (self.uid, self.gid) != (-1, -1):
            try:
                os.fchown(fd, self.uid, self.gid)
            except PermissionError as exc:
                raise StoreRefused(
                    f"NIGHTSCAN_OWNER={self.text}: the user that runs this "
                    f"(uid {os.geteuid()}) may not give files away; run as that user, make it a "
                    "member of that group, or unset NIGHTSCAN_OWNER") from exc
        os.fchmod(fd, mode)

    def own_link(self, name: str, folder: int) -> None:
        """Give a symbolic link in an open folder its owner; a link has no mode."""
        if (self.uid, self.gid) != (-1, -1):
            os.chown(name, self.uid, self.gid, dir_fd=folder, follow_symlinks=False)


@contextmanager
def opened(root: Path, segments: Sequence[str] = ()) -> Iterator[int]:
    """The descriptor of one folder; FileNotFoundError, or NotADirectoryError at a link or a file."""
    fd = os.open(root, _ROOT)
    try:
        for segment in segments:
            below = os.open(segment, _FOLDER, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


@contextmanager
def made(root: Path, segments: Sequence[str], owner: Owner) -> Iterator[list[int]]:
    """The descriptors of the root and of each folder below it; what is missing is made."""
    fds = [_root(root, owner)]
    try:
        for segment in segments:
            fds.append(_below(fds[-1], segment, owner))
        yield fds
    finally:
        for fd in fds:
            os.close(fd)


def sync(fds: Sequence[int]) -> None:
    """Make entries in these folders survive a power cut, the deepest first.

    All of them, not only new ones: another process may have made one a moment ago, and not yet
    have come to its own fsync.
    """
    for fd in reversed(fds):
        os.fsync(fd)


def prune(root: Path, segments: Sequence[str]) -> None:
    """Remove folders that became empty, from the deepest up; one that is in use stays."""
    for depth in range(len(segments), 0, -1):
        try:
            with opened(root, segments[:depth - 1]) as parent:
                os.rmdir(segments[depth - 1], dir_fd=parent)
                os.fsync(parent)
        except FileNotFoundError:
            continue
        except OSError:
            return  # not empty, or not ours to remove: it is in use


def walk(folder: int, above: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Files below an open folder, in the order of their paths, without following links.

    `above` is the folder's own path with a `/` at its end, or empty. Only what can start with
    `prefix` is looked at. What vanishes meanwhile is left out.
    """
    for name in sorted(_names(folder, above)):
        path = above + name
        if not (path.startswith(prefix) or prefix.startswith(path)):
            continue
        with suppress(FileNotFoundError, NotADirectoryError):
            if not name.endswith("/"):
                found = os.lstat(name, dir_fd=folder)
                if is_file(found):
                    yield path, found
                continue
            below = os.open(name.rstrip("/"), _FOLDER, dir_fd=folder)
            try:
                yield from walk(below, path, prefix)
            finally:
                os.close(below)


def _names(folder: int, above: str) -> Iterator[str]:
    """Names of files and, with a `/` at their ends as in keys, of folders."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if above or entry.name not in _NOT_OURS:
                    yield f"{entry.name}/"
            elif not entry.is_symlink():
                yield entry.name


def is_file(found: os.stat_result) -> bool:
    """Whether this is a plain file: links, devices and pipes are never objects."""
    return stat.S_ISREG(found.st_mode)


def _root(root: Path, owner: Owner) -> int:
    try:
        return os.open(root, _ROOT)
    except FileNotFoundError:
        parent = _root(root.parent, owner)
    try:
        fd = _below(parent, root.name, owner)
        os.fsync(parent)
    finally:
        os.close(parent)
    return fd


def _below(parent: int, segment: str, owner: Owner) -> int:
    try:
        return os.open(segment, _FOLDER, dir_fd=parent)
    except FileNotFoundError:
        pass
    try:
        os.mkdir(segment, DIRECTORY_MODE, dir_fd=parent)
    except FileExistsError:
        return os.open(segment, _FOLDER, dir_fd=parent)
    fd = os.open(segment, _FOLDER, dir_fd=parent)
    try:
        owner.own(fd, DIRECTORY_MODE)
    except BaseException:
        os.close(fd)
        raise
    return fd
