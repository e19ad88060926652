"""A tar stream of files that are in use while it is made.

A file's length is settled when it is opened. One that grows is cut there, one that shrinks is filled
up with NUL bytes, one that is gone is left out: each is noted, and none spoils the archive. One that
cannot be read is remembered by name, and the rest is saved.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Self

from nightscan_tasks.components import tar
from nightscan_tasks.components.attributes import Owners, extended
from nightscan_tasks.components.changes import Change
from nightscan_tasks.components.entry import Entry, Kind, read_index_line, set_of
from nightscan_tasks.components.index import Index
from nightscan_tasks.components.listing import ROOT, FolderFacts, Listed, inode_of, path_of, read_line
from nightscan_tasks.components.problems import Problems
from nightscan_tasks.components.sparse import extents_of
from nightscan_tasks.components.tree import Tree
from nightscan_tasks.model import Chunks

_BLOCK_BYTES = 1 << 20
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}
CHANGED = "changed while it was read"
_FOLDER, _FILE = b"d ", b"f "  # how a list's lines begin


class Archive:
    """The archive `number` of what `lines` list below a tree; `prefix` stands before every name.

    Read `chunks` to the end; then `index` and `problems` tell what is in it. What an earlier set has
    (`Change.cached`) is in the index only; with `rehash` it is read, and is in the archive if its content is
    another. `before` is called with "open" or "read" and the path just before that is done: tests change
    files there.
    """

    def __init__(self, tree: Tree, changes: Iterable[Change], index: Index, *, number: int = 0,
                 prefix: bytes = b"", rehash: bool = False,
                 before: Callable[[str, bytes], None] | None = None) -> None:
        self.problems = Problems()
        self.carried_from: set[str] = set()
        self._carried_links: set[bytes] = set()
        self._rehash = rehash
        self._tree = tree
        self._changes = changes
        self._index = index
        self._number = number
        self._prefix = prefix
        self._before = before or _nothing
        self._owners = Owners()
        self._linked: dict[bytes, tuple[int, int, Entry]] = {}

    def chunks(self) -> Chunks:
        """The archive, in blocks of 1 MiB, all of them in the same buffer."""
        block, filled, total = memoryview(bytearray(_BLOCK_BYTES)), 0, 0
        for part in self._parts():
            if isinstance(part, bytes):
                if filled + len(part) < _BLOCK_BYTES:  # nearly every header
                    block[filled:filled + len(part)] = part
                    filled += len(part)
                    total += len(part)
                    continue
                rest: _Content | _Bytes = _Bytes(part)
            else:
                rest = part
            while rest.left:
                count = rest.fill(block[filled:])
                filled += count
                total += count
                if filled == _BLOCK_BYTES:
                    yield block
                    filled = 0
        if filled:
            yield block[:filled]
        yield tar.end(total)

    def _parts(self) -> Iterator[bytes | _Content]:
        for line, cached in self._changes:
            self._index.line = line
            if cached and self._carry(line, cached):
                continue
            listed = read_line(line)
            mine = listed.archive == self._number
            if cached and (mine or not listed.folder):
                self._index.drop(cached)
            if listed.folder:
                yield self._folder(listed, listed.folder, counts=mine)
            elif not mine:
                continue
            elif listed.kind == "f":
                yield from self._linked_or_file(listed)
            elif listed.kind == "n":
                self.problems.note_listed(listed.path)
            elif listed.kind == "u":
                self.problems.unreadable(listed.path)
            else:
                yield from self._plain(listed, Kind.SYMLINK if listed.kind == "l" else Kind.FIFO)

    def _carry(self, line: bytes, cached: bytes) -> bool:
        """Leave an entry to the set that has it; False if that cannot be, as for every folder."""
        if line.startswith(_FOLDER):
            return False
        if inode := inode_of(line):  # its names have to stay together
            entry = read_index_line(cached).entry
            if entry.kind is Kind.HARD_LINK and entry.target not in self._carried_links:
                return False
        if self._rehash and line.startswith(_FILE) and not self._is_as_saved(path_of(line), cached):
            return False
        if inode and entry.kind is Kind.FILE:
            self._carried_links.add(entry.path)
        self._index.carry(cached)
        self.carried_from.add(set_of(cached))
        return True

    def _is_as_saved(self, path: bytes, cached: bytes) -> bool:
        try:
            descriptor = self._tree.open(path)
        except OSError:
            return False
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            try:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError:
                return False
        return found == read_index_line(cached).sha256

    def _folder(self, listed: Listed, facts: FolderFacts, *, counts: bool) -> bytes:
        """A folder as it was listed, whatever it has become: every archive has to say the same of it."""
        entry = Entry(self._name(listed.path), Kind.DIRECTORY, facts.mode, facts.mtime_ns, facts.uid,
                      facts.gid, self._owners.user(facts.uid), self._owners.group(facts.gid),
                      xattrs=self._folder_attributes(listed.path))
        self._index.add(entry, counts=counts)
        return tar.header(entry)

    def _plain(self, listed: Listed, kind: Kind) -> Iterator[bytes]:
        """An entry without content: a symlink, a fifo."""
        try:
            status = self._tree.lstat(listed.path)
            if stat.S_IFMT(status.st_mode) != _FORMATS[kind]:
                self.problems.note_file(listed.path, "became something else; it was left out")
                return
            target = self._tree.readlink(listed.path) if kind is Kind.SYMLINK else b""
        except OSError as exc:
            self._failed(listed.path, exc)
            return
        entry = self._entry(listed.path, kind, status, target=target)
        yield tar.header(entry)
        self._index.add(entry)

    def _linked_or_file(self, listed: Listed) -> Iterator[bytes | _Content]:
        """A further name of a file that is in the archive already, or the file."""
        if listed.inode in self._linked:
            device, inode, first = self._linked[listed.inode]
            try:
                status = self._tree.lstat(listed.path)
            except OSError as exc:
                self._failed(listed.path, exc)
                return
            if (status.st_dev, status.st_ino) == (device, inode):
                entry = first._replace(path=self._name(listed.path), kind=Kind.HARD_LINK,
                                       target=first.path, xattrs=())
                yield tar.header(entry)
                self._index.add(entry, inode=listed.inode)
                return
            listed = listed._replace(inode=b"")  # another file has this name by now
        yield from self._file(listed)

    def _file(self, listed: Listed) -> Iterator[bytes | _Content]:
        self._before("open", listed.path)
        try:
            descriptor = self._tree.open(listed.path)
        except OSError as exc:
            self._failed(listed.path, exc)
            return
        try:
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode):
                yield from self._opened(listed, descriptor, status)
            else:
                self.problems.note_file(listed.path, "became something else; it was left out")
        finally:
            os.close(descriptor)

    def _opened(self, listed: Listed, descriptor: int,
                status: os.stat_result) -> Iterator[bytes | _Content]:
        entry = self._entry(listed.path, Kind.FILE, status, content_bytes=status.st_size,
                            xattrs=self._attributes(descriptor, listed.path))
        if listed.inode:
            self._linked[listed.inode] = (status.st_dev, status.st_ino, entry)
        holes = extents_of(descriptor, status)
        extents = [(0, status.st_size)] if holes is None else holes
        content = _Content(descriptor, self._index)
        self._before("read", listed.path)
        yield tar.header(entry) if holes is None else tar.sparse_header(entry, extents)
        for offset, length in extents:
            self._index.hole(offset - content.position)
            yield content.of(offset, length)
        self._index.hole(status.st_size - content.position)
        yield tar.padding(sum(length for _, length in extents))
        self._settle(listed, entry, content, descriptor)

    def _settle(self, listed: Listed, entry: Entry, content: _Content, descriptor: int) -> None:
        """Say of a file that was read what became of it meanwhile."""
        problem = ""
        now = os.fstat(descriptor)
        if content.error is not None:
            problem = f"could not be read: {content.error}"
            self.problems.unreadable(listed.path + b": " + os.fsencode(str(content.error)))
        elif (content.cut
              or (now.st_size, now.st_mtime_ns) != (entry.content_bytes, entry.mtime_ns)):
            problem = CHANGED
            self.problems.note_file(
                listed.path, f"{CHANGED}: {entry.content_bytes} bytes then, {now.st_size} now")
        self._index.add(entry, inode=listed.inode, problem=problem)

    def _entry(self, path: bytes, kind: Kind, status: os.stat_result, *, content_bytes: int = 0,
               target: bytes = b"", xattrs: tuple[tuple[bytes, bytes], ...] = ()) -> Entry:
        return Entry(self._name(path), kind, stat.S_IMODE(status.st_mode), status.st_mtime_ns,
                     status.st_uid, status.st_gid, self._owners.user(status.st_uid),
                     self._owners.group(status.st_gid), content_bytes, target, xattrs)

    def _name(self, path: bytes) -> bytes:
        return self._prefix.rstrip(b"/") if path == ROOT else self._prefix + path

    def _folder_attributes(self, path: bytes) -> tuple[tuple[bytes, bytes], ...]:
        try:
            descriptor = self._tree.open(path)
        except OSError:
            return ()  # gone, or closed: its listing said so already, or what is in it will
        try:
            return self._attributes(descriptor, path)
        finally:
            os.close(descriptor)

    def _attributes(self, descriptor: int, path: bytes) -> tuple[tuple[bytes, bytes], ...]:
        try:
            return extended(descriptor)
        except OSError as exc:
            self.problems.note_file(path, f"its extended attributes were left out: {exc}")
            return ()

    def _failed(self, path: bytes, error: OSError) -> None:
        if error.errno in _GONE:
            self.problems.note_file(path, "was gone before it was read")
        else:
            self.problems.unreadable(path + b": " + (error.strerror or "").encode())


class _Bytes:
    """Bytes that are in memory, on their way into a block."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.left = len(data)

    def fill(self, room: memoryview) -> int:
        """Put as much into `room` as fits."""
        count = min(self.left, len(room))
        start = len(self._data) - self.left
        room[:count] = self._data[start:start + count]
        self.left -= count
        return count


class _Content:
    """Extents of a file on their way into blocks; what cannot be had any more is NUL bytes."""

    def __init__(self, descriptor: int, index: Index) -> None:
        self._descriptor = descriptor
        self._index = index
        self.position = self.left = 0
        self.cut = False
        self.error: OSError | None = None

    def of(self, offset: int, length: int) -> Self:
        """The same file, about to be read from `offset`."""
        self.position, self.left = offset, length
        return self

    def fill(self, room: memoryview) -> int:
        """Read as much into `room` as fits, and hash it."""
        room = room[:self.left]
        count = 0 if self.cut else self._read(room)
        if not count:
            self.cut = True
            count = len(room)
            room[:] = bytes(count)
        self._index.content(room[:count])
        self.position += count
        self.left -= count
        return count

    def _read(self, room: memoryview) -> int:
        try:
            return os.preadv(self._descriptor, [room], self.position)
        except OSError as exc:
            self.error = exc
            return 0


_FORMATS = {Kind.SYMLINK: stat.S_IFLNK, Kind.FIFO: stat.S_IFIFO}


def _nothing(_moment: str, _path: bytes) -> None:
    return
