"""What an archive holds, read back by GNU tar and by Python; and files that change meanwhile."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components.base import Shared
from nightscan_tasks.components.entry import Kind
from nightscan_tasks.components.files import FileComponent, fingerprint_tree
from nightscan_tasks.components.listing import Found, walk
from nightscan_tasks.components.treeprint import combine
from nightscan_tasks.errors import DumpIncomplete

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


def change(root: Path, moment: str, path: bytes, act: Callable[[Path], object]) -> Everything:
    """A component of which a file changes at one moment."""
    def before(now: str, at: bytes) -> None:
        if (now, at) == (moment, path):
            act(root / os.fsdecode(path))
    return Everything(root, before=before)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Three files; the second is the one that changes."""
    root = tmp_path / "src"
    root.mkdir()
    for name in "abc":
        (root / name).write_bytes(name.encode() * 2_000_000)
    return root


def test_a_file_that_grows_is_cut_where_it_was(three: Path, save: Save, gnu_tar: GnuTar) -> None:
    def grow(path: Path) -> None:
        with path.open("ab") as file:
            file.write(b"more" * 1000)
    saved = save(change(three, "read", b"b", grow))
    assert gnu_tar(saved.tar, "-x", "-O", "b") == b"b" * 2_000_000
    assert gnu_tar(saved.tar, "-x", "-O", "c") == b"c" * 2_000_000
    assert saved.report.notes == ("b changed while it was read: 2000000 bytes then, 2004000 now",)
    assert [line.problem for line in saved.lines] == ["", "changed while it was read", ""]


@pytest.mark.parametrize("left", [0, 1, 1_500_000])
def test_a_file_that_shrinks_is_filled_up(
        three: Path, save: Save, gnu_tar: GnuTar, left: int) -> None:
    saved = save(change(three, "read", b"b", lambda path: os.truncate(path, left)))
    assert gnu_tar(saved.tar, "-x", "-O", "b") == b"b" * left + bytes(2_000_000 - left)
    assert gnu_tar(saved.tar, "-x", "-O", "c") == b"c" * 2_000_000
    assert saved.report.notes == (f"b changed while it was read: 2000000 bytes then, {left} now",)


def test_a_file_that_is_rewritten_at_the_same_length_is_noted(three: Path, save: Save) -> None:
    saved = save(change(three, "read", b"b", lambda path: path.write_bytes(b"x" * 2_000_000)))
    assert saved.report.notes == ("b changed while it was read: 2000000 bytes then, 2000000 now",)


def test_a_sparse_file_that_shrinks_is_filled_up(
        tmp_path: Path, save: Save, gnu_tar: GnuTar) -> None:
    root = tmp_path / "src"
    root.mkdir()
    with (root / "s").open("wb") as file:
        file.seek(2_000_000)
        file.write(b"end")
    saved = save(change(root, "read", b"s", lambda path: os.truncate(path, 10)))
    assert gnu_tar(saved.tar, "-x", "-O", "s") == bytes(2_000_003)
    assert len(saved.report.notes) == 1


def test_a_file_that_vanishes_is_left_out_and_noted(
        three: Path, save: Save, gnu_tar: GnuTar) -> None:
    saved = save(change(three, "open", b"b", Path.unlink))
    assert gnu_tar(saved.tar, "-t") == b"a\nc\n"
    assert saved.report.notes == ("b was gone before it was read",)


def test_a_file_that_vanishes_once_it_is_open_is_saved(
        three: Path, save: Save, gnu_tar: GnuTar) -> None:
    saved = save(change(three, "read", b"b", Path.unlink))
    assert gnu_tar(saved.tar, "-x", "-O", "b") == b"b" * 2_000_000


@pytest.mark.parametrize("replace", [
    lambda path: path.symlink_to("/etc/passwd"),
    lambda path: path.mkdir(),
    os.mkfifo,
])
def test_what_becomes_something_else_is_left_out_and_noted(
        three: Path, save: Save, gnu_tar: GnuTar, replace: Callable[[Path], object]) -> None:
    def act(path: Path) -> None:
        path.unlink()
        replace(path)
    saved = save(change(three, "open", b"b", act))
    assert gnu_tar(saved.tar, "-t") == b"a\nc\n"
    assert len(saved.report.notes) == 1
    assert saved.report.notes[0].startswith("b ")


def test_a_folder_that_becomes_a_symlink_is_not_read_through(
        tmp_path: Path, save: Save, gnu_tar: GnuTar) -> None:
    root, secret = tmp_path / "src", tmp_path / "secret"
    (root / "folder").mkdir(parents=True)
    secret.mkdir()
    (root / "a").write_bytes(b"a")
    (root / "folder/file").write_bytes(b"mine")
    (secret / "file").write_bytes(b"secret")
    listed = list(Everything(root).lines())
    (root / "folder").rename(root / "moved")
    (root / "folder").symlink_to(secret)

    class Listed(Everything):
        def lines(self) -> Iterator[bytes]:
            return iter(listed)
    saved = save(Listed(root))
    assert b"secret" not in saved.tar
    # The folder is what it was when it was listed, since every archive has to say the same of it.
    assert gnu_tar(saved.tar, "-t") == b"a\nfolder/\n"
    assert [note for note in saved.report.notes if "folder/file" in note] == list(saved.report.notes) != []


def test_a_second_name_that_is_another_file_by_now_is_saved_as_one(
        tmp_path: Path, save: Save, gnu_tar: GnuTar) -> None:
    root = tmp_path / "src"
    root.mkdir()
    (root / "a").write_bytes(b"first")
    os.link(root / "a", root / "b")

    def act(path: Path) -> None:
        (path.parent / "b").unlink()
        (path.parent / "b").write_bytes(b"second")
    saved = save(change(root, "read", b"a", act))
    assert gnu_tar(saved.tar, "-x", "-O", "b") == b"second"


def test_what_cannot_be_read_is_named_and_the_rest_is_saved(
        ordinary_user: Path, save: Save, gnu_tar: GnuTar) -> None:
    root = ordinary_user / "src"
    (root / "closed").mkdir(parents=True)
    for number in range(25):
        (root / f"secret{number:02d}").write_bytes(b"x")
        (root / f"secret{number:02d}").chmod(0)
    (root / "z").write_bytes(b"rest")
    (root / "closed").chmod(0)
    try:
        saved = save(Everything(root))
        assert gnu_tar(saved.tar, "-x", "-O", "z") == b"rest"
        with pytest.raises(DumpIncomplete) as caught:
            saved.dump.report()
    finally:
        (root / "closed").chmod(0o700)
    assert str(caught.value).startswith(
        "everything.00: 26 could not be read, the rest is saved: closed: Permission denied; "
        "secret00: Permission denied; ")
    assert "secret18" in str(caught.value)
    assert "; and 6 more; " in str(caught.value)


def test_a_file_whose_reading_fails_is_named_and_the_rest_is_saved(save: Save) -> None:
    """Linux has a file that opens, has a length, and cannot be read: the speed of the loopback."""
    folder = Path("/sys/class/net/lo")
    if not (folder / "speed").exists():
        pytest.skip("no /sys here")

    class Speed(Everything):
        def found(self) -> Iterator[Found]:
            return chain(walk(os.fsencode(folder), b"speed"), walk(os.fsencode(folder), b"mtu"))
    saved = save(Speed(folder.resolve()))
    assert saved.names == [b"speed", b"mtu"]
    assert saved.lines[0].problem == "could not be read: [Errno 22] Invalid argument"
    with pytest.raises(DumpIncomplete, match=r"1 could not be read.*speed: .*Invalid argument"):
        saved.dump.report()


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
