"""The files of a dump in directory format as one stream: a tar, whose large files come in pieces.

A file that is still written when its beginning is taken has no length yet, and a tar wants lengths first. So
it becomes several members: `2604.dat.00000000`, `2604.dat.00000001`, …, which make the file when they are
put together in that order. A file that was finished before is one member, under its own name.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nightscan_tasks.components.tar import BLOCK_BYTES, end, padding
from nightscan_tasks.model import Buffer

PIECE_BYTES = (1 << 20) - 2048
"""A whole number of the pages in which PostgreSQL keeps large objects, so that no two pieces share one."""

_NUMBERED = re.compile(r"(?P<name>.+\.(?:dat|toc))\.(?P<number>\d{8})")
_LONGEST_NAME = 100


class NotPieces(Exception):
    """The stream is no tar of this kind; says what was found."""


@dataclass(frozen=True)
class Member:
    """Some bytes of one file, from `offset` on; `last` where the file is known to end with them."""

    name: str
    offset: int
    block: Buffer
    last: bool


def header(name: str, size: int, *, number: int | None = None) -> bytes:
    """What stands before `size` bytes of a file: of the whole of it, or of a piece."""
    member = tarfile.TarInfo(name if number is None else f"{name}.{number:08}")
    member.size, member.mode = size, 0o600
    return member.tobuf(tarfile.USTAR_FORMAT)


def members(chunks: Iterable[Buffer]) -> Iterator[Member]:
    """What a tar holds, in blocks of at most `PIECE_BYTES`, each valid until the next is asked for.

    `NotPieces` where it is damaged, cut short, or holds anything but files in their right order.
    """
    reader = _Reader(iter(chunks))
    places: dict[str, tuple[int, int]] = {}  # the next number, and where it begins
    while (found := _header(reader.exactly(BLOCK_BYTES))) is not None:
        name, number = _numbered(found.name)
        expected, offset = places.get(name, (0, 0))
        if (number or 0) != expected or (number is None and name in places):
            raise NotPieces(f"{found.name} is not the piece that comes next")
        left = found.size
        while left or not found.size:
            block = reader.exactly(min(PIECE_BYTES, left))
            left -= len(block)
            yield Member(name, offset, block, last=number is None and not left)
            offset += len(block)
            if not left:
                break
        reader.exactly(-found.size % BLOCK_BYTES)
        places[name] = (expected + 1, offset)
    reader.rest()


def ending(written_bytes: int) -> bytes:
    """What ends a tar of so many bytes."""
    return end(written_bytes)


def filling(size: int) -> bytes:
    """What comes behind `size` bytes of a member."""
    return padding(size)


def _numbered(name: str) -> tuple[str, int | None]:
    found = _NUMBERED.fullmatch(name)
    return (found["name"], int(found["number"])) if found else (name, None)


def _header(block: bytes) -> tarfile.TarInfo | None:
    """A member's header; None at the end."""
    if block == bytes(BLOCK_BYTES):
        return None
    try:
        found = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError) as exc:
        raise NotPieces(f"no header of a tar: {exc}") from exc
    if found.type != tarfile.REGTYPE or "/" in found.name or len(found.name) > _LONGEST_NAME:
        raise NotPieces(f"{found.name!r} is no file of a dump")
    return found


class _Reader:
    """A stream, of which so many bytes at a time are wanted."""

    def __init__(self, chunks: Iterator[Buffer]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes; `NotPieces` where there are fewer."""
        pieces, wanted = [], size
        while wanted:
            if not self._rest:
                self._rest = memoryview(next(self._chunks, b""))
                if not self._rest:
                    raise NotPieces("it is cut short")
            pieces.append(bytes(self._rest[:wanted]))
            self._rest = self._rest[len(pieces[-1]):]
            wanted -= len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def rest(self) -> None:
        """Read to the end, where only padding is: whoever gives the stream tells then whether it is whole."""
        self._rest = memoryview(b"")
        for _ in self._chunks:
            pass
