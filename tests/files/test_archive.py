"""What an archive holds, read back by GNU tar and by Python."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components.base import Shared
from nightscan_tasks.components.entry import Kind
from nightscan_tasks.components.files import FileComponent, fingerprint_tree
from nightscan_tasks.components.listing import Found, walk
from nightscan_tasks.components.treeprint import combine

Save = Callable[..., Any]  # these three are described in conftest.py
GnuTar = Callable[..., bytes]
FactsOf = Callable[[Path], dict[bytes, tuple[object, ...]]]
MakeSocket = Callable[[Path], None]


class Everything(FileComponent):
    """All files of a folder."""

    name = "everything"
    root_setting = "ROOT"

    def found(self) -> Iterator[Found]:
        return walk(os.fsencode(self.root), b"")

    def parts(self) -> tuple[str, ...]:
        return tuple(f"{self.name}.{number:02d}" for number in range(self.archives))


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_gnu_tar_restores_everything_as_it_was(
        rich_tree: Path, save: Save, gnu_tar: GnuTar, facts_of: FactsOf, tmp_path: Path,
        locale: str) -> None:
    saved = save(Everything(rich_tree))
    (tmp_path / "out").mkdir()
    gnu_tar(saved.tar, "-x", "-p", "--xattrs", "-C", str(tmp_path / "out"), locale=locale)
    assert facts_of(tmp_path / "out") == facts_of(rich_tree)


def test_gnu_tar_finds_no_difference(rich_tree: Path, save: Save, gnu_tar: GnuTar) -> None:
    saved = save(Everything(rich_tree))
    assert gnu_tar(saved.tar, "-d", "-C", str(rich_tree)) == b""


def test_holes_are_not_stored_and_come_back_as_holes(
        rich_tree: Path, save: Save, gnu_tar: GnuTar, tmp_path: Path) -> None:
    source = rich_tree / "models/sparse.bin"
    saved = save(Everything(rich_tree))
    assert len(saved.tar) < 8 << 20
    (tmp_path / "out").mkdir()
    gnu_tar(saved.tar, "-x", "-C", str(tmp_path / "out"))
    back = tmp_path / "out/models/sparse.bin"
    assert back.stat().st_size == source.stat().st_size
    assert back.stat().st_blocks <= source.stat().st_blocks + 16
    assert {line.entry.path: line.entry.content_bytes for line in saved.lines}[
        b"models/sparse.bin"] == 40 << 20


def test_attributes_of_any_bytes_and_acls_are_saved(
        tmp_path: Path, save: Save, gnu_tar: GnuTar, facts_of: FactsOf, xattrs: None) -> None:
    root = tmp_path / "src"
    (root / "folder").mkdir(parents=True)
    (root / "folder/file").write_bytes(b"x")
    os.setxattr(root / "folder/file", "user.binary", bytes(range(256)) * 3)
    os.setxattr(root / "folder/file", "user.equals=percent%", b"")
    os.setxattr(root / "folder", "user.of.folder", b"\n1 a=b\n")
    # version 2: user::rw-, user:1:r--, group::r--, mask::r--, other::---
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in (
        (1, 6, 0xFFFFFFFF), (2, 4, 1), (4, 4, 0xFFFFFFFF), (16, 4, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF)))
    os.setxattr(root / "folder/file", "system.posix_acl_access", acl)
    saved = save(Everything(root))
    (tmp_path / "out").mkdir()
    gnu_tar(saved.tar, "-x", "-p", "--xattrs", "--xattrs-include=*", "-C", str(tmp_path / "out"))
    assert facts_of(tmp_path / "out") == facts_of(root)


def test_a_file_over_8_gib_is_saved(tmp_path: Path, save: Save, gnu_tar: GnuTar) -> None:
    size = (8 << 30) + 12345
    root = tmp_path / "src"
    root.mkdir()
    with (root / "large").open("wb") as file:
        file.seek(size - 4)
        file.write(b"tail")
    saved = save(Everything(root))
    assert f" {size} ".encode() in gnu_tar(saved.tar, "-tv")
    member, = saved.by_python()
    assert member.size == size
    assert saved.report.fingerprint["bytes"] == size


def test_the_index_tells_what_is_in_the_archive(rich_tree: Path, save: Save) -> None:
    saved = save(Everything(rich_tree))
    lines = {line.entry.path: line for line in saved.lines}
    assert [os.fsencode(member.name) for member in saved.by_python()] == saved.names
    assert lines[b"config/link"].entry.target == b"app.ini"
    assert lines[b"config/queue"].entry.kind is Kind.FIFO
    assert lines[b"models/b.pt"].entry.kind is Kind.HARD_LINK
    assert lines[b"models/b.pt"].entry.target == b"models/a.pt"
    assert lines[b"models/b.pt"].sha256 == lines[b"models/a.pt"].sha256
    assert b"uploads/new\nline" in lines
    assert saved.index.isascii()


def test_each_file_is_in_exactly_one_archive_and_each_folder_in_all(
        rich_tree: Path, save: Save) -> None:
    component = Everything(rich_tree, archives=3)
    names = [save(component, part) for part in component.parts()]
    of_files = [line.entry.path for saved in names for line in saved.lines
                if line.entry.kind is not Kind.DIRECTORY]
    folders = [{line.entry.path for line in saved.lines if line.entry.kind is Kind.DIRECTORY}
               for saved in names]
    assert len(of_files) == len(set(of_files)) == sum(
        1 for path in rich_tree.rglob("*") if path.is_symlink() or not path.is_dir())
    assert folders[0] == folders[1] == folders[2]
    links = [{name for name in saved.names if name in {b"models/a.pt", b"models/b.pt", b"uploads/c.pt"}}
             for saved in names]
    assert sorted(map(len, links)) == [0, 0, 3]


@pytest.mark.parametrize("archives", [1, 2, 5])
def test_the_fingerprint_does_not_depend_on_how_the_files_are_split(
        rich_tree: Path, save: Save, archives: int) -> None:
    component = Everything(rich_tree, archives=archives)
    parts = [save(component, part).report.fingerprint for part in component.parts()]
    assert combine(parts) == fingerprint_tree(rich_tree) == component.fingerprint()


@pytest.mark.parametrize("change", [
    lambda root: (root / "config/app.ini").chmod(0o600),
    lambda root: os.utime(root / "config/app.ini", ns=(1, 1_700_000_000_123_456_790)),
    lambda root: (root / "config/link").unlink(),
    lambda root: (root / "models").chmod(0o700),
    lambda root: _flip(root / "models/a.pt"),
])
def test_the_fingerprint_notices_any_change(
        rich_tree: Path, change: Callable[[Path], object]) -> None:
    before = fingerprint_tree(rich_tree)
    change(rich_tree)
    assert fingerprint_tree(rich_tree) != before


def _flip(path: Path) -> None:
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_an_empty_folder_is_a_good_backup(tmp_path: Path, save: Save, gnu_tar: GnuTar) -> None:
    (tmp_path / "src").mkdir()
    saved = save(Everything(tmp_path / "src"))
    assert gnu_tar(saved.tar, "-t") == b""
    assert saved.index == b""
    assert saved.report.fingerprint["files"] == 0


def test_sockets_are_left_out_and_noted(
        tmp_path: Path, save: Save, unix_socket: MakeSocket) -> None:
    (tmp_path / "src").mkdir()
    unix_socket(tmp_path / "src/socket")
    saved = save(Everything(tmp_path / "src"))
    assert saved.names == []
    assert saved.report.notes == ("socket is a socket or a device; it is not saved",)


def test_leaving_in_the_middle_ends_everything(rich_tree: Path, shared: Shared) -> None:
    component = Everything(rich_tree)
    with component.open("everything.00", shared) as dump:
        stream = next(dump.streams())
        assert next(stream.chunks)
        # `nothing_left_behind` looks after the rest.


def test_times_are_exact_to_the_nanosecond(tmp_path: Path, save: Save, gnu_tar: GnuTar) -> None:
    root = tmp_path / "src"
    root.mkdir()
    (root / "a").write_bytes(b"")
    os.utime(root / "a", ns=(0, 1_700_000_000_000_000_001))
    saved = save(Everything(root))
    (tmp_path / "out").mkdir()
    gnu_tar(saved.tar, "-x", "-C", str(tmp_path / "out"))
    assert (tmp_path / "out/a").stat().st_mtime_ns == 1_700_000_000_000_000_001
    assert saved.lines[0].entry.mtime_ns == 1_700_000_000_000_000_001
    assert datetime.fromtimestamp(saved.by_python()[0].mtime, UTC).year == 2023
