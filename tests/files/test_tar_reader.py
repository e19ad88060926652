"""Our own reader of archives says what Python's tarfile says, and leaves to it what it does not know."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components import tar_reader
from nightscan_tasks.components.restored import Restored, restored
from nightscan_tasks.components.source_code import SourceCode
from nightscan_tasks.components.tar import BLOCK_BYTES
from nightscan_tasks.components.tar_reader import Stream, members
from nightscan_tasks.errors import DigestMismatch
from nightscan_tasks.settings import load

Save = Callable[..., Any]  # these two are described in conftest.py
GnuTar = Callable[..., bytes]


def read(archive: bytes, size: int = 777) -> list[tuple[Restored, bytes]]:
    pieces = (archive[start:start + size] for start in range(0, len(archive), size))
    return [(entry, b"".join(bytes(piece) for _, length in entry.extents for piece in content(length)))
            for entry, content in members(Stream(pieces))]


def by_python(archive: bytes) -> list[Restored]:
    with tarfile.open(fileobj=io.BytesIO(archive), encoding="utf-8", errors="surrogateescape") as found:
        return [restored(member) for member in found.getmembers()]


@pytest.fixture
def archive(rich_tree: Path, save: Save) -> bytes:
    return bytes(save(SourceCode(load({"NIGHTSCAN_ROOT": str(rich_tree)}))).tar)


@pytest.fixture
def no_tarfile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_reader, "_by_tarfile", lambda _chunks: pytest.fail("it is our own dialect"))


def test_what_was_written_here_is_read_here(archive: bytes, no_tarfile: None) -> None:
    assert [entry for entry, _ in read(archive)] == by_python(archive)


def test_content_may_be_left_unread(archive: bytes) -> None:
    assert [entry for entry, _ in members(Stream(iter([archive])))] == by_python(archive)


def test_attributes_are_read_here(tmp_path: Path, save: Save, no_tarfile: None, xattrs: None) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a").write_bytes(b"x")
    os.setxattr(tmp_path / "src/a", "user.a=b%3D", bytes(range(256)))
    archive = bytes(save(SourceCode(load({"NIGHTSCAN_ROOT": str(tmp_path / "src")}))).tar)
    (entry, content), = read(archive)
    assert entry.xattrs == ((b"user.a=b%3D", bytes(range(256))),)
    assert content == b"x"


@pytest.mark.parametrize("options", [
    ("--format=gnu",), ("--format=posix",), ("--format=ustar",), ("--format=v7",),
    ("--format=gnu", "--sparse"), ("--format=posix", "--sparse")])
def test_other_dialects_are_read_by_tarfile(
        tmp_path: Path, run_tar: GnuTar, options: tuple[str, ...]) -> None:
    root = tmp_path / "src"
    (root / "folder").mkdir(parents=True)
    (root / "folder/a").write_bytes(b"a" * 1000)
    (root / "folder" / ("x" * 60)).write_bytes(b"x")
    with (root / "sparse").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
    archive = run_tar("-c", *options, "-C", str(root), ".")
    found = read(archive)
    assert [entry for entry, _ in found] == by_python(archive)
    assert {entry.path: content for entry, content in found}[b"folder/a"] == b"a" * 1000


def test_from_the_first_foreign_member_on_tarfile_reads(archive: bytes) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as foreign:
        for name in ("y" * 200, "z"):
            info = tarfile.TarInfo(name)
            info.size = 3
            foreign.addfile(info, io.BytesIO(b"abc"))
    end = len(archive.rstrip(b"\0"))
    both = archive[:end + -end % BLOCK_BYTES] + buffer.getvalue()
    found = read(both)
    assert [entry for entry, _ in found] == by_python(both)
    assert found[-2:] == [(found[-2][0], b"abc"), (found[-1][0], b"abc")]
    assert found[-2][0].path == b"y" * 200


@pytest.mark.parametrize("at", [3, 105, 130, 150, 260, 300])
def test_a_header_that_is_damaged_is_noticed(tmp_path: Path, save: Save, at: int) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a").write_bytes(b"x")
    archive = bytearray(save(SourceCode(load({"NIGHTSCAN_ROOT": str(tmp_path / "src")}))).tar)
    start = archive.index(b"ustar\0", BLOCK_BYTES) - 257  # behind the pax header
    archive[start + at] ^= 0x55
    with pytest.raises(DigestMismatch, match="the archive is damaged"):
        read(bytes(archive))


@pytest.mark.parametrize("size", [1, 511, 512, 513])
def test_chunks_may_be_of_any_size(tmp_path: Path, save: Save, size: int, no_tarfile: None) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / ("x" * 120)).write_bytes(b"x" * 700)
    archive = bytes(save(SourceCode(load({"NIGHTSCAN_ROOT": str(tmp_path / "src")}))).tar)
    (entry, content), = read(archive, size)
    assert entry.path == b"x" * 120
    assert content == b"x" * 700
