"""A file that is moved is in one place or the other, whole, and never over another."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from nightscan_tasks.errors import DigestMismatch
from nightscan_tasks.reconcile.moving import Place, move

Opened = Callable[[Path], AbstractContextManager[int]]


@pytest.fixture(params=["same", "other"])
def folders(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """Where from and where to: on one file system, and on two."""
    (tmp_path / "from").mkdir()
    if request.param == "other":
        target: Path = request.getfixturevalue("other_disk")
    else:
        target = tmp_path / "to"
        target.mkdir()
    return tmp_path / "from", target


def moved(folders: tuple[Path, Path], opened: Opened) -> bool:
    with opened(folders[0]) as source, opened(folders[1]) as target:
        return move(Place(source, b"a.wav"), Place(target, b"b.wav"))


def test_content_mode_and_time_go_along(folders: tuple[Path, Path], opened: Opened) -> None:
    source, target = folders[0] / "a.wav", folders[1] / "b.wav"
    source.write_bytes(b"x" * 3_000_000)
    source.chmod(0o640)
    os.utime(source, ns=(5, 1_700_000_000_123_456_789))
    assert moved(folders, opened)
    assert not source.exists()
    assert target.read_bytes() == b"x" * 3_000_000
    assert (target.stat().st_mode & 0o777, target.stat().st_mtime_ns) == (0o640, 1_700_000_000_123_456_789)
    assert [each.name for each in folders[1].iterdir()] == ["b.wav"]


def test_nothing_is_written_over(folders: tuple[Path, Path], opened: Opened) -> None:
    (folders[0] / "a.wav").write_text("new")
    (folders[1] / "b.wav").write_text("old")
    assert not moved(folders, opened)
    assert (folders[0] / "a.wav").read_text() == "new"
    assert (folders[1] / "b.wav").read_text() == "old"


def test_a_move_that_was_cut_off_is_completed(folders: tuple[Path, Path], opened: Opened,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    (folders[0] / "a.wav").write_text("content")

    def unplugged(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unplugged)
        with pytest.raises(KeyboardInterrupt):
            moved(folders, opened)
    assert (folders[0] / "a.wav").exists()
    assert (folders[1] / "b.wav").exists()
    for draft in folders[1].glob(".nightscan_draft_*"):
        draft.unlink()  # the cut came before the copy's second name went
    assert moved(folders, opened)
    assert not (folders[0] / "a.wav").exists()
    assert (folders[1] / "b.wav").read_text() == "content"


def test_a_file_that_is_written_to_meanwhile_stays(tmp_path: Path, other_disk: Path, opened: Opened,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "a.wav"
    source.write_text("content")
    fsync = os.fsync

    def written(descriptor: int) -> None:
        with source.open("a") as file:
            file.write(" and more")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", written)
    with pytest.raises(DigestMismatch, match="was written to"):
        moved((tmp_path, other_disk), opened)
    assert source.read_text() == "content and more"
    assert list(other_disk.iterdir()) == []
