"""Unpacking an archive into a folder, so that nothing outside of it can be touched.

Every name is walked from the folder on, step by step, never through a symlink; what exists is never
written over. Whatever archive it is, made here or not, that holds.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from nightscan_tasks.components.entry import Entry, Kind, read_index_line
from nightscan_tasks.components.problems import Problems, shown
from nightscan_tasks.components.restored import Restored, restored
from nightscan_tasks.components.tree import Elsewhere, Trees
from nightscan_tasks.components.treeprint import Fingerprint
from nightscan_tasks.errors import DigestMismatch, RestoreRefused
from nightscan_tasks.model import Buffer, Chunks, Json

_READ_BYTES = 1 << 20
_NAMED = 20
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class ExtractReport:
    """What was unpacked; `notes` are attributes and owners that this system did not take.

    `fingerprint` is what lies on disk now, where the archives came with their indexes.
    """

    files: int
    directories: int
    links: int
    content_bytes: int
    notes: tuple[str, ...] = ()
    fingerprint: Mapping[str, Json] = field(default_factory=dict)


def extract(chunks: Chunks, target: Path, *, index: Chunks | None = None,
            include: Callable[[bytes], bool] | None = None,
            owner: bool | None = None) -> ExtractReport:
    """Unpack a tar stream into `target`, a folder that holds nothing but other archives of the set.

    `include` chooses by path. With the archive's `index` every file is compared with its hash, and
    `DigestMismatch` names those that differ, after the rest was unpacked; it is also raised when the
    stream is damaged. `RestoreRefused` when a name would leave the folder or is there already. `owner`
    restores owners by name, else by number; None does so for root.
    """
    with Extraction(target, include=include, owner=owner) as extraction:
        extraction.run(chunks, index=index)
        return extraction.finish()


class Extraction:
    """Archives of one set on their way into one folder, of which parts may lie `elsewhere`.

    `run` each archive, then `finish`: folders get their modes and times last, since whatever is made in
    them changes the time. A folder above what `include` chose gets its own, too. `stand_ins` gives files
    that are not included the name that they are unpacked by, since another name of theirs is included.
    """

    def __init__(self, target: Path, elsewhere: Elsewhere | None = None, *,
                 include: Callable[[bytes], bool] | None = None,
                 stand_ins: Mapping[bytes, bytes] | None = None, owner: bool | None = None) -> None:
        self._include = include or _everything
        self._stand_ins = stand_ins or {}
        self._chown = os.geteuid() == 0 if owner is None else owner
        self._problems = Problems()
        self._folders: dict[bytes, tuple[Restored, bool]] = {}
        self._parents: set[bytes] = {b""}
        self._counts = dict.fromkeys(Kind, 0)
        self._content_bytes = 0
        self._differing: list[str] = []
        self._index: Iterator[bytes] | None = None
        self._sha256 = hashlib.sha256()
        self._fingerprint = Fingerprint()
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

    def run(self, chunks: Chunks, *, index: Chunks | None = None) -> None:
        """Unpack one archive, and compare it with its index; errors as `extract` has them."""
        self._index = None if index is None else lines(index)
        stream = _Stream(chunks)
        try:
            with tarfile.open(  # type: ignore[call-overload]  # a stream need only be readable
                    fileobj=stream, mode="r|", bufsize=_READ_BYTES, encoding="utf-8",
                    errors="surrogateescape") as archive:
                for member in _members(archive):
                    self._take(restored(member), archive, member)
        except tarfile.TarError as exc:
            raise DigestMismatch(f"the archive is damaged: {exc}") from exc
        stream.drain()
        if self._index is not None and next(self._index, None) is not None:
            self._differ("the index lists more than the archive holds")
        if self._differing:
            raise DigestMismatch("the archive differs from its index: "
                                 + "; ".join(self._differing[:_NAMED]))

    def finish(self) -> ExtractReport:
        """Give folders their owners, modes and times, from the deepest up, and say what was done.

        The fingerprint is that of what is on disk: each entry was looked at after it was written.
        """
        for path in sorted(self._folders, reverse=True):
            entry, counts = self._folders[path]
            if counts or path in self._parents:
                self._dress_folder(path, entry)
        return ExtractReport(
            self._counts[Kind.FILE], self._counts[Kind.DIRECTORY],
            self._counts[Kind.SYMLINK] + self._counts[Kind.HARD_LINK], self._content_bytes,
            self._problems.notes, self._fingerprint.as_json())

    def _take(self, entry: Restored, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        included = bool(entry.path) and self._include(entry.path)
        written = entry
        if not included and entry.path in self._stand_ins and entry.kind is Kind.FILE:
            included, written = True, entry._replace(path=self._stand_ins[entry.path])
        if entry.kind is Kind.DIRECTORY and entry.path:
            known = self._folders.get(entry.path, (entry, False))
            self._folders[entry.path] = entry, known[1] or included
        if included:
            self._note_parents(written.path)
            try:
                self._create(written, archive, member)
            except (FileExistsError, NotADirectoryError) as exc:
                raise RestoreRefused(
                    f"{shown(entry.path)} is there already, or below something that is not a folder: "
                    f"unpack into an empty folder") from exc
            self._counts[entry.kind] += 1
        self._compare(entry, included=included)

    def _note_parents(self, path: bytes) -> None:
        parent = path.rpartition(b"/")[0]
        while parent not in self._parents:
            self._parents.add(parent)
            parent = parent.rpartition(b"/")[0]

    def _create(self, entry: Restored, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        folder, name = self._tree.locate(entry.path)
        sha256 = ""
        if entry.kind is Kind.DIRECTORY:
            self._make_folder(folder, name)
            return
        if entry.kind is Kind.HARD_LINK:
            sha256 = self._link(entry, folder, name)
        elif entry.kind is Kind.FILE:
            self._write(entry, archive, member, os.open(name, _NEW_FILE, 0o600, dir_fd=folder))
            sha256 = self._sha256.hexdigest()
        else:
            self._make_special(entry, folder, name)
        if self._index is not None and (sha256 or entry.kind is not Kind.HARD_LINK):
            self._look(entry, folder, name, sha256)

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

    def _look(self, entry: Restored, folder: int, name: bytes, sha256: str) -> None:
        """Count an entry as it is on disk now, not as it was meant to be."""
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        target = os.readlink(name, dir_fd=folder) if entry.kind is Kind.SYMLINK else b""
        self._fingerprint.add(
            Entry(entry.path, entry.kind, stat.S_IMODE(status.st_mode), status.st_mtime_ns, 0, 0, b"", b"",
                  status.st_size, target), sha256)
        if (entry.kind is not Kind.SYMLINK and entry.kind is not Kind.HARD_LINK
                and (stat.S_IMODE(status.st_mode), status.st_mtime_ns) != (entry.mode, entry.mtime_ns)):
            self._problems.note_file(
                entry.path, f"has mode {stat.S_IMODE(status.st_mode):04o} and mtime {status.st_mtime_ns} ns "
                            f"here, {entry.mode:04o} and {entry.mtime_ns} ns in the set")

    def _make_folder(self, folder: int, name: bytes) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=folder)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise

    def _link(self, entry: Restored, folder: int, name: bytes) -> str:
        """Make another name of a file; the hash of what it names now, empty if that is not there."""
        target = self._stand_ins.get(entry.target, entry.target)
        if target == entry.path:  # unpacked by this name already
            return ""
        other, first = self._links.locate(target)
        try:
            os.link(first, name, src_dir_fd=other, dst_dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            self._problems.note(f"{shown(entry.path)} is another name of {shown(entry.target)}, which "
                                f"was not unpacked: include that one too")
            return ""
        with os.fdopen(os.open(name, _OLD_FILE, dir_fd=folder), "rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _write(self, entry: Restored, archive: tarfile.TarFile, member: tarfile.TarInfo,
               descriptor: int) -> None:
        self._sha256 = hashlib.sha256()
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            # The extents follow each other in the archive; tarfile's own reader would read the holes.
            archive.fileobj.seek(member.offset_data)
            for offset, length in entry.extents:
                self._hole(offset - file.tell())
                file.seek(offset)
                self._copy(archive.fileobj, file, length)
            self._hole(entry.content_bytes - file.tell())
            file.truncate(entry.content_bytes)
            self._dress(file.fileno(), entry)
        self._content_bytes += entry.content_bytes

    def _copy(self, source: _Readable, file: IO[bytes], length: int) -> None:
        while length:
            data = source.read(min(length, _READ_BYTES))
            if not data:
                raise tarfile.ReadError("the archive ends inside a file")
            length -= len(data)
            if self._index is not None:
                self._sha256.update(data)
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest):]

    def _hole(self, length: int) -> None:
        if self._index is not None:
            for start in range(0, length, _READ_BYTES):
                self._sha256.update(bytes(min(_READ_BYTES, length - start)))

    def _dress_folder(self, path: bytes, entry: Restored) -> None:
        folder, name = self._tree.locate(path)
        descriptor = os.open(name, _FOLDER, dir_fd=folder)
        try:
            self._dress(descriptor, entry)
        finally:
            os.close(descriptor)
        self._look(entry, folder, name, "")

    def _dress(self, descriptor: int, entry: Restored) -> None:
        """Owner first, since a change of it takes set-id bits away; the time last."""
        if self._chown:
            os.fchown(descriptor, entry.uid, entry.gid)
        for name, value in entry.xattrs:
            try:
                os.setxattr(descriptor, name, value)
            except OSError as exc:
                self._problems.note_file(entry.path, f"lost its attribute {shown(name)}: {exc.strerror}")
        os.fchmod(descriptor, entry.mode)
        os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))

    def _compare(self, entry: Restored, *, included: bool) -> None:
        if self._index is None:
            return
        line = next(self._index, None)
        if line is None:
            self._differ(f"{shown(entry.path)} is not in the index")
            return
        listed = read_index_line(line)
        if listed.entry.path != entry.path or listed.entry.kind is not entry.kind:
            self._differ(f"{shown(entry.path)} stands where the index has {shown(listed.entry.path)}")
        elif included and entry.kind is Kind.FILE and listed.sha256 != self._sha256.hexdigest():
            self._differ(f"{shown(entry.path)} has sha256 {self._sha256.hexdigest()}, "
                         f"expected {listed.sha256}")

    def _differ(self, what: str) -> None:
        if len(self._differing) <= _NAMED:
            self._differing.append(what)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Stream:
    """Chunks as something that tarfile reads from."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        if not self._rest:
            chunk: Buffer = next(self._chunks, b"")
            self._rest = memoryview(chunk)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)

    def drain(self) -> None:
        """Read what is left, so that whoever makes the stream can say that it was whole."""
        for _ in self._chunks:
            pass


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members up to the end mark. tarfile's own loop takes damage in the middle for the end."""
    member = archive.firstmember  # type: ignore[attr-defined]  # not in its stub; None if empty
    while member is not None:
        yield member
        archive.members.clear()  # type: ignore[attr-defined]  # or it remembers every file
        archive.fileobj.seek(archive.offset)
        try:
            member = tarfile.TarInfo.fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # not in its stub
            return


def lines(chunks: Chunks) -> Iterator[bytes]:
    """The lines of a stream, without their ends."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + bytes(chunk)).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _everything(_path: bytes) -> bool:
    return True
