"""Members of an archive, written below a folder so that nothing outside of it can be touched.

Every name is walked from the folder on, step by step, never through a symlink; what exists is never
written over.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from nightscan_tasks import uncached
from nightscan_tasks.components.entry import Entry, Kind
from nightscan_tasks.components.problems import Problems, shown
from nightscan_tasks.components.restored import Restored
from nightscan_tasks.components.tar_reader import Pieces
from nightscan_tasks.components.tree import Elsewhere, Trees
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.model import Buffer

_CAPABILITIES = b"security.capability"
_PAST_BYTES = 256 << 10  # from so many on it costs less to wait for the disk than to fill pages for it
_SOON_BYTES = 32 << 10  # smaller ones are written together at the end: to begin with each would cost more
_ZEROS = memoryview(bytes(1 << 20))
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Writer:
    """Writes below `target`, of which parts may lie `elsewhere`. One thread uses it; several write side by
    side. `hashed`: whether to tell each file's hash; `chown`: whether owners are given back.
    """

    def __init__(self, target: Path, elsewhere: Elsewhere | None, *, stand_ins: Mapping[bytes, bytes],
                 chown: bool, hashed: bool) -> None:
        self.problems = Problems()
        self._stand_ins = stand_ins
        self._chown = chown
        self._hashed = hashed
        self._sha256 = hashlib.sha256()
        self._room = uncached.block()
        with ExitStack() as stack:
            self._tree = stack.enter_context(Trees(target, elsewhere, grow=True))
            # The same folders: a link needs two places open at once.
            self._links = stack.enter_context(Trees(target, elsewhere, grow=True))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stack.close()

    def create(self, entry: Restored, content: Pieces) -> str | None:
        """Write one entry; a file's hash, empty for other kinds, None if there was nothing to do.

        `RestoreRefused` if there is something of that name, or a part of the way is no folder.
        """
        try:
            return self._create(entry, content)
        except (FileExistsError, NotADirectoryError) as exc:
            raise RestoreRefused(
                f"{shown(entry.path)} is there already, or below something that is not a folder: "
                f"unpack into an empty folder") from exc

    def dress_folder(self, path: bytes, entry: Restored) -> None:
        """Give a folder its owner, mode and time, after everything in it was made."""
        folder, name = self._tree.locate(path)
        descriptor = os.open(name, _FOLDER, dir_fd=folder)
        try:
            self._dress(descriptor, entry)
        finally:
            os.close(descriptor)

    def look(self, entry: Restored) -> Entry:
        """The entry as it is on disk now, not as it was meant to be; what differs is a note."""
        folder, name = self._tree.locate(entry.path)
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        target = os.readlink(name, dir_fd=folder) if entry.kind is Kind.SYMLINK else b""
        mode = stat.S_IMODE(status.st_mode)
        if (mode, status.st_mtime_ns) != (entry.mode, entry.mtime_ns) and entry.kind not in {
                Kind.SYMLINK, Kind.HARD_LINK}:
            self.problems.note_file(
                entry.path, f"has mode {mode:04o} and mtime {status.st_mtime_ns} ns here, {entry.mode:04o} "
                            f"and {entry.mtime_ns} ns in the set")
        return Entry(entry.path, entry.kind, mode, status.st_mtime_ns, 0, 0, b"", b"", status.st_size, target)

    def _create(self, entry: Restored, content: Pieces) -> str | None:
        folder, name = self._tree.locate(entry.path)
        if entry.kind is Kind.DIRECTORY:
            self._make_folder(folder, name)
        elif entry.kind is Kind.HARD_LINK:
            return self._link(entry, folder, name)
        elif entry.kind is Kind.FILE:
            self._refuse_rights_of_root(entry)
            self._write(entry, content, os.open(name, _NEW_FILE, 0o600, dir_fd=folder))
            return self._sha256.hexdigest()
        else:
            self._make_special(entry, folder, name)
        return ""

    def _refuse_rights_of_root(self, entry: Restored) -> None:
        """Whoever may write a set could else leave a program that makes anybody root."""
        if self._chown and ((entry.mode & stat.S_ISUID and entry.uid == 0)
                            or (entry.mode & stat.S_ISGID and entry.gid == 0)):
            raise RestoreRefused(f"{shown(entry.path)} would run with the rights of root, whoever starts it "
                                 f"(mode {entry.mode:04o}): such a file is not put back; if it is wanted, "
                                 f"unpack it by hand, as the set's RESTORE.md says")

    def _make_special(self, entry: Restored, folder: int, name: bytes) -> None:
        if entry.kind is Kind.SYMLINK:
            os.symlink(entry.target, name, dir_fd=folder)
        else:
            os.mkfifo(name, 0o600, dir_fd=folder)
        if self._chown:
            os.chown(name, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
        if entry.kind is Kind.FIFO:
            os.chmod(name, entry.mode, dir_fd=folder)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=folder, follow_symlinks=False)

    def _make_folder(self, folder: int, name: bytes) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=folder)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise

    def _link(self, entry: Restored, folder: int, name: bytes) -> str | None:
        """Make another name of a file; the hash of what it names now."""
        target = self._stand_ins.get(entry.target, entry.target)
        if target == entry.path:  # unpacked by this name already
            return None
        other, first = self._links.locate(target)
        try:
            os.link(first, name, src_dir_fd=other, dst_dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            self.problems.note(f"{shown(entry.path)} is another name of {shown(entry.target)}, which "
                               f"was not unpacked: include that one too")
            return None
        except PermissionError as exc:  # as for a folder
            raise RestoreRefused(f"{shown(entry.path)} cannot be another name of {shown(entry.target)}: "
                                 f"{exc.strerror}") from exc
        if not self._hashed:
            return ""
        with os.fdopen(os.open(name, _OLD_FILE, dir_fd=folder), "rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _write(self, entry: Restored, content: Pieces, descriptor: int) -> None:
        self._sha256 = hashlib.sha256()
        try:
            position = 0
            for offset, length in entry.extents:
                self._hole(offset - position)
                self._copy(content(length), descriptor, offset, length)
                position = offset + length
            if entry.extents != ((0, entry.content_bytes),):
                self._hole(entry.content_bytes - position)
                os.ftruncate(descriptor, entry.content_bytes)
            if entry.content_bytes >= _SOON_BYTES:
                uncached.write_soon(descriptor)
            self._dress(descriptor, entry)
        finally:
            os.close(descriptor)

    def _copy(self, pieces: Iterator[Buffer], descriptor: int, offset: int, length: int) -> None:
        past = None
        if length >= _PAST_BYTES and not offset % uncached.SECTOR_BYTES:
            past = uncached.Past(descriptor, offset, self._room)
        for piece in pieces:
            if self._hashed:
                self._sha256.update(piece)
            rest = memoryview(piece)
            if past:
                past.add(rest)
                continue
            while rest:
                count = os.pwrite(descriptor, rest, offset)
                offset += count
                rest = rest[count:]
        if past:
            past.end()

    def _hole(self, length: int) -> None:
        if self._hashed:
            for start in range(0, length, len(_ZEROS)):
                self._sha256.update(_ZEROS[:length - start])

    def _dress(self, descriptor: int, entry: Restored) -> None:
        """Owner first, since a change of it takes set-id bits away; the time last."""
        if self._chown:
            os.fchown(descriptor, entry.uid, entry.gid)
        for name, value in entry.xattrs:
            if name == _CAPABILITIES:  # rights of root, for whoever starts the program
                self.problems.note_file(entry.path, "lost its capabilities, which are not put back: setcap "
                                                    "gives them again")
                continue
            try:
                os.setxattr(descriptor, name, value)
            except OSError as exc:
                self.problems.note_file(entry.path, f"lost its attribute {shown(name)}: {exc.strerror}")
        os.fchmod(descriptor, entry.mode)
        os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
