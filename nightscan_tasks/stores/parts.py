"""A stream of unknown length, cut into the parts of a multipart upload."""

from __future__ import annotations

import hashlib
import tempfile
from base64 import b64encode
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from nightscan_tasks.errors import StoreRefused
from nightscan_tasks.model import Buffer

MIB = 1 << 20
MOST_PARTS = 10_000
HELD_BYTES = 32 * MIB
_FIRST_BYTES = 16 * MIB
_STEP_PARTS = 1_112


def plan_part_bytes(number: int) -> int:
    """How large part `number` (from 1) is, when it is not the last.

    S3 takes 10,000 parts of at most 5 GiB, and 5 TiB in all, and the length is not known when the
    first part goes out. So the size doubles eight times on the way: 16 MiB for the first 17 GiB,
    32 MiB up to 52 GiB, and 4 GiB at the end, where 8.6 TiB would fit.
    """
    if not 1 <= number <= MOST_PARTS:
        raise StoreRefused(f"part {number:,} of an upload: S3 takes {MOST_PARTS:,}, which is 5 TiB; "
                           "split the data (NIGHTSCAN_USER_DATA_ARCHIVES)")
    return _FIRST_BYTES << ((number - 1) // _STEP_PARTS)


@dataclass
class Part:
    """One part: in memory when it is small, else in a file that has no name."""

    number: int
    room_bytes: int
    held: bytearray = field(default_factory=bytearray)
    spilled: IO[bytes] | None = None
    last: bool = False
    stored_bytes: int = 0
    _sha256: hashlib._Hash = field(default_factory=hashlib.sha256)

    def fill(self, chunk: memoryview) -> int:
        """Take as much of a buffer as there is room for; how much that was."""
        taken = chunk[:self.room_bytes - self.stored_bytes]
        if self.spilled is None:
            self.held += taken
        else:
            self.spilled.write(taken)
        self._sha256.update(taken)
        self.stored_bytes += len(taken)
        return len(taken)

    @property
    def full(self) -> bool:
        """Whether nothing more goes in."""
        return self.stored_bytes >= self.room_bytes

    @property
    def body(self) -> bytearray | IO[bytes]:
        """What is sent."""
        if self.spilled is None:
            return self.held
        self.spilled.seek(0)
        return self.spilled

    @property
    def checksum(self) -> str:
        """SHA-256 as S3 writes it."""
        return b64encode(self._sha256.digest()).decode()

    def drop(self) -> None:
        """Give its memory or file back."""
        self.held = bytearray()
        if self.spilled is not None:
            self.spilled.close()


@dataclass(frozen=True)
class Cutter:
    """How streams are cut: the plan, what is held in memory, and where the rest waits.

    A part of more than `held_bytes` waits in `temp_dir`: only the very large streams, past 52 GiB,
    have such parts. Two parts exist at a time, one being read and one being sent.
    """

    plan: Callable[[int], int] = plan_part_bytes
    held_bytes: int = HELD_BYTES
    temp_dir: Path | None = None

    def cut(self, chunks: Iterable[Buffer]) -> Generator[Part, None, None]:
        """The parts, each full but the last, which is marked; an empty stream has one empty part.

        Whoever is given a part drops it.
        """
        part = self._part(1)
        try:
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    if part.full:  # only now is it known not to be the last
                        yield part
                        part = self._part(part.number + 1)
                    view = view[self._fill(part, view):]
        except BaseException:
            part.drop()
            raise
        part.last = True
        yield part

    def _part(self, number: int) -> Part:
        room_bytes = self.plan(number)
        if room_bytes <= self.held_bytes:
            return Part(number, room_bytes)
        try:
            return Part(number, room_bytes, spilled=tempfile.TemporaryFile(dir=self.temp_dir))
        except OSError as exc:
            raise self._no_room(exc, room_bytes) from exc

    def _fill(self, part: Part, view: memoryview) -> int:
        try:
            return part.fill(view)
        except OSError as exc:
            raise self._no_room(exc, part.room_bytes) from exc

    def _no_room(self, exc: OSError, room_bytes: int) -> StoreRefused:
        return StoreRefused(f"no room for a part of {room_bytes:,} bytes in "
                            f"{self.temp_dir or tempfile.gettempdir()}: {exc.strerror}; "
                            "let NIGHTSCAN_TEMP_DIR name a larger folder")
