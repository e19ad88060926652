"""Much user data is unpacked by processes of their own, with the same checks, and the same errors."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks import backup
from nightscan_tasks.apart import Apart
from nightscan_tasks.audit import Action
from nightscan_tasks.backup import Request
from nightscan_tasks.codec import end_agent
from nightscan_tasks.components import files_task, files_unpacking
from nightscan_tasks.components.files import fingerprint_tree
from nightscan_tasks.errors import DigestMismatch, ProcessKilled
from nightscan_tasks.model import FOREVER, Plan, Tier
from nightscan_tasks.process import run
from nightscan_tasks.restore import restore
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.workflows.restore import wanted
from tests.apart import Counted, others

USER_DATA = Plan(Tier.MANUAL, ("user_data",), FOREVER)


@pytest.fixture(autouse=True)
def little_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_task, "_MANY_FILES", 3)
    monkeypatch.setattr(files_unpacking, "_LITTLE_BYTES", 0)


@pytest.fixture
def system(site: Any) -> System:
    """One that another process can have, and a set of it."""
    made = System(load({**site.environ, "NIGHTSCAN_OFFSITE": ""}))
    for number in range(60):
        path = site.root / "uploads" / f"{number % 7}" / f"{number}.wav"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"%d " % number * 500)
    (site.root / "uploads" / "name").symlink_to("a.wav")
    (site.root / "uploads" / "1").chmod(0o750)
    assert backup.run_local(made, Request(USER_DATA)).stores == ("primary",)
    return made


def same(live: Path, unpacked: Path) -> None:
    for folder in ("uploads", "models", "config"):
        assert fingerprint_tree(unpacked / folder) == fingerprint_tree(live / folder)


def restored(system: System, folder: Path, **more: Any) -> Any:
    return restore(system, wanted("user_data", target_root=str(folder), **more))


def artifact(site: Any, name: str) -> Path:
    (path,) = site.primary.glob(f"manual/*/{name}")
    assert isinstance(path, Path)
    return path


def test_archives_are_unpacked_by_a_process_each(
        system: System, site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    restored(system, tmp_path / "there")
    assert counted.begun == 2
    assert not others()
    same(site.root, tmp_path / "there" / "user_data")


@pytest.mark.parametrize("reason", ["few files", "one job", "little in each"])
def test_none_is_begun_without_a_reason(system: System, site: Any, tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    counted = Counted(monkeypatch)
    if reason == "few files":
        monkeypatch.setattr(files_task, "_MANY_FILES", 1000)
    elif reason == "little in each":
        monkeypatch.setattr(files_unpacking, "_LITTLE_BYTES", 1 << 20)
    else:
        system = System(load({**site.environ, "NIGHTSCAN_OFFSITE": "", "NIGHTSCAN_JOBS": "1"}))
    restored(system, tmp_path / "there")
    assert counted.begun == 0
    same(site.root, tmp_path / "there" / "user_data")


def test_a_part_of_it_too(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    restored(system, tmp_path / "there", paths=("uploads/3/*",))
    assert counted.begun == 2
    found = [path for path in (tmp_path / "there" / "user_data").rglob("*") if path.is_file()]
    assert {path.parent.name for path in found} == {"3"}
    assert len(found) == 9


@pytest.mark.parametrize("little_bytes", [0, 1 << 20])
def test_damage_is_found_there_and_told_here(system: System, site: Any, tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch, little_bytes: int) -> None:
    monkeypatch.setattr(files_unpacking, "_LITTLE_BYTES", little_bytes)
    path = artifact(site, "user_data.01.tar.gz")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DigestMismatch, match=r"user_data\.01\.tar\.gz is damaged"):
        restored(system, tmp_path / "there")
    assert not list((tmp_path / "there").glob("*"))
    assert not others()


def test_one_that_is_killed_fails_the_restore_and_leaves_nothing(
        system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = Apart.result

    def killing(apart: Any, told: Any = None) -> Any:
        os.kill(apart.pid, signal.SIGKILL)
        return result(apart, told)

    monkeypatch.setattr(Apart, "result", killing)
    with pytest.raises(ProcessKilled, match="SIGKILL"):
        restored(system, tmp_path / "there")
    assert not list((tmp_path / "there").glob("*"))


def test_that_the_key_is_used_is_on_record_once_for_all_of_them(
        site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="g") as home:  # the agent's socket has to fit into 107 bytes
        run(["gpg", "--homedir", home, "--batch", "--quiet", "--passphrase", "", "--quick-gen-key",
             "night@example.org", "future-default", "default", "never"])
        site.environ |= {"NIGHTSCAN_OFFSITE": "", "NIGHTSCAN_GPG_HOME": home,
                         "NIGHTSCAN_GPG_RECIPIENT": "night@example.org"}
        try:
            system = System(load(site.environ))
            backup.run_local(system, Request(USER_DATA))
            counted = Counted(monkeypatch)
            restored(system, tmp_path / "there")
        finally:
            end_agent(Path(home))
    assert counted.begun == 2
    used = [each for each in system.audit.records().records if each.action == Action.KEY_USE]
    assert len(used) == 1
    same(site.root, tmp_path / "there" / "user_data")
