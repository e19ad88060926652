"""One entry of an archive, and its line in the archive's index.

An index is one JSON object a line, in the order of the archive. Names are bytes: in `path`, `target`,
`user` and `group` every byte that is not printable ASCII, and percent, quote and backslash, is written
as `%XX`, so that any name fits into JSON and `urllib.parse.unquote_to_bytes` gives it back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import filterfalse
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from nightscan_tasks.errors import ManifestInvalid

_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in '%"\\')
_PLAIN_BYTES = _PLAIN.encode()
_SET = b'"set": "'  # no name can hold it: a quote in one is written as %22
_PATH = b'{"path": "'


class Kind(StrEnum):
    """What an entry is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARD_LINK = "hard_link"  # a further name of a file that comes earlier in the same archive
    FIFO = "fifo"


class Entry(NamedTuple):  # not a dataclass: one is made for each of very many files
    """What an archive says of one file. `mtime_ns` is in nanoseconds, `target` of either kind of link.

    `content_bytes` is the file's length, holes included, also for a hard link to it.
    """

    path: bytes
    kind: Kind
    mode: int
    mtime_ns: int
    uid: int
    gid: int
    user: bytes
    group: bytes
    content_bytes: int = 0
    target: bytes = b""
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


class Indexed(NamedTuple):
    """One line of an index. `sha256` is of a file's content, empty for what has none.

    `set_id` is the earlier set whose archive has the entry; empty: the one that the index was made with.
    """

    entry: Entry
    sha256: str = ""
    problem: str = ""
    set_id: str = ""


def quoted(name: bytes) -> str:
    """A name of any bytes as printable ASCII."""
    if not name.translate(None, _PLAIN_BYTES):  # nearly every name
        return name.decode()
    return quote_from_bytes(name, safe=_PLAIN)


def unquoted(text: str) -> bytes:
    """The bytes that `quoted` was given."""
    return unquote_to_bytes(text)


def index_line(indexed: Indexed) -> bytes:
    """The entry as one line of JSON, newline included."""
    entry = indexed.entry
    # By hand, since nothing in it needs escaping, and there are very many.
    return (f'{{"path": "{quoted(entry.path)}", "type": "{entry.kind}", '
            f'"bytes": {entry.content_bytes}, "sha256": "{indexed.sha256}", '
            f'"mode": "{entry.mode:04o}", "mtime_ns": {entry.mtime_ns}, '
            f'"uid": {entry.uid}, "gid": {entry.gid}, '
            f'"user": "{quoted(entry.user)}", "group": "{quoted(entry.group)}", '
            f'"target": "{quoted(entry.target)}", '
            f'"problem": "{quoted(indexed.problem.encode())}"'
            f'{_of_set(indexed.set_id)}}}\n').encode()


def carried(line: bytes, set_id: str) -> bytes:
    """The line as a later set's index has it: one that tells of no earlier set tells of `set_id`."""
    return line if _SET in line else line[:-2] + _of_set(set_id).encode() + b"}\n"


def path_of(line: bytes) -> bytes:
    """The path that a line tells of, without reading the rest of it where it is as `index_line` writes it."""
    name, end, _ = line[len(_PATH):].partition(b'"')
    if not line.startswith(_PATH) or not end or b"\\" in name:  # `quoted` never leaves one
        return read_index_line(line).entry.path
    return unquote_to_bytes(name)


def set_of(line: bytes) -> str:
    """The earlier set that a line tells of, without reading the rest of it."""
    start = line.find(_SET)
    return line[start + len(_SET):line.index(b'"', start + len(_SET))].decode() if start >= 0 else ""


def of_set(lines: Iterable[bytes], set_id: str) -> Iterator[bytes]:
    """Those that tell of that earlier set; with an empty one, those that tell of none."""
    if not set_id:
        return filterfalse(re.compile(_SET).search, lines)
    return filter(re.compile(_SET + re.escape(set_id.encode()) + b'"').search, lines)


def _of_set(set_id: str) -> str:
    return f', "set": "{set_id}"' if set_id else ""


def agrees(line: bytes, path: bytes, kind: Kind, sha256: str) -> bool:
    """Whether a line, as `index_line` writes it, tells of this entry with this content, without parsing it.

    An empty `sha256` agrees with any. False says nothing: a line may be written otherwise.
    """
    # No name in it holds a quote.
    return line.startswith(f'{{"path": "{quoted(path)}", "type": "{kind}", "bytes": '.encode()) and (
        not sha256 or f', "sha256": "{sha256}", '.encode() in line)


def read_index_line(line: bytes) -> Indexed:
    """The entry that a line tells of; `ManifestInvalid` if it is not one. Attributes are not in it."""
    try:
        found = json.loads(line)
        entry = Entry(unquoted(found["path"]), Kind(found["type"]), int(found["mode"], 8),
                      int(found["mtime_ns"]), int(found["uid"]), int(found["gid"]),
                      unquoted(found["user"]), unquoted(found["group"]), int(found["bytes"]),
                      unquoted(found["target"]))
        return Indexed(entry, str(found["sha256"]), unquoted(found["problem"]).decode(),
                       str(found.get("set", "")))
    except (ValueError, OverflowError, RecursionError, KeyError, TypeError, AttributeError) as exc:
        raise ManifestInvalid(f"not a line of an index: {line[:200]!r}") from exc
