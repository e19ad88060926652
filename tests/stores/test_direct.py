"""Past the page cache or through it: the same bytes, whatever their number, and the disk's own errors."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from nightscan_tasks.stores import direct
from nightscan_tasks.uncached import BLOCK_BYTES as MIB


def written(path: Path, data: bytes, *, pieces: int = 70_001) -> None:
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        with direct.Writer(fd, lambda exc: exc) as writer:
            for block in direct.blocks(data[at:at + pieces] for at in range(0, len(data), pieces)):
                writer.put(block)
    finally:
        os.close(fd)


def read(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        return b"".join(map(bytes, direct.read(fd)))
    finally:
        os.close(fd)


@pytest.mark.parametrize("length", [0, 1, 511, 4096, MIB - 1, MIB, MIB + 1, 9 * MIB, 9 * MIB + 4097])
def test_what_was_written_is_read(tmp_path: Path, length: int) -> None:
    data = os.urandom(length)
    written(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == data
    assert read(tmp_path / "file") == data


def test_a_file_system_that_knows_no_direct_way_goes_through_the_cache(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write

    def picky(fd: int, data: memoryview) -> int:
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(fd, data)

    monkeypatch.setattr(os, "write", picky)
    data = os.urandom(3 * MIB + 5)
    written(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == data


def put_all(fd: int, blocks: Iterable[memoryview]) -> None:
    with direct.Writer(fd, lambda exc: RuntimeError(f"no room: {errno.errorcode[exc.errno or 0]}")) as writer:
        for block in blocks:
            writer.put(block)


def test_the_disks_error_reaches_the_writer_in_the_callers_words() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(RuntimeError, match="no room: ENOSPC"):
            put_all(fd, direct.blocks([b"x" * (20 * MIB)]))
    finally:
        os.close(fd)


def test_an_error_of_the_stream_passes_through(tmp_path: Path) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"x" * (9 * MIB)
        raise OSError(errno.EIO, "of the source")

    fd = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
    try:
        with pytest.raises(OSError, match="of the source"):
            put_all(fd, direct.blocks(breaking()))
    finally:
        os.close(fd)
