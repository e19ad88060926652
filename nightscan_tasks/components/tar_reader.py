"""Members of an archive, read from a stream.

What was written here is read here: ustar headers with pax ones before them, as `tar` makes them, at a
fraction of what Python's tarfile takes for each. From the first member of another dialect on (GNU's long
names, base-256 numbers, global headers), tarfile reads the rest: an archive may be cut anywhere between two
members. Whoever takes a member reads its content before the next is asked for, or none of it.
"""

from __future__ import annotations

import struct
import tarfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import chain
from typing import NamedTuple, Protocol

from nightscan_tasks.components.entry import Kind
from nightscan_tasks.components.restored import Restored, gid_of, restored, safe, uid_of, xattr_name
from nightscan_tasks.components.tar import BLOCK_BYTES, USTAR, Extent, byte_sum, nanoseconds
from nightscan_tasks.errors import DigestMismatch
from nightscan_tasks.model import Buffer, Chunks

_READ_BYTES = 1 << 20
_SECOND = 1_000_000_000
_MAGIC = b"ustar\x0000"
_KINDS = {b"0": Kind.FILE, b"1": Kind.HARD_LINK, b"2": Kind.SYMLINK, b"5": Kind.DIRECTORY, b"6": Kind.FIFO}
_EMPTY = bytes(BLOCK_BYTES)
_XATTR = b"SCHILY.xattr."
_SPARSE = b"GNU.sparse."
_KNOWN = {b"path", b"linkpath", b"uname", b"gname", b"hdrcharset", b"mtime", b"size", b"uid", b"gid",
          b"GNU.sparse.major", b"GNU.sparse.minor", b"GNU.sparse.name", b"GNU.sparse.realsize"}
_LARGEST_PAX_BYTES = 16 << 20
_LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE,
         tarfile.SOLARIS_XHDTYPE)

_Owner = tuple[int, int, int, bytes, bytes]
Pieces = Callable[[int], Iterator[Buffer]]
"""Gives the next so many bytes of a member's content, piece by piece."""


class Stream:
    """Chunks, cut where the archive is. The end comes as `DigestMismatch`: an archive has an end mark."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        rest = self._rest
        if len(rest) >= length:
            self._rest = rest[length:]
            return bytes(rest[:length])
        return b"".join(self.pieces(length))

    def pieces(self, length: int) -> Iterator[memoryview]:
        """The same without copying; each is valid until the next."""
        while length:
            if not self._rest:
                self._rest = memoryview(next(self._chunks, b""))
                if not self._rest:
                    raise DigestMismatch("the archive is damaged: it ends too early")
            piece = self._rest[:length]
            self._rest = self._rest[len(piece):]
            length -= len(piece)
            yield piece

    def skip(self, length: int) -> None:
        """Pass over the next `length` bytes."""
        for _ in self.pieces(length):
            pass

    def drain(self) -> None:
        """Read what is left, so that whoever makes the stream can say that it was whole."""
        self._rest = memoryview(b"")
        for _ in self._chunks:
            pass

    def back(self, raw: bytes) -> Chunks:
        """Everything from `raw` on, which was taken last."""
        rest, self._rest = self._rest, memoryview(b"")
        return chain([part for part in (raw, rest) if part], self._chunks)


class _Foreign(Exception):
    """A header of another dialect."""


class _Header(NamedTuple):
    """A ustar header's fields; pax records come before them."""

    kind: bytes
    name: bytes
    mode: int
    uid: int
    gid: int
    user: bytes
    group: bytes
    size: int
    mtime: int
    target: bytes


def members(stream: Stream) -> Iterator[tuple[Restored, Pieces]]:
    """Every member up to the end mark; `DigestMismatch` for what is no archive, or not whole."""
    while True:
        raw: list[bytes] = []
        try:
            found = _next(stream, raw)
        except _Foreign:
            yield from _by_tarfile(stream.back(b"".join(raw)))
            return
        if found is None:
            return
        entry, stored_bytes = found
        left = [stored_bytes]
        yield entry, _counted(stream, left)
        stream.skip(left[0] + -stored_bytes % BLOCK_BYTES)


