"""User data, system configuration and source code: what each takes, and what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components.base import Shared
from nightscan_tasks.components.checkout import describe
from nightscan_tasks.components.files import fingerprint_tree
from nightscan_tasks.components.source_code import SourceCode
from nightscan_tasks.components.system_config import SystemConfig
from nightscan_tasks.components.treeprint import combine
from nightscan_tasks.components.user_data import UserData
from nightscan_tasks.errors import DumpIncomplete, SettingsError, SourceUnavailable
from nightscan_tasks.settings import Settings, load

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
Make = Callable[..., Settings]
Save = Callable[..., Any]  # described in conftest.py, as is
GnuTar = Callable[..., bytes]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Settings for folders of this test."""
    def build(**values: Any) -> Settings:
        return load({"NIGHTSCAN_ROOT": str(tmp_path / "src"), "NIGHTSCAN_ETC": str(tmp_path / "etc"),
                     "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "src/backups"),
                     **{f"NIGHTSCAN_{name.upper()}": str(value) for name, value in values.items()}})
    return build


def user_data(settings: Settings) -> UserData:
    return UserData(settings, lambda: NOW)


def put(path: Path, content: str = "x", age: timedelta = timedelta()) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    time = (NOW - age).timestamp()
    os.utime(path, (time, time))


def test_user_data_has_a_part_for_each_archive(make: Make) -> None:
    component = user_data(make(user_data_archives=3))
    assert component.parts() == ("user_data.00", "user_data.01", "user_data.02")


def test_user_data_takes_its_folders_without_what_is_excluded(
        tmp_path: Path, make: Make, save: Save) -> None:
    for name in ("uploads/a.wav", "uploads/b.tmp", "uploads/cache/c.wav", "uploads/x/cache/d",
                 "models/m.pt", "config/app.ini", "config/cache", "secret/e", "app.py",
                 "logs/old.log.gz"):
        put(tmp_path / "src" / name)
    saved = save(user_data(make(user_data_archives=1)))
    assert saved.names == [b"uploads", b"uploads/a.wav", b"uploads/x", b"models", b"models/m.pt",
                           b"config", b"config/app.ini", b"config/cache", b"logs"]


def test_user_data_takes_logs_of_the_last_days_only(tmp_path: Path, make: Make, save: Save) -> None:
    put(tmp_path / "src/logs/today.log")
    put(tmp_path / "src/logs/week.log", age=timedelta(days=7))
    put(tmp_path / "src/logs/older.log", age=timedelta(days=7, seconds=1))
    put(tmp_path / "src/uploads/old.wav", age=timedelta(days=700))
    saved = save(user_data(make(user_data_archives=1)))
    assert {name for name in saved.names if b"." in name} == {
        b"uploads/old.wav", b"logs/today.log", b"logs/week.log"}


def test_a_missing_folder_is_noted(tmp_path: Path, make: Make, save: Save) -> None:
    put(tmp_path / "src/uploads/a.wav")
    saved = save(user_data(make(user_data_archives=1)))
    assert saved.report.notes == tuple(
        f"{name} is missing: nothing of it was saved" for name in ("models", "config", "logs"))


def test_no_files_at_all_is_a_good_backup(tmp_path: Path, make: Make, save: Save) -> None:
    (tmp_path / "src").mkdir()
    component = user_data(make())
    reports = [save(component, part).report for part in component.parts()]
    assert combine(report.fingerprint for report in reports)["files"] == 0


@pytest.mark.parametrize("kind", [UserData, SystemConfig, SourceCode])
def test_a_missing_root_is_a_source_that_is_not_there(
        make: Make, shared: Shared, kind: Any) -> None:
    settings = make()
    component = kind(settings, lambda: NOW) if kind is UserData else kind(settings)
    with (pytest.raises(SourceUnavailable, match="is not there") as caught,
          component.open(component.parts()[0], shared)):
        pass
    assert component.root_setting in str(caught.value)
    assert component.predicted_bytes(component.parts()[0]) == 0


def test_a_folder_that_is_a_symlink_is_taken_for_what_it_points_to(
        tmp_path: Path, make: Make, save: Save) -> None:
    put(tmp_path / "disk/a.wav")
    (tmp_path / "disk/inner").symlink_to("/etc")
    (tmp_path / "src").mkdir()
    (tmp_path / "src/uploads").symlink_to(tmp_path / "disk")
    saved = save(user_data(make(user_data_archives=1)))
    assert [(line.entry.path, str(line.entry.kind)) for line in saved.lines] == [
        (b"uploads", "directory"), (b"uploads/a.wav", "file"), (b"uploads/inner", "symlink")]


def test_user_data_below_other_folders_keeps_them(tmp_path: Path, make: Make, save: Save) -> None:
    put(tmp_path / "src/data/uploads/a")
    put(tmp_path / "src/data/models/b")
    put(tmp_path / "src/data/other/c")
    saved = save(user_data(make(user_data="data/uploads,data/models", user_data_archives=1)))
    assert saved.names == [b"data", b"data/uploads", b"data/uploads/a", b"data/models",
                           b"data/models/b"]


