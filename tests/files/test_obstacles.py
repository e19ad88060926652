"""What can stand in the way of a restore of files: room, rights, mount points, another kind of file.

Each is found before anything is changed, or leaves everything as it was.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components.files_layout import files_restorer, layout_of
from nightscan_tasks.components.files_places import Layout
from nightscan_tasks.components.files_restorer import FilesRestorer
from nightscan_tasks.components.restorer import Position
from nightscan_tasks.components.user_data import UserData
from nightscan_tasks.errors import DigestMismatch, RestoreRefused
from nightscan_tasks.settings import load

SaveSet = Callable[..., Any]  # these two are described in conftest.py
FactsOf = Callable[[Path], dict[bytes, tuple[object, ...]]]

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
LAYOUT = Layout(folders=(b"uploads", b"models", b"config", b"logs"))


def restorer(root: Path, *paths: str) -> FilesRestorer:
    return FilesRestorer("user_data", root, "run", paths=paths, layout=LAYOUT, clock=lambda: NOW)


def put(root: Path, *names: str, text: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def saved_from(root: Path, save_set: SaveSet) -> Any:
    return save_set(UserData(load({"NIGHTSCAN_ROOT": str(root)}), lambda: NOW))


@pytest.fixture
def saved(tmp_path: Path, save_set: SaveSet) -> Any:
    names = ("config/app.ini", "models/a.pt", "uploads/2026/a.wav", "uploads/b.wav")
    return saved_from(put(tmp_path / "old", *names, text="saved"), save_set)


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return put(tmp_path / "live", "config/app.ini", "uploads/2026/a.wav", "uploads/mine.wav", text="live")


@contextmanager
def mounted(folder: Path, size: str = "8m") -> Iterator[None]:
    """A file system of its own, with what was in the folder."""
    made = subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
                          capture_output=True, check=False)
    if made.returncode:
        pytest.skip("only root may mount a file system")
    try:
        yield
    finally:
        subprocess.run(["/bin/umount", str(folder)], check=True)


def texts(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*")
            if path.is_file() and ".nightscan" not in str(path)}


def test_the_outlook_says_what_is_there_and_changes_nothing(
        live: Path, saved: Any, facts_of: FactsOf) -> None:
    before = facts_of(live)
    outlook = restorer(live).examine(saved)
    assert outlook.replaces == f"{live}: config, uploads"
    assert outlook.replaced_bytes == 3 * len("live")
    assert outlook.problems == ()
    assert facts_of(live) == before


def test_a_folder_that_is_a_mount_point_is_exchanged_inside(live: Path, saved: Any) -> None:
    with mounted(live / "uploads", "64m"):
        put(live, "uploads/2026/a.wav", "uploads/mine.wav", text="live")
        one = restorer(live)
        assert one.examine(saved).problems == ()
        one.stage(saved)
        swapped = one.swap()
        assert texts(live) == {"config/app.ini": "saved", "models/a.pt": "saved",
                               "uploads/2026/a.wav": "saved", "uploads/b.wav": "saved"}
        kept = live / "uploads/.nightscan_before_20261123T020000Z_user_data/uploads"
        assert (kept / "mine.wav").read_text() == "live"
        assert str(kept.parent) in str(swapped.before)
        one.undo()
        assert texts(live) == {"config/app.ini": "live", "uploads/2026/a.wav": "live",
                               "uploads/mine.wav": "live"}
        one.accept()
        assert [path.name for path in (live / "uploads").iterdir()
                if path.name.startswith(".nightscan")] == []


def test_a_mount_point_deeper_inside_is_a_problem(live: Path, saved: Any) -> None:
    with mounted(live / "uploads/2026"):
        problem, = restorer(live).examine(saved).problems
    assert problem.startswith(f"{live}/uploads/2026 is a mount point")
    assert "--path" in problem


def test_a_disk_that_is_too_small_is_a_problem(tmp_path: Path, saved: Any) -> None:
    (tmp_path / "small").mkdir()
    with mounted(tmp_path / "small"):
        problem, = restorer(tmp_path / "small").examine(saved).problems
        assert problem.startswith(f"{tmp_path}/small has 8.4 MB free")


def test_a_disk_that_runs_full_leaves_everything_as_it_was(tmp_path: Path, save_set: SaveSet) -> None:
    put(tmp_path / "old", "uploads/large.wav", text="x" * 9_000_000)
    large = saved_from(tmp_path / "old", save_set)
    (tmp_path / "small").mkdir()
    with mounted(tmp_path / "small"):
        root = put(tmp_path / "small/nightscan", "uploads/mine.wav", text="live")
        with pytest.raises(RestoreRefused, match=r"the file system of .*small/nightscan has no room"):
            restorer(root).stage(large)
        assert texts(root) == {"uploads/mine.wav": "live"}
        assert [path.name for path in root.iterdir()] == ["uploads"]


def test_on_a_full_disk_a_restore_is_taken_back_and_let_go(tmp_path: Path, saved: Any) -> None:
    (tmp_path / "small").mkdir()
    with mounted(tmp_path / "small"):
        root = put(tmp_path / "small/nightscan", "uploads/mine.wav", text="live")
        one = restorer(root)
        one.stage(saved)
        one.swap()
        fill(tmp_path / "small/rubbish")
        one.undo()
        assert texts(root) == {"uploads/mine.wav": "live"}
        one.accept()
        assert [path.name for path in root.iterdir()] == ["uploads"]


def fill(path: Path) -> None:
    """Take all the room that is left."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass


