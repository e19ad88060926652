"""A file past the page cache is as any other, whatever its length, and wherever a disk gives up."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks import uncached
from nightscan_tasks.uncached import BLOCK_BYTES, SECTOR_BYTES

LENGTHS = [0, 1, SECTOR_BYTES - 1, SECTOR_BYTES, SECTOR_BYTES + 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 5000]


def written(path: Path, data: bytes, *, offset: int = 0, pieces: int = 70_001) -> None:
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        past = uncached.Past(fd, offset, uncached.block())
        for at in range(0, len(data), pieces):
            past.add(memoryview(data)[at:at + pieces])
        past.end()
        assert not is_direct(fd)
    finally:
        os.close(fd)


def is_direct(fd: int) -> bool:
    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT)


@pytest.mark.parametrize("offset", [0, 3 * SECTOR_BYTES])
@pytest.mark.parametrize("length", LENGTHS)
def test_what_was_written_is_there(tmp_path: Path, length: int, offset: int) -> None:
    data = os.urandom(length)
    written(tmp_path / "file", data, offset=offset)
    assert (tmp_path / "file").read_bytes() == (bytes(offset) + data if data else b"")


def test_only_whole_sectors_go_past_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ways: list[tuple[bool, int]] = []
    real = os.pwrite

    def seen(fd: int, data: Any, offset: int) -> int:
        ways.append((is_direct(fd), len(data)))
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", seen)
    written(tmp_path / "file", os.urandom(BLOCK_BYTES + SECTOR_BYTES + 7))
    if not ways[0][0]:
        pytest.skip(f"{tmp_path} is on a file system without O_DIRECT")
    assert ways == [(True, BLOCK_BYTES), (True, SECTOR_BYTES), (False, 7)]


@pytest.mark.parametrize("length", LENGTHS)
def test_where_it_is_only_promised_the_rest_goes_through_the_cache(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    real = os.pwrite

    def picky(fd: int, data: Any, offset: int) -> int:
        if is_direct(fd):
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", picky)
    data = os.urandom(length)
    written(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == data


@pytest.mark.parametrize("taken", [1, SECTOR_BYTES, SECTOR_BYTES + 100])
def test_a_disk_that_takes_less_than_it_is_given_gets_the_rest(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    real = os.pwrite

    def slow(fd: int, data: Any, offset: int) -> int:
        if is_direct(fd) and len(data) > SECTOR_BYTES:
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_DIRECT)
            try:
                return real(fd, data[:taken], offset)
            finally:
                fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_DIRECT)
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", slow)
    data = os.urandom(2 * BLOCK_BYTES + 77)
    written(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == data


def test_a_full_disk_is_the_writers_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int, _data: Any, _offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        written(tmp_path / "file", bytes(BLOCK_BYTES))


def test_what_is_written_soon_stays_as_it_was(tmp_path: Path) -> None:
    data = os.urandom(70_001)
    with (tmp_path / "file").open("wb", buffering=0) as file:
        file.write(data)
        uncached.write_soon(file.fileno())
        file.write(data)
    assert (tmp_path / "file").read_bytes() == data + data


def test_where_no_advice_is_taken_nothing_else_changes(tmp_path: Path) -> None:
    reading, writing = os.pipe()  # takes none
    try:
        uncached.write_soon(writing)
        os.write(writing, b"x")
        assert os.read(reading, 1) == b"x"
    finally:
        os.close(reading)
        os.close(writing)