def test_the_archives_together_are_the_tree_that_is_restored(
        rich_tree: Path, make: Make, save: Save, gnu_tar: GnuTar, tmp_path: Path) -> None:
    component = user_data(make(logs_days=100_000))
    (tmp_path / "out").mkdir()
    prints = []
    for part in component.parts():
        saved = save(component, part)
        gnu_tar(saved.tar, "-x", "-p", "-C", str(tmp_path / "out"))
        prints.append(saved.report.fingerprint)
    assert combine(prints) == fingerprint_tree(tmp_path / "out") == component.fingerprint()


def test_the_prediction_is_near_what_is_read(rich_tree: Path, make: Make, save: Save) -> None:
    component = user_data(make())
    for part in component.parts():
        saved = save(component, part)
        content = sum(line.entry.content_bytes for line in saved.lines
                      if line.entry.kind == "file")
        assert content <= component.predicted_bytes(part) <= content + 20_000


def test_files_that_cannot_be_read_fail_user_data_after_the_rest_was_saved(
        ordinary_user: Path, save: Save) -> None:
    put(ordinary_user / "uploads/a.wav")
    put(ordinary_user / "uploads/b.wav")
    (ordinary_user / "uploads/a.wav").chmod(0)
    settings = load({"NIGHTSCAN_ROOT": str(ordinary_user), "NIGHTSCAN_USER_DATA_ARCHIVES": "1"})
    saved = save(user_data(settings))
    assert b"uploads/b.wav" in saved.names
    with pytest.raises(DumpIncomplete, match=r"uploads/a\.wav: Permission denied"):
        saved.dump.report()


def test_system_config_takes_patterns_and_folders_and_notes_what_matches_nothing(
        tmp_path: Path, make: Make, save: Save) -> None:
    for name in ("nginx/sites-available/nightscan", "nginx/sites-available/other",
                 "systemd/system/nightscan-web.service", "systemd/system/nightscan-api.service.d/a.conf",
                 "systemd/system/other.service", "crontab"):
        put(tmp_path / "etc" / name)
    saved = save(SystemConfig(make()))
    assert saved.names == [
        b"etc", b"etc/nginx", b"etc/nginx/sites-available", b"etc/nginx/sites-available/nightscan",
        b"etc/systemd", b"etc/systemd/system", b"etc/systemd/system/nightscan-api.service.d",
        b"etc/systemd/system/nightscan-api.service.d/a.conf",
        b"etc/systemd/system/nightscan-web.service", b"etc/crontab"]
    etc = tmp_path / "etc"
    assert saved.report.notes == (f"the pattern ssl/certs/nightscan* matches nothing in {etc}",
                                  f"the pattern logrotate.d/nightscan matches nothing in {etc}")


def test_system_config_keeps_symlinks_and_notes_those_that_point_out(
        tmp_path: Path, make: Make, save: Save) -> None:
    put(tmp_path / "secret.pem", "secret")
    put(tmp_path / "etc/real.conf")
    (tmp_path / "etc/inside").symlink_to("real.conf")
    (tmp_path / "etc/outside.pem").symlink_to("../secret.pem")
    saved = save(SystemConfig(make(system_config="inside,outside*")))
    assert [line.entry.target for line in saved.lines] == [b"", b"real.conf", b"../secret.pem"]
    assert b"secret\0" not in saved.tar
    assert saved.report.notes == (
        f"etc/outside.pem points to {tmp_path}/secret.pem, which is not saved with it",)


def test_what_two_patterns_match_is_saved_once(tmp_path: Path, make: Make, save: Save) -> None:
    put(tmp_path / "etc/cron/a")
    saved = save(SystemConfig(make(system_config="cron,cron/a,c*")))
    assert saved.names == [b"etc", b"etc/cron", b"etc/cron/a"]


@pytest.mark.parametrize("pattern", ["/etc/shadow", "../secret", "a/../../secret"])
def test_a_pattern_that_leaves_etc_is_refused(
        tmp_path: Path, make: Make, save: Save, pattern: str) -> None:
    (tmp_path / "etc").mkdir()
    with pytest.raises(SettingsError, match="NIGHTSCAN_SYSTEM_CONFIG"):
        save(SystemConfig(make(system_config=pattern)))


def test_a_restored_system_config_has_the_fingerprint_that_was_saved(
        tmp_path: Path, make: Make, save: Save, gnu_tar: GnuTar) -> None:
    put(tmp_path / "etc/nginx/sites-available/nightscan")
    saved = save(SystemConfig(make()))
    (tmp_path / "out").mkdir()
    gnu_tar(saved.tar, "-x", "-p", "-C", str(tmp_path / "out"))
    assert fingerprint_tree(tmp_path / "out") == saved.report.fingerprint


