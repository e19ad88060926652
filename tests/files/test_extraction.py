"""Unpacking: everything comes back, nothing gets out."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components.extraction import extract
from nightscan_tasks.components.files import fingerprint_tree
from nightscan_tasks.components.source_code import SourceCode
from nightscan_tasks.components.user_data import UserData
from nightscan_tasks.errors import DigestMismatch, RestoreRefused
from nightscan_tasks.settings import load

Save = Callable[..., Any]  # these three are described in conftest.py
GnuTar = Callable[..., bytes]
FactsOf = Callable[[Path], dict[bytes, tuple[object, ...]]]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def component(rich_tree: Path) -> SourceCode:
    return SourceCode(load({"NIGHTSCAN_ROOT": str(rich_tree), "NIGHTSCAN_SOURCE_EXCLUDE": "no/"}))


def pieces(data: bytes, size: int = 100_003) -> Iterator[bytes]:
    return (data[start:start + size] for start in range(0, len(data), size))


def made(*members: tuple[str, bytes, str]) -> bytes:
    """An archive made by somebody else: name, type, link target."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = kind, target, 0o755
            info.size = 4 if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(b"evil"))
    return buffer.getvalue()


def test_everything_comes_back_as_it_was(
        component: SourceCode, rich_tree: Path, target: Path, save: Save, facts_of: FactsOf) -> None:
    saved = save(component)
    report = extract(pieces(saved.tar), target, index=pieces(saved.index, 777))
    assert facts_of(target) == facts_of(rich_tree)
    assert fingerprint_tree(target) == saved.report.fingerprint
    assert report.files == saved.report.fingerprint["files"]
    assert report.content_bytes == saved.report.fingerprint["bytes"]
    assert report.notes == ()


def test_attributes_come_back(
        tmp_path: Path, target: Path, save: Save, facts_of: FactsOf, xattrs: None) -> None:
    root = tmp_path / "src"
    (root / "folder").mkdir(parents=True)
    (root / "folder/file").write_bytes(b"x")
    os.setxattr(root / "folder/file", "user.a=b%3D", bytes(range(256)))
    os.setxattr(root / "folder", "user.c", b"\n12 x=y\n")
    saved = save(SourceCode(load({"NIGHTSCAN_ROOT": str(root)})))
    extract(pieces(saved.tar), target)
    assert facts_of(target) == facts_of(root)


def test_holes_come_back_as_holes(
        component: SourceCode, rich_tree: Path, target: Path, save: Save) -> None:
    extract(pieces(save(component).tar), target)
    for name in ("models/sparse.bin", "models/hole.bin"):
        assert (target / name).stat().st_blocks <= (rich_tree / name).stat().st_blocks


def test_what_gnu_tar_made_is_unpacked_too(
        rich_tree: Path, target: Path, facts_of: FactsOf, run_tar: GnuTar) -> None:
    archive = run_tar("-c", "--format=posix", "--sparse", "--xattrs", "-C", str(rich_tree), ".")
    extract(pieces(archive), target)
    assert facts_of(target) == facts_of(rich_tree)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_archives_of_one_set_go_into_one_folder_in_any_order(
        rich_tree: Path, target: Path, save: Save, facts_of: FactsOf, order: tuple[int, ...]) -> None:
    component = UserData(load({"NIGHTSCAN_ROOT": str(rich_tree), "NIGHTSCAN_USER_DATA_ARCHIVES": "3",
                               "NIGHTSCAN_LOGS_DAYS": "100000"}), lambda: datetime.now(UTC))
    for number in order:
        saved = save(component, component.parts()[number])
        extract(pieces(saved.tar), target, index=pieces(saved.index))
    assert facts_of(target) == facts_of(rich_tree)


def test_only_what_is_included_is_unpacked(component: SourceCode, target: Path, save: Save) -> None:
    saved = save(component)
    report = extract(pieces(saved.tar), target, index=pieces(saved.index),
                     include=lambda path: path.startswith(b"config/app"))
    assert sorted(path.name for path in target.rglob("*")) == ["app.ini", "config"]
    assert report.files == 1


def test_a_hard_link_to_what_is_not_included_is_noted(
        component: SourceCode, target: Path, save: Save) -> None:
    report = extract(pieces(save(component).tar), target, include=lambda path: path == b"models/b.pt")
    note, = report.notes
    assert note == ("models/b.pt is another name of models/a.pt, which was not unpacked: "
                    "include that one too")