def _counted(stream: Stream, left: list[int]) -> Pieces:
    def pieces(length: int) -> Iterator[Buffer]:
        left[0] -= length
        return stream.pieces(length)
    return pieces


def _next(stream: Stream, raw: list[bytes]) -> tuple[Restored, int] | None:
    """The next member and how many bytes of content follow; None at the end. `raw` is what was taken."""
    records: dict[bytes, bytes] = {}
    block = _block(stream, raw)
    if block == _EMPTY:
        return None
    header = _header(block)
    if header.kind == b"x":
        records = _records(stream, raw, header.size)
        header = _header(_block(stream, raw))
    kind = _KINDS.get(header.kind)
    if kind is None:
        raise _Foreign
    size = int(records.get(b"size", header.size)) if kind is Kind.FILE else 0
    extents: tuple[Extent, ...] = ((0, size),)
    real_bytes = size
    if b"GNU.sparse.major" in records:
        extents, table_bytes = _extents(stream, size)
        stored = sum(length for _, length in extents)
        if table_bytes + stored != size or min(min(extent) for extent in (*extents, (0, 0))) < 0:
            raise DigestMismatch("the archive is damaged: its table of holes does not fit")
        size, real_bytes = stored, int(records[b"GNU.sparse.realsize"])
    return _restored(header, kind, records, real_bytes, extents), size


def _restored(header: _Header, kind: Kind, records: dict[bytes, bytes], content_bytes: int,
              extents: tuple[Extent, ...]) -> Restored:
    if not records:
        return Restored(safe(header.name), kind, header.mode, header.mtime * _SECOND,
                        uid_of(header.user, header.uid), gid_of(header.group, header.gid), content_bytes,
                        safe(header.target) if kind is Kind.HARD_LINK else header.target, extents, ())
    mtime = records.get(b"mtime")
    target = records.get(b"linkpath", header.target)
    return Restored(
        safe(records.get(b"GNU.sparse.name") or records.get(b"path", header.name)), kind, header.mode,
        header.mtime * _SECOND if mtime is None else nanoseconds(mtime.decode("ascii")),
        uid_of(records.get(b"uname", header.user), int(records.get(b"uid", header.uid))),
        gid_of(records.get(b"gname", header.group), int(records.get(b"gid", header.gid))), content_bytes,
        safe(target) if kind is Kind.HARD_LINK else target, extents,
        tuple((xattr_name(key.removeprefix(_XATTR)), value) for key, value in records.items()
              if key.startswith(_XATTR)))


def _block(stream: Stream, raw: list[bytes]) -> bytes:
    block = stream.take(BLOCK_BYTES)
    raw.append(block)
    return block


def _header(block: bytes) -> _Header:
    """The fields; `_Foreign` for another dialect, which may also be damage: tarfile will say."""
    (name, mode, uid, gid, size, mtime, checksum, kind, target, magic, user, group, _, _,
     prefix) = USTAR.unpack(block)
    if magic != _MAGIC or prefix[0]:
        raise _Foreign
    try:
        if int(checksum[:6], 8) != byte_sum(block) - sum(checksum) + 8 * 0x20:
            raise _Foreign
        return _Header(kind, _text(name), *_owner(mode, uid, gid, user, group), int(size[:11], 8),
                       int(mtime[:11], 8), _text(target) if target[0] else b"")
    except ValueError as exc:
        raise _Foreign from exc