def test_a_part_on_another_file_system_is_refused_and_what_was_exchanged_goes_back(
        live: Path, saved: Any) -> None:
    with mounted(live / "uploads/2026"):
        put(live, "uploads/2026/a.wav", text="live")
        one = restorer(live, "config/*", "uploads/*")
        one.stage(saved)
        with pytest.raises(RestoreRefused, match=r"a\.wav cannot be exchanged .*everything is as it was"):
            one.swap()
        assert one.position() is Position.STAGED
        assert texts(live) == {"config/app.ini": "live", "uploads/2026/a.wav": "live",
                               "uploads/mine.wav": "live"}


def test_a_root_that_may_not_be_written_is_a_problem_and_refused(
        ordinary_user: Path, save_set: SaveSet) -> None:
    saved = saved_from(put(ordinary_user / "old", "uploads/a.wav", text="saved"), save_set)
    root = put(ordinary_user / "live", "uploads/a.wav", text="live")
    root.chmod(0o555)
    try:
        problem, = restorer(root).examine(saved).problems
        assert problem.startswith(f"{root} cannot be written by this user")
        with pytest.raises(RestoreRefused, match="Permission denied; everything is as it was"):
            restorer(root).stage(saved)
    finally:
        root.chmod(0o755)
    assert texts(root) == {"uploads/a.wav": "live"}


def test_a_folder_that_may_not_be_moved_leaves_everything_as_it_was(
        ordinary_user: Path, save_set: SaveSet) -> None:
    saved = saved_from(put(ordinary_user / "old", "config/a", "uploads/a", text="saved"), save_set)
    root = put(ordinary_user / "live", "config/a", "uploads/a", text="live")
    (root / "uploads").chmod(0o555)
    try:
        assert any("uploads cannot be moved" in each for each in restorer(root).examine(saved).problems)
        one = restorer(root)
        one.stage(saved)
        with pytest.raises(RestoreRefused, match="uploads cannot be exchanged"):
            one.swap()
        assert texts(root) == {"config/a": "live", "uploads/a": "live"}
        assert one.position() is Position.STAGED
    finally:
        (root / "uploads").chmod(0o755)
    one.swap()
    assert texts(root) == {"config/a": "saved", "uploads/a": "saved"}