def test_what_exists_is_never_written_over(component: SourceCode, target: Path, save: Save) -> None:
    (target / "config").mkdir()
    (target / "config/app.ini").write_text("mine")
    with pytest.raises(RestoreRefused, match=r"config/app\.ini is there already"):
        extract(pieces(save(component).tar), target)
    assert (target / "config/app.ini").read_text() == "mine"


def test_a_damaged_file_is_named_and_the_rest_is_unpacked(
        component: SourceCode, rich_tree: Path, target: Path, save: Save) -> None:
    saved = save(component)
    content = (rich_tree / "models/a.pt").read_bytes()
    at = saved.tar.index(content) + 1234
    damaged = saved.tar[:at] + bytes([saved.tar[at] ^ 1]) + saved.tar[at + 1:]
    with pytest.raises(DigestMismatch, match=r"models/a.pt has sha256 .*, expected "):
        extract(pieces(damaged), target, index=pieces(saved.index))
    assert (target / "uploads/2026/11/call.wav").exists()


@pytest.mark.parametrize("drop", [0, -1, 5])
def test_an_index_of_another_archive_is_noticed(
        component: SourceCode, target: Path, save: Save, drop: int) -> None:
    saved = save(component)
    lines = saved.index.splitlines(keepends=True)
    del lines[drop]
    with pytest.raises(DigestMismatch, match="index"):
        extract(pieces(saved.tar), target, index=pieces(b"".join(lines)))


def test_an_index_with_more_than_the_archive_is_noticed(
        component: SourceCode, target: Path, save: Save) -> None:
    saved = save(component)
    with pytest.raises(DigestMismatch, match="lists more than the archive holds"):
        extract(pieces(saved.tar), target, index=pieces(saved.index + saved.index))


@pytest.mark.parametrize("keep", [0, 100, 512, 1000, 0.5, 0.9])
def test_an_archive_that_is_cut_short_is_damaged(
        component: SourceCode, target: Path, save: Save, keep: float) -> None:
    saved = save(component)
    size = keep if isinstance(keep, int) else int(len(saved.tar) * keep)
    with pytest.raises(DigestMismatch, match="the archive is damaged"):
        extract(pieces(saved.tar[:size]), target)


def test_an_archive_that_is_cut_between_two_files_is_damaged(target: Path) -> None:
    archive = made(("a", tarfile.REGTYPE, ""), ("b", tarfile.REGTYPE, ""))
    with pytest.raises(DigestMismatch, match="the archive is damaged"):
        extract(pieces(archive[:1024]), target)


def test_a_damaged_header_is_not_taken_for_the_end(target: Path) -> None:
    archive = bytearray(made(("a", tarfile.REGTYPE, ""), ("b", tarfile.REGTYPE, "")))
    archive[1024 + 5] ^= 0xFF
    with pytest.raises(DigestMismatch, match="the archive is damaged"):
        extract(pieces(bytes(archive)), target)


def test_an_error_behind_the_end_of_the_archive_is_raised(target: Path) -> None:
    def stream() -> Iterator[bytes]:
        yield made(("a", tarfile.REGTYPE, "")) + bytes(3 << 20)
        raise DigestMismatch("the encryption does not hold")
    with pytest.raises(DigestMismatch, match="the encryption does not hold"):
        extract(stream(), target)


def test_an_empty_archive_is_unpacked(target: Path) -> None:
    assert extract(pieces(bytes(10240)), target).files == 0


def test_an_ordinary_user_unpacks_without_owners(ordinary_user: Path) -> None:
    (ordinary_user / "out").mkdir()
    archive = made(("folder", tarfile.DIRTYPE, ""), ("folder/a", tarfile.REGTYPE, ""))
    extract(pieces(archive), ordinary_user / "out")
    assert (ordinary_user / "out/folder/a").stat().st_uid == os.geteuid()


def test_root_gives_files_back_to_their_owners(target: Path) -> None:
    if os.geteuid():
        pytest.skip("only root may give files away")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, user, number in (("by_name", "nobody", 12345), ("by_number", "no-such-user", 54321)):
            info = tarfile.TarInfo(name)
            info.uname, info.uid, info.mode = user, number, 0o4755
            archive.addfile(info)
    extract(pieces(buffer.getvalue()), target)
    assert (target / "by_name").stat().st_uid == 65534
    assert (target / "by_number").stat().st_uid == 54321
    assert (target / "by_number").stat().st_mode & 0o7777 == 0o4755
