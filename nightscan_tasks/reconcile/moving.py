"""Giving a file another place, without ever writing over anything, and without losing it on the way."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass

from nightscan_tasks.components.problems import shown
from nightscan_tasks.errors import DigestMismatch

_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK}
DRAFT = b".nightscan_draft_"
_READ_BYTES = 1 << 20
_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Place:
    """A name in a folder that is open."""

    folder: int
    name: bytes


def move(source: Place, target: Place) -> bool:
    """Move a file; False, and nothing happens, where the target's name is taken by something else.

    Cut off and repeated, it ends the same: one file, under the target's name. Where the two are on
    different file systems the file is copied, with all it has, synchronised and compared, before the
    source goes; `DigestMismatch` when the copy differs, or the source was written meanwhile.
    """
    try:
        os.link(source.name, target.name, src_dir_fd=source.folder, dst_dir_fd=target.folder,
                follow_symlinks=False)
    except FileExistsError:
        if not _same(source, target):
            return False
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        _copy(source, target)
    os.unlink(source.name, dir_fd=source.folder)
    return True


def _same(source: Place, target: Place) -> bool:
    """Whether an earlier try was cut off between the two steps: one file, or a file and its very copy."""
    one, other = (os.stat(each.name, dir_fd=each.folder, follow_symlinks=False) for each in (source, target))
    if one.st_dev == other.st_dev:
        return one.st_ino == other.st_ino
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns) and (
        _digest_of(source) == _digest_of(target))


def _copy(source: Place, target: Place) -> None:
    old = os.open(source.name, _SOURCE, dir_fd=source.folder)
    try:
        draft = Place(target.folder, DRAFT + secrets.token_hex(6).encode())
        new = os.open(draft.name, _NEW, 0o600, dir_fd=draft.folder)
        try:
            _fill(old, new, source.name)
            _publish(draft, target)
        finally:
            os.close(new)
            with suppress(FileNotFoundError):
                os.unlink(draft.name, dir_fd=draft.folder)
        _sync_folder(target.folder)
    finally:
        os.close(old)


def _publish(draft: Place, target: Place) -> None:
    try:
        os.link(draft.name, target.name, src_dir_fd=draft.folder, dst_dir_fd=target.folder)
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        # A file system without hard links: nobody else gives files names in a quarantine.
        os.rename(draft.name, target.name, src_dir_fd=draft.folder, dst_dir_fd=target.folder)


def _digest_of(place: Place) -> bytes:
    descriptor = os.open(place.name, _SOURCE, dir_fd=place.folder)
    try:
        return _digest(descriptor)
    finally:
        os.close(descriptor)


def _fill(old: int, new: int, name: bytes) -> None:
    before = os.fstat(old)
    wanted = hashlib.sha256()
    os.lseek(old, 0, os.SEEK_SET)
    while data := os.read(old, _READ_BYTES):
        wanted.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(new, rest):]
    _dress(old, new, before)
    os.fsync(new)
    after = os.fstat(old)
    if _digest(new) != wanted.digest() or (before.st_size, before.st_mtime_ns) != (
            after.st_size, after.st_mtime_ns):
        raise DigestMismatch(f"{shown(name)} was written to while it was moved, or its copy is damaged; it "
                             f"is still where it was")


def _dress(old: int, new: int, status: os.stat_result) -> None:
    """Owner, attributes, mode and time, as far as this user may give them."""
    if os.geteuid() == 0:
        os.fchown(new, status.st_uid, status.st_gid)
    try:
        for attribute in os.listxattr(old):
            os.setxattr(new, attribute, os.getxattr(old, attribute))
    except OSError as exc:
        if exc.errno not in {errno.ENOTSUP, errno.EPERM, errno.EACCES}:
            raise
    os.fchmod(new, status.st_mode & 0o7777)
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))


def _digest(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    digest = hashlib.sha256()
    while data := os.read(descriptor, _READ_BYTES):
        digest.update(data)
    return digest.digest()


def _sync_folder(folder: int) -> None:
    descriptor = os.open(b".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