def test_source_code_is_everything_but_what_is_excluded(
        tmp_path: Path, make: Make, save: Save) -> None:
    for name in ("app/main.py", "app/__pycache__/main.pyc", "app/logs/keep.py", "logs/a.log",
                 "uploads/a.wav", "models/m.pt", "config/app.ini", "web/node_modules/x/y.js",
                 ".pytest_cache/v", "backups/daily/set", "app/models/user.py"):
        put(tmp_path / "src" / name)
    saved = save(SourceCode(make()))
    assert [line.entry.path for line in saved.lines if line.entry.kind == "file"] == [
        b"app/logs/keep.py", b"app/main.py", b"app/models/user.py", b"config/app.ini"]


def test_source_code_leaves_out_stores_wherever_they_are(
        tmp_path: Path, make: Make, save: Save) -> None:
    for name in ("app.py", "var/store/daily/set", "var/nas/daily/set"):
        put(tmp_path / "src" / name)
    (tmp_path / "alias").symlink_to(tmp_path / "src/var/store")
    settings = make(backup_dir=tmp_path / "alias", offsite=tmp_path / "src/var/nas")
    assert save(SourceCode(settings)).names == [b"app.py", b"var"]


def test_what_restores_keep_beside_the_files_is_not_saved(tmp_path: Path, make: Make, save: Save) -> None:
    hidden = (".nightscan_staged_run_user_data/uploads/a", ".nightscan_before_20261123T020000Z_user_data/a",
              ".nightscan_journal_run_user_data/journal.json", ".nightscan_quarantine/a")
    for name in hidden:
        put(tmp_path / "src" / name)
        put(tmp_path / "src/uploads" / name)  # where uploads is a mount point
        put(tmp_path / "etc/nginx" / name)
    put(tmp_path / "etc/nginx/nightscan")
    assert save(SourceCode(make())).names == []
    assert save(user_data(make(user_data_archives=1))).names == [b"uploads"]
    for pattern in ("nginx", "*"):
        assert save(SystemConfig(make(system_config=pattern))).names == [
            b"etc", b"etc/nginx", b"etc/nginx/nightscan"]


def git(folder: Path, *words: str) -> str:
    return subprocess.run([shutil.which("git") or "git", "-C", str(folder),
                           "-c", "user.name=n", "-c", "user.email=n@x",
                           "-c", "init.defaultBranch=main", *words],
                          check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    if not shutil.which("git"):
        pytest.skip("no git here")
    put(tmp_path / "src/app.py")
    git(tmp_path / "src", "init")
    git(tmp_path / "src", "add", "app.py")
    git(tmp_path / "src", "commit", "-m", "first")
    return tmp_path / "src"


def test_the_commit_and_what_differs_from_it_are_recorded(
        checkout: Path, make: Make, save: Save) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    assert save(SourceCode(make())).report.facts == {
        "git": {"commit": commit, "branch": "main", "dirty": False}}
    put(checkout / "app.py", "changed")
    assert describe(checkout) == {"commit": commit, "branch": "main", "dirty": True}
    git(checkout, "checkout", "--detach")
    assert describe(checkout) == {"commit": commit, "branch": None, "dirty": True}


def test_asking_for_the_commit_changes_and_runs_nothing(checkout: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    for hook in ("post-index-change", "reference-transaction"):
        put(checkout / ".git/hooks" / hook, f"#!/bin/sh\ntouch {ran}\n")
        (checkout / ".git/hooks" / hook).chmod(0o755)
    git(checkout, "config", "core.fsmonitor", f"touch {ran}")
    put(checkout / "app.py")
    before = fingerprint_tree(checkout)
    describe(checkout)
    git(checkout, "config", "filter.x.clean", f"touch {ran}")
    put(checkout / ".gitattributes", "* filter=x\n")
    assert describe(checkout)["dirty"] is None  # type: ignore[index,call-overload]
    assert not ran.exists()
    (checkout / ".gitattributes").unlink()
    git(checkout, "config", "--remove-section", "filter.x")
    assert fingerprint_tree(checkout)["files"] == before["files"]


def test_without_git_its_files_say_which_commit_it_is(
        checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert describe(checkout) == {"commit": commit, "branch": "main", "dirty": None}


def test_without_git_packed_refs_are_read_too(
        checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    git(checkout, "pack-refs", "--all")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert describe(checkout) == {"commit": commit, "branch": "main", "dirty": None}


def test_no_checkout_and_a_damaged_one_are_facts(tmp_path: Path, make: Make, save: Save) -> None:
    put(tmp_path / "src/app.py")
    assert save(SourceCode(make())).report.facts == {"git": None}
    (tmp_path / "src/.git").mkdir()
    assert describe(tmp_path / "src") == {"commit": None, "branch": None, "dirty": None}
