"""Files put back: staged, exchanged, taken back, let go."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components.files_places import Layout
from nightscan_tasks.components.files_restorer import FilesRestorer
from nightscan_tasks.components.files_unpacking import unpack_into
from nightscan_tasks.components.restorer import Position
from nightscan_tasks.components.source_code import SourceCode
from nightscan_tasks.components.system_config import SystemConfig
from nightscan_tasks.components.user_data import UserData
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.settings import load

SaveSet = Callable[..., Any]  # these two are described in conftest.py
FactsOf = Callable[[Path], dict[bytes, tuple[object, ...]]]

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
USER_DATA = Layout(folders=(b"uploads", b"models", b"config", b"logs"))
RUN = "restore-20261123T020000Z"


def restorer(root: Path, component: str = "user_data", **more: Any) -> FilesRestorer:
    more.setdefault("layout", USER_DATA if component == "user_data" else Layout())
    return FilesRestorer(component, root, more.pop("run_id", RUN), clock=lambda: NOW, **more)


def user_data(root: Path, **more: str) -> UserData:
    return UserData(load({"NIGHTSCAN_ROOT": str(root), "NIGHTSCAN_LOGS_DAYS": "100000", **more}),
                    lambda: NOW)


def hidden(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.name.startswith(".nightscan"))


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """Another state than that of the set, in a root of its own."""
    root = tmp_path / "live"
    for name in ("uploads/2026/new.wav", "models/a.pt", "logs/today.log", "app.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"live {name}")
    return root


def test_user_data_takes_the_place_of_what_is_live_which_is_kept(
        rich_tree: Path, live: Path, save_set: SaveSet, facts_of: FactsOf) -> None:
    before, saved = facts_of(live), save_set(user_data(rich_tree))
    one = restorer(live)
    assert one.position() is Position.ABSENT
    staged = one.stage(saved)
    assert staged.fingerprint == saved.report.fingerprint
    assert one.position() is Position.STAGED
    assert {path: fact for path, fact in facts_of(live).items() if not path.startswith(b".")} == before
    swapped = restorer(live).swap()
    assert one.position() is Position.SWAPPED
    kept = live / ".nightscan_before_20261123T020000Z_user_data"
    assert swapped.before == str(kept)
    assert (kept / "uploads/2026/new.wav").read_text() == "live uploads/2026/new.wav"
    after = facts_of(live)
    for path, fact in facts_of(rich_tree).items():
        assert after[path] == fact
    assert (live / "app.py").read_text() == "live app.py"
    assert restorer(live).swap() == swapped
    assert restorer(live).accept() == (str(kept),)
    assert hidden(live) == []
    assert restorer(live).position() is Position.ABSENT


def test_undo_brings_the_old_state_back_and_keeps_the_restored_one(
        rich_tree: Path, live: Path, save_set: SaveSet, facts_of: FactsOf) -> None:
    before = facts_of(live)
    one = restorer(live)
    one.stage(save_set(user_data(rich_tree)))
    one.swap()
    one.undo()
    one.undo()
    assert one.position() is Position.UNDONE
    kept = live / ".nightscan_undone_20261123T020000Z_user_data"
    assert (kept / "models/b.pt").exists()
    with pytest.raises(RestoreRefused, match="begin another restore"):
        one.swap()
    assert one.accept() == (str(kept),)
    assert facts_of(live) == before


def test_a_root_that_is_missing_is_made(rich_tree: Path, tmp_path: Path, save_set: SaveSet,
                                        facts_of: FactsOf) -> None:
    root = tmp_path / "none/nightscan"
    saved = save_set(user_data(rich_tree))
    assert restorer(root).examine(saved).problems == ()
    assert not root.exists()
    restorer(root).stage(saved)
    assert restorer(root).swap().before is None
    assert {path: fact for path, fact in facts_of(root).items()
            if not path.startswith(b".")} == facts_of(rich_tree)
    restorer(root).undo()
    assert all(path.name.startswith(".nightscan") for path in root.iterdir())
    restorer(root).accept()
    assert list(root.iterdir()) == []


def test_system_config_is_exchanged_file_by_file(
        tmp_path: Path, save_set: SaveSet, facts_of: FactsOf) -> None:
    old, etc = tmp_path / "old/etc", tmp_path / "new/etc"
    for root, text in ((old, "saved"), (etc, "live")):
        (root / "nginx/sites-available").mkdir(parents=True)
        (root / "nginx/sites-available/nightscan").write_text(text)
    (old / "systemd/system").mkdir(parents=True)
    (old / "systemd/system/nightscan-web.service").write_text("saved")
    (old / "systemd").chmod(0o711)
    (etc / "nginx/nginx.conf").write_text("live")
    before = facts_of(etc)
    one = restorer(etc, "system_config")
    one.stage(save_set(SystemConfig(load({"NIGHTSCAN_ETC": str(old)}))))
    one.swap()
    assert (etc / "nginx/sites-available/nightscan").read_text() == "saved"
    assert (etc / "nginx/nginx.conf").read_text() == "live"
    assert (etc / "systemd").stat().st_mode & 0o777 == 0o711
    kept = etc / ".nightscan_before_20261123T020000Z_system_config/etc/nginx/sites-available/nightscan"
    assert kept.read_text() == "live"
    one.undo()
    one.accept()
    assert {path: fact[4] for path, fact in facts_of(etc).items()} == {
        path: fact[4] for path, fact in before.items()}


def test_source_code_leaves_other_components_and_stores_alone(tmp_path: Path, save_set: SaveSet) -> None:
    old, root = tmp_path / "old", tmp_path / "live"
    for name in ("app.py", "web/index.html", "config/app.ini", "var/code.py"):
        (old / name).parent.mkdir(parents=True, exist_ok=True)
        (old / name).write_text("saved")
    for name in ("app.py", "web/node_modules/x.js", "config/app.ini", "uploads/a.wav", "var/backups/set",
                 "var/extra.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("live")
    one = restorer(root, "source_code", layout=Layout(
        spared=(b"uploads", b"models", b"config", b"logs", b"var/backups")))
    staged = one.stage(save_set(SourceCode(load({"NIGHTSCAN_ROOT": str(old)}))))
    one = restorer(root, "source_code")  # another process, that knows no more than this
    assert any(note.startswith("config is in the set, and is left alone") for note in staged.notes)
    assert any(note.startswith("2 names that are live are not in the set") for note in staged.notes)
    one.swap()
    texts = {str(path.relative_to(root)): path.read_text() for path in root.rglob("*")
             if path.is_file() and ".nightscan" not in str(path)}
    assert texts == {"app.py": "saved", "web/index.html": "saved", "config/app.ini": "live",
                     "uploads/a.wav": "live", "var/code.py": "saved", "var/backups/set": "live"}
    one.undo()
    one.accept()
    assert (root / "web/node_modules/x.js").read_text() == "live"
    assert (root / "var/extra.py").read_text() == "live"
    assert not (root / "var/code.py").exists()
    assert hidden(root) == []


def test_a_part_is_exchanged_and_all_else_stays(rich_tree: Path, live: Path, save_set: SaveSet) -> None:
    saved = save_set(user_data(rich_tree))
    restorer(live, paths=("uploads/2026/*", "uploads/c.pt", "models/a.pt")).stage(saved)
    one = restorer(live)
    one.swap()
    assert (live / "uploads/2026/11/call.wav").read_bytes() == (
        rich_tree / "uploads/2026/11/call.wav").read_bytes()
    assert (live / "uploads/2026/11").stat().st_mtime_ns == (rich_tree / "uploads/2026/11").stat().st_mtime_ns
    assert (live / "uploads/2026/new.wav").read_text() == "live uploads/2026/new.wav"
    assert (live / "models/a.pt").read_bytes() == (rich_tree / "models/a.pt").read_bytes()
    assert (live / "logs/today.log").exists()
    assert not (live / "config").exists()
    one.undo()
    assert (live / "models/a.pt").read_text() == "live models/a.pt"
    assert not (live / "uploads/2026/11").exists()


def test_a_pattern_that_matches_nothing_is_refused_with_the_nearest_names(
        rich_tree: Path, live: Path, save_set: SaveSet) -> None:
    saved = save_set(user_data(rich_tree))
    one = restorer(live, paths=("models/c.pt",))
    for step in (one.examine, one.stage):
        with pytest.raises(RestoreRefused, match=r"models/c.pt matches nothing .*near it: models/[ab].pt"):
            step(saved)
    assert hidden(live) == []


def test_a_folder_that_is_a_symlink_is_exchanged_where_it_really_is(
        rich_tree: Path, live: Path, tmp_path: Path, save_set: SaveSet, facts_of: FactsOf) -> None:
    big = tmp_path / "big"
    big.mkdir()
    (live / "uploads").rename(big / "recordings")
    (live / "uploads").symlink_to(big / "recordings")
    one = restorer(live)
    one.stage(save_set(user_data(rich_tree)))
    assert (big / f".nightscan_staged_{RUN}_user_data/uploads/2026/11/call.wav").exists()
    swapped = one.swap()
    assert (live / "uploads").is_symlink()
    assert (big / "recordings/2026/11/call.wav").exists()
    kept = big / ".nightscan_before_20261123T020000Z_user_data"
    assert str(kept) in str(swapped.before)
    assert (kept / "uploads/2026/new.wav").read_text() == "live uploads/2026/new.wav"
    one.undo()
    assert (live / "uploads/2026/new.wav").exists()
    one.accept()
    assert hidden(big) == hidden(live) == []


@pytest.mark.parametrize("name", ["user_data.00.tar.gz.gpg", "user_data.01.index.jsonl.gz.gpg"])
def test_a_missing_archive_is_named(rich_tree: Path, live: Path, save_set: SaveSet, name: str) -> None:
    with pytest.raises(RestoreRefused, match=r"lacks user_data\.0[01] of user_data"):
        restorer(live).stage(save_set(user_data(rich_tree)).without(name))
    assert hidden(live) == []


def test_what_was_staged_is_discarded(rich_tree: Path, live: Path, save_set: SaveSet,
                                      facts_of: FactsOf) -> None:
    before = facts_of(live)
    one = restorer(live)
    one.stage(save_set(user_data(rich_tree)))
    one.discard()
    assert facts_of(live) == before
    assert one.position() is Position.ABSENT
    with pytest.raises(RestoreRefused, match=r"nothing of .* is ready"):
        one.swap()


def test_a_further_name_of_a_file_is_restored_without_the_first(
        rich_tree: Path, live: Path, save_set: SaveSet) -> None:
    content = (rich_tree / "models/a.pt").read_bytes()
    one = restorer(live, paths=("models/*.pt",))  # in the archive both are links to uploads/c.pt
    staged = one.stage(save_set(user_data(rich_tree)))
    assert staged.notes == ()
    one.swap()
    assert (live / "models/a.pt").read_bytes() == content
    assert (live / "models/a.pt").stat().st_ino == (live / "models/b.pt").stat().st_ino
    assert not (live / "uploads/c.pt").exists()


@pytest.mark.parametrize("paths", [(), ("config/*",)])
def test_unpacking_into_another_folder(rich_tree: Path, tmp_path: Path, save_set: SaveSet, facts_of: FactsOf,
                                       paths: tuple[str, ...]) -> None:
    saved, target = save_set(user_data(rich_tree)), tmp_path / "there/user_data"
    unpack_into(target, saved, "user_data", RUN, paths=paths)
    expected = {path: fact for path, fact in facts_of(rich_tree).items()
                if not paths or path.startswith(b"config")}
    assert facts_of(target) == expected
    assert [path.name for path in target.parent.iterdir()] == ["user_data"]
    with pytest.raises(RestoreRefused, match="exists: choose another --target-root"):
        unpack_into(target, saved, "user_data", RUN)
