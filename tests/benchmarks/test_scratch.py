from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scratch import Need, NoRoom, bytes_below, check, filesystem, put_away, scratch

LITTLE = Need(1, 1)


def test_the_folder_is_gone_afterwards_also_when_the_contest_fails(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), scratch(tmp_path, LITTLE) as folder:
        folder.write_bytes(b"x")
    assert not list(tmp_path.iterdir())


def test_a_folder_to_keep_is_kept(tmp_path: Path) -> None:
    with scratch(tmp_path, LITTLE, keep=tmp_path / "kept") as folder:
        (folder / "large").write_bytes(b"x")
    assert (tmp_path / "kept/large").exists()


def test_a_folder_that_holds_something_is_not_worked_in(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("do not touch")
    with pytest.raises(NoRoom, match="is not empty"), scratch(tmp_path, LITTLE, keep=tmp_path):
        pass
    assert (tmp_path / "mine").read_text() == "do not touch"


def test_too_little_room_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(NoRoom, match=r"has .* free, and 1000\.0 TB are needed.*--scratch"), \
            scratch(tmp_path, Need(10 ** 15, 1)):
        pass
    with pytest.raises(NoRoom, match=r"has room for [\d,]+ files, and 1,000,000,000,000 are needed"):
        check(tmp_path, Need(1, 10 ** 12))
    assert not list(tmp_path.iterdir())


def test_memory_is_no_disk() -> None:
    memory = Path("/dev/shm")  # noqa: S108 - it is asked what it is, and nothing is written
    if not memory.exists() or filesystem(memory) != "tmpfs":
        pytest.skip("there is no tmpfs at /dev/shm to be refused")
    with pytest.raises(NoRoom, match=r"in memory \(tmpfs\)"):
        check(memory, LITTLE)


def test_what_is_put_away_leaves_its_files_and_none_of_their_bytes(tmp_path: Path) -> None:
    for _ in range(2):
        folder = tmp_path / "restored"
        (folder / "below").mkdir(parents=True)
        (folder / "below" / "a.wav").write_bytes(b"x" * 1000)
        (folder / "name").symlink_to("below/a.wav")
        (folder / "nowhere").symlink_to("gone")
        put_away(folder)
        assert not folder.exists()
    put_away(folder)
    away = tmp_path / "restored.away"
    assert sorted(path.name for path in away.iterdir()) == ["0", "1"]
    assert [path.stat().st_size for path in away.rglob("a.wav")] == [0, 0]
    assert bytes_below(away) == 2 * len("below/a.wav" + "gone")
