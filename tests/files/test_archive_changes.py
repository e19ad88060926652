"""Files that change, vanish or cannot be read while an archive is made of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components.files import FileComponent
from nightscan_tasks.components.listing import Found, walk
from nightscan_tasks.errors import DumpIncomplete

Save = Callable[..., Any]  # these two are described in conftest.py
GnuTar = Callable[..., bytes]


class Everything(FileComponent):
    """All files of a folder, in one archive."""

    name = "everything"
    root_setting = "ROOT"

    def found(self) -> Iterator[Found]:
        return walk(os.fsencode(self.root), b"")


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
        "everything: 26 could not be read, the rest is saved: closed: Permission denied; "
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
