"""tar headers, in the pax format that GNU tar, bsdtar and Python read.

Pure: an entry in, bytes out. Whatever fits into the old ustar header stands there; the rest, and a
fraction of a second, in a pax header before it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from zlib import adler32

from nightscan_tasks.components.entry import Entry, Kind

BLOCK_BYTES = 512
RECORD_BYTES = 20 * BLOCK_BYTES

_TYPES = {Kind.FILE: b"0", Kind.HARD_LINK: b"1", Kind.SYMLINK: b"2", Kind.DIRECTORY: b"5",
          Kind.FIFO: b"6"}
USTAR = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
_NAME_BYTES, _OWNER_BYTES = 100, 31
_OCTAL_7, _OCTAL_11 = 8**7 - 1, 8**11 - 1
_SECOND = 1_000_000_000

Extent = tuple[int, int]
"""Where data lies in a sparse file: offset and length, in bytes."""


def header(entry: Entry) -> bytes:
    """Everything that stands before the entry's content."""
    records = _records(entry)
    stored_bytes = entry.content_bytes if entry.kind is Kind.FILE else 0
    return _pax(records) + _ustar(entry, _name(entry), stored_bytes)


def sparse_header(entry: Entry, extents: Sequence[Extent]) -> bytes:
    """The same for a file of which only `extents` follow (GNU's sparse format 1.0)."""
    numbers = [len(extents), *(number for extent in extents for number in extent)]
    table = padded(b"".join(b"%d\n" % number for number in numbers))
    stored_bytes = len(table) + sum(length for _, length in extents)
    records = [record for record in _records(entry) if record[0] not in {b"path", b"size"}]
    if not _utf8(entry.path) and (b"hdrcharset", b"BINARY") not in records:
        records.insert(0, (b"hdrcharset", b"BINARY"))
    records += [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"),
                (b"GNU.sparse.name", entry.path),
                (b"GNU.sparse.realsize", b"%d" % entry.content_bytes)]
    if stored_bytes > _OCTAL_11:
        records.append((b"size", b"%d" % stored_bytes))
    return _pax(records) + _ustar(entry, b"GNUSparseFile.0/data", stored_bytes) + table


def padding(size: int, unit: int = BLOCK_BYTES) -> bytes:
    """The NUL bytes that fill up the last block after `size` bytes."""
    return bytes(-size % unit)


def padded(data: bytes) -> bytes:
    """`data`, filled up to whole blocks."""
    return data + padding(len(data))


def end(size: int) -> bytes:
    """What ends an archive of `size` bytes: two empty blocks, filled up to a record."""
    ending = bytes(2 * BLOCK_BYTES)
    return ending + padding(size + len(ending), RECORD_BYTES)


def attribute_key(name: bytes) -> bytes:
    """The pax keyword of an extended attribute; as GNU tar does it, `=` is written `%3D`."""
    return b"SCHILY.xattr." + name.replace(b"%", b"%25").replace(b"=", b"%3D")


def seconds(time_ns: int) -> bytes:
    """A time in nanoseconds as exact decimal seconds."""
    sign = b"-" if time_ns < 0 else b""
    whole, fraction = divmod(abs(time_ns), _SECOND)
    return b"%s%d" % (sign, whole) + (b".%09d" % fraction).rstrip(b"0").rstrip(b".")


def nanoseconds(text: str) -> int:
    """The reverse of `seconds`, exact to the nanosecond."""
    whole, _, fraction = text.partition(".")
    value = abs(int(whole)) * _SECOND + int((fraction + "0" * 9)[:9])
    return -value if text.startswith("-") else value


def _records(entry: Entry) -> list[tuple[bytes, bytes]]:
    """What the ustar header cannot say; the character set first, since it rules the names after it."""
    records: list[tuple[bytes, bytes]] = []
    name = _name(entry)
    if len(name) > _NAME_BYTES or not name.isascii():
        records.append((b"path", name))
    if len(entry.target) > _NAME_BYTES or not entry.target.isascii():
        records.append((b"linkpath", entry.target))
    for key, owner in ((b"uname", entry.user), (b"gname", entry.group)):
        if len(owner) > _OWNER_BYTES or not owner.isascii():
            records.append((key, owner))
    if records and not all(_utf8(value) for _, value in records):
        records.insert(0, (b"hdrcharset", b"BINARY"))
    if entry.mtime_ns % _SECOND or not 0 <= entry.mtime_ns // _SECOND <= _OCTAL_11:
        records.append((b"mtime", seconds(entry.mtime_ns)))
    if entry.kind is Kind.FILE and entry.content_bytes > _OCTAL_11:
        records.append((b"size", b"%d" % entry.content_bytes))
    for key, number in ((b"uid", entry.uid), (b"gid", entry.gid)):
        if number > _OCTAL_7:
            records.append((key, b"%d" % number))
    records += [(attribute_key(key), value) for key, value in entry.xattrs]
    return records


def _name(entry: Entry) -> bytes:
    return entry.path + b"/" if entry.kind is Kind.DIRECTORY else entry.path


def _utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _pax(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(_record(key, value) for key, value in records)
    return _pax_header(len(body)) + padded(body) if body else b""


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE`, where the length counts its own digits."""
    rest = b" %s=%s\n" % (key, value)
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return b"%d%s" % (length, rest)


@lru_cache(maxsize=64)  # nearly all are of one of a few lengths
def _pax_header(size: int) -> bytes:
    return _checked(USTAR.pack(
        b"PaxHeader/entry", b"0000644", b"0000000", b"0000000", _octal_11(size), b"00000000000",
        b"", b"x", b"", b"ustar\x0000", b"", b"", b"", b"", b""))


def _ustar(entry: Entry, name: bytes, stored_bytes: int) -> bytes:
    time = entry.mtime_ns // _SECOND
    # A name that was cut must not end with the slash of a folder.
    short = name if len(name) <= _NAME_BYTES else name[:_NAME_BYTES].rstrip(b"/")
    return _checked(USTAR.pack(
        short, b"%07o" % entry.mode, _octal_7(entry.uid), _octal_7(entry.gid),
        _octal_11(stored_bytes), _octal_11(time), b"", _TYPES[entry.kind],
        entry.target[:_NAME_BYTES], b"ustar\x0000", entry.user[:_OWNER_BYTES],
        entry.group[:_OWNER_BYTES], b"", b"", b""))


def _checked(block: bytes) -> bytes:
    # The checksum's own field counts as eight spaces.
    return block[:148] + b"%06o\0 " % (byte_sum(block) + 8 * 0x20) + block[156:]


def byte_sum(block: bytes) -> int:
    """The sum of a header's 512 bytes, at a tenth of what `sum` takes.

    Adler-32 holds one more than the sum in its lower half, modulo 65521, which half a block does not reach.
    """
    half = BLOCK_BYTES // 2
    return (adler32(block[:half]) & 0xFFFF) + (adler32(block[half:]) & 0xFFFF) - 2


def _octal_7(number: int) -> bytes:
    return b"%07o" % number if number <= _OCTAL_7 else b"0000000"


def _octal_11(number: int) -> bytes:
    return b"%011o" % number if 0 <= number <= _OCTAL_11 else b"00000000000"