def test_a_symlink_in_the_way_of_a_part_is_not_followed(live: Path, saved: Any, tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", "a.wav", text="untouched")
    (live / "uploads/2026/a.wav").unlink()
    (live / "uploads/2026").rmdir()
    (live / "uploads/2026").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RestoreRefused, match=r"uploads/2026 is a symlink now and a folder in the set"):
        restorer(live, "uploads/2026/*").stage(saved)
    assert texts(tmp_path / "elsewhere") == {"a.wav": "untouched"}
    assert [path.name for path in live.iterdir() if path.name.startswith(".nightscan")] == []


def test_a_damaged_archive_leaves_everything_as_it_was(live: Path, saved: Any, facts_of: FactsOf) -> None:
    before = texts(live)
    name = next(name for name, data in saved.contents.items() if b"saved" in data)
    saved.contents[name] = saved.contents[name].replace(b"saved", b"other")
    with pytest.raises(DigestMismatch, match=r"has sha256 .*, expected"):
        restorer(live).stage(saved)
    assert texts(live) == before
    assert restorer(live).position() is Position.ABSENT


def test_an_archive_that_the_store_has_lost_is_named(live: Path, saved: Any) -> None:
    lost = type(saved)(saved.report, saved.artifacts, saved.contents, frozenset({"user_data.01.tar.gz.gpg"}))
    with pytest.raises(RestoreRefused, match=r"user_data\.01\.tar\.gz\.gpg is missing"):
        restorer(live).stage(lost)
    assert [path.name for path in live.iterdir() if path.name.startswith(".nightscan")] == []


def test_files_that_are_not_what_the_manifest_says_are_refused(live: Path, saved: Any) -> None:
    report = type(saved.report)({**saved.report.fingerprint, "digest": "0" * 64})
    other = type(saved)(report, saved.artifacts, saved.contents)
    with pytest.raises(RestoreRefused, match=r"does not come out as it was saved: expected 4 files"):
        restorer(live).stage(other)
    assert restorer(live).position() is Position.ABSENT


def test_the_settings_say_where_and_what_is_spared(tmp_path: Path) -> None:
    (tmp_path / "big/recordings").mkdir(parents=True)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/uploads").symlink_to(tmp_path / "big/recordings")
    settings = load({"NIGHTSCAN_ROOT": str(tmp_path / "src"), "NIGHTSCAN_ETC": str(tmp_path / "etc"),
                     "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "src/backups"),
                     "NIGHTSCAN_OFFSITE": str(tmp_path / "big/recordings/nas")})
    assert layout_of(settings, "user_data") == Layout(
        folders=(b"uploads", b"models", b"config", b"logs"), spared=(b"backups", b"uploads/nas"))
    assert layout_of(settings, "source_code").spared[:4] == (b"uploads", b"models", b"config", b"logs")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/crontab").write_text("live")
    assert files_restorer(settings, "system_config", "run").position() is Position.ABSENT


def test_a_store_inside_user_data_stays_where_it_is(live: Path, saved: Any) -> None:
    put(live, "uploads/nas/daily/set", text="a backup")
    one = FilesRestorer("user_data", live, "run", clock=lambda: NOW,
                        layout=Layout(folders=LAYOUT.folders, spared=(b"uploads/nas",)))
    one.stage(saved)
    one.swap()
    assert texts(live) == {"config/app.ini": "saved", "models/a.pt": "saved", "uploads/2026/a.wav": "saved",
                           "uploads/b.wav": "saved", "uploads/nas/daily/set": "a backup"}


def test_an_ordinary_user_is_told_whose_the_files_will_be(ordinary_user: Path, save_set: SaveSet) -> None:
    saved = saved_from(put(ordinary_user / "old", "uploads/a", text="saved"), save_set)
    for name, data in saved.contents.items():
        if ".index." in name:
            saved.contents[name] = data.replace(f'"uid": {os.geteuid()}'.encode(), b'"uid": 12345')
    notes = restorer(ordinary_user / "live").examine(saved).notes
    assert notes == ("files of other users will belong to this user: only root can give them back",)
