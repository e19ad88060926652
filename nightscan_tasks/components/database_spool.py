"""The folder that `pg_dump --format=directory` writes to: what lies there is taken while it is written.

pg_dump can write that format to files alone. So that they are no plain copy of the database, each is read
while it grows, what was read of it is given back to the disk at once, and pg_dump stands still while more
waits than a bound.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from nightscan_tasks.components.database_group import Group
from nightscan_tasks.components.database_pieces import PIECE_BYTES, ending, filling, header
from nightscan_tasks.errors import DumpIncomplete, SourceRefused
from nightscan_tasks.model import Chunks

MOST_BYTES = 128 << 20
"""From here on pg_dump stands still, until a quarter of it is left; it looks a hundred times a second."""
_MOST_FILES = 10_000
_LOOK_SECONDS = 0.01
_WHOLE_BYTES = 64 << 20  # a finished file above this comes in pieces too
_END_OF_ROWS = b"\\.\n\n\n"
CONTENTS = "toc.dat"
_PUNCH_HOLE, _KEEP_SIZE = 2, 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


@dataclass
class Spool:
    """What one pg_dump writes, as the stream of a tar; `taken` are the files that are whole in it."""

    folder: Path
    group: Group
    taken: set[str] = field(default_factory=set)
    _read: dict[str, int] = field(default_factory=dict)
    _pieces: dict[str, int] = field(default_factory=dict)
    _tails: dict[str, bytes] = field(default_factory=dict)
    _written: int = 0

    @property
    def contents(self) -> Path:
        """The table of contents, which pg_dump writes last; it is no part of the tar."""
        return self.folder / CONTENTS

    def chunks(self) -> Chunks:
        """All that pg_dump writes but its contents, until it has ended.

        How it ended is for the caller to ask. `DumpIncomplete` where the rows of a table have no end mark.
        """
        with self._bounded():
            ended = False
            while not ended:
                ended = self.group.ended()  # asked first: whatever is there afterwards is all there is
                count = 0
                for name in sorted(self._names()):
                    for chunk in self._take(name, ended=ended):
                        count += 1
                        yield self._counted(chunk)
                if not count and not ended:
                    time.sleep(_LOOK_SECONDS)
        yield self._counted(ending(self._written))

    def _counted(self, chunk: bytes) -> bytes:
        self._written += len(chunk)
        return chunk

    def _names(self) -> Iterator[str]:
        with os.scandir(self.folder) as entries:
            yield from (entry.name for entry in entries if entry.name != CONTENTS)

    def _take(self, name: str, *, ended: bool) -> Iterator[bytes]:
        """What there is of a file and was not taken yet, in whole pieces unless it is finished."""
        path = self.folder / name
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            finished = ended or _finished(descriptor)  # asked before its length, which is then the last one
            size = os.fstat(descriptor).st_size
            if finished and name not in self._read and size <= _WHOLE_BYTES:
                yield from self._whole(name, descriptor, size)
            else:
                yield from self._grown(name, descriptor, size, finished=finished)
        finally:
            os.close(descriptor)
        if finished:
            self._finish(name)
            path.unlink()
            self._read.pop(name, None)

    def _whole(self, name: str, descriptor: int, size: int) -> Iterator[bytes]:
        """A file as one member, whose length is known."""
        before = header(name, size)
        while True:
            block = self._block(name, descriptor, size)
            yield before + block if before else block
            before = b""
            if self._read[name] == size:
                break
        if fill := filling(size):
            yield fill

    def _grown(self, name: str, descriptor: int, size: int, *, finished: bool) -> Iterator[bytes]:
        """Some more members of a file that is still written, or was when it was begun."""
        while size - self._read.get(name, 0) >= (1 if finished else PIECE_BYTES):
            number = self._pieces.get(name, 0)
            block = self._block(name, descriptor, size)
            yield header(name, len(block), number=number) + block + filling(len(block))
            self._pieces[name] = number + 1
            if not finished:
                free(self.folder / name, self._read[name])

    def _block(self, name: str, descriptor: int, size: int) -> bytes:
        at = self._read.get(name, 0)
        block = os.pread(descriptor, min(PIECE_BYTES, size - at), at)
        if not block and size > at:
            raise DumpIncomplete(f"{name}, which pg_dump wrote, became shorter while it was read")
        self._read[name] = at + len(block)
        self._tails[name] = (self._tails.get(name, b"") + block[-len(_END_OF_ROWS):])[-len(_END_OF_ROWS):]
        return block

    def _finish(self, name: str) -> None:
        tail = self._tails.pop(name, b"")
        self._pieces.pop(name, None)
        if name.endswith(".dat") and not name.startswith("blob_") and tail != _END_OF_ROWS:
            raise DumpIncomplete(f"the rows in {name}, which pg_dump wrote, have no end mark")
        self.taken.add(name)

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        """Hold pg_dump up meanwhile, whenever too much waits."""
        done = threading.Event()
        watcher = threading.Thread(target=self._hold_up, args=(done,), name="spool", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def _hold_up(self, done: threading.Event) -> None:
        held = False
        while not done.wait(_LOOK_SECONDS):
            waiting_bytes, files = self.waiting()
            if held and waiting_bytes < MOST_BYTES // 4 and files < _MOST_FILES // 4:
                self.group.go_on()
                held = False
            elif not held and (waiting_bytes > MOST_BYTES or files > _MOST_FILES):
                self.group.stand_still()
                held = True
        if held:
            self.group.go_on()

    def waiting(self) -> tuple[int, int]:
        """Bytes that nobody has taken yet, and files."""
        total = count = 0
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    total += entry.stat(follow_symlinks=False).st_size - self._read.get(entry.name, 0)
                    count += 1
        return total, count


def require_bounded(folder: Path) -> None:
    """`SourceRefused` where a file's beginning cannot be given back to the disk while its end is written."""
    probe = folder / "probe"
    try:
        probe.write_bytes(bytes(1 << 16))
        descriptor = os.open(probe, os.O_RDONLY | os.O_CLOEXEC)
        try:
            finished = _finished(descriptor)
        finally:
            os.close(descriptor)
        free(probe, 1 << 16)
    except OSError as exc:
        raise SourceRefused(
            f"the directory format needs a folder where a file can be freed while it is written; {folder} "
            f"is none ({exc.strerror}): let NIGHTSCAN_TEMP_DIR name one on ext4, XFS, Btrfs or tmpfs, or set "
            f"NIGHTSCAN_DATABASE_FORMAT=sql") from exc
    finally:
        probe.unlink(missing_ok=True)
    if not finished:
        raise SourceRefused(f"in {folder} nobody can tell whether a file is still written: let "
                            f"NIGHTSCAN_TEMP_DIR name another, or set NIGHTSCAN_DATABASE_FORMAT=sql")


def free(path: Path, until: int) -> None:
    """Give the beginning of a file back to the disk; its length stays, and so does what follows."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if _libc.fallocate(descriptor, _PUNCH_HOLE | _KEEP_SIZE, 0, until):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)


def _finished(descriptor: int) -> bool:
    """Whether nobody has the file open for writing: only then the kernel gives a lease for reading.

    An empty one may just be made, by somebody who is about to open it.
    """
    if not os.fstat(descriptor).st_size:
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return False
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True