@lru_cache(maxsize=1024)  # nearly all files of an archive have the same few
def _owner(mode: bytes, uid: bytes, gid: bytes, user: bytes, group: bytes) -> _Owner:
    return int(mode[:7], 8) & 0o7777, int(uid[:7], 8), int(gid[:7], 8), _text(user), _text(group)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _records(stream: Stream, raw: list[bytes], size: int) -> dict[bytes, bytes]:
    """What a pax header says; `_Foreign` where it has a keyword that is not ours."""
    if size > _LARGEST_PAX_BYTES:
        raise DigestMismatch(f"the archive is damaged: a header of {size} bytes")
    data = stream.take(size + -size % BLOCK_BYTES)
    raw.append(data)
    records: dict[bytes, bytes] = {}
    position = 0
    while position < size:
        length, space, _ = data[position:position + 20].partition(b" ")
        end = position + int(length) if length.isdigit() else 0
        key, equals, value = data[position + len(length) + 1:max(end - 1, 0)].partition(b"=")
        if not (space and equals and position < end <= size and data[end - 1:end] == b"\n"):
            raise _Foreign
        if key not in _KNOWN and not key.startswith(_XATTR):
            raise _Foreign
        records[key] = value
        position = end
    if any(key.startswith(_SPARSE) for key in records) and not (
            records.get(b"GNU.sparse.major") == b"1" and records.get(b"GNU.sparse.realsize", b"").isdigit()):
        raise _Foreign
    return records


def _extents(stream: Stream, size: int) -> tuple[tuple[Extent, ...], int]:
    """The table before a sparse file's content, and how many bytes it takes."""
    blocks = [stream.take(BLOCK_BYTES)]
    count, _, _ = blocks[0].partition(b"\n")
    lines = blocks[0].count(b"\n")
    try:
        while lines < 1 + 2 * int(count) and len(blocks) * BLOCK_BYTES < min(size, _LARGEST_PAX_BYTES):
            blocks.append(stream.take(BLOCK_BYTES))
            lines += blocks[-1].count(b"\n")
        numbers = [int(line) for line in b"".join(blocks).split(b"\n")[1:1 + 2 * int(count)]]
    except ValueError as exc:
        raise DigestMismatch("the archive is damaged: its table of holes is none") from exc
    return tuple(zip(numbers[::2], numbers[1::2], strict=False)), len(blocks) * BLOCK_BYTES


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _File:
    """Chunks as something that tarfile reads from."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)


class _Bounded(tarfile.TarInfo):
    """A header whose own content, a long name for example, is no larger than any that there is."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _LONG and self.size > _LARGEST_PAX_BYTES:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        found: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]  # not in its stub
        return found


def _by_tarfile(chunks: Chunks) -> Iterator[tuple[Restored, Pieces]]:
    try:
        with tarfile.open(  # type: ignore[call-overload]  # a stream need only be readable
                fileobj=_File(chunks), mode="r|", bufsize=_READ_BYTES, encoding="utf-8",
                errors="surrogateescape", tarinfo=_Bounded) as archive:
            for member in _tarfile_members(archive):
                # The extents follow each other in the archive; tarfile's own reader would read the holes.
                archive.fileobj.seek(member.offset_data)
                yield restored(member), _from_tarfile(archive.fileobj)
    except (tarfile.TarError, struct.error, ValueError, OverflowError, RecursionError) as exc:
        raise DigestMismatch(f"the archive is damaged: {exc}") from exc


def _from_tarfile(source: _Readable) -> Pieces:
    def pieces(length: int) -> Iterator[Buffer]:
        while length:
            data = source.read(min(length, _READ_BYTES))
            if not data:
                raise DigestMismatch("the archive is damaged: it ends inside a file")
            length -= len(data)
            yield data
    return pieces


def _tarfile_members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members up to the end mark. tarfile's own loop takes damage in the middle for the end."""
    member = archive.firstmember  # type: ignore[attr-defined]  # not in its stub; None if empty
    while member is not None:
        yield member
        archive.members.clear()  # type: ignore[attr-defined]  # or it remembers every file
        archive.fileobj.seek(archive.offset)
        try:
            member = _Bounded.fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # not in its stub
            return
