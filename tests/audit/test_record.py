"""What is recorded, and where it is while the primary store is down."""

import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nightscan_tasks.audit import Action, Audit, Doing, LocalCopy
from nightscan_tasks.errors import StoreRefused
from nightscan_tasks.settings import load
from nightscan_tasks.stores.directory import DirectoryStore
from nightscan_tasks.system import System

Child = Callable[..., "subprocess.Popen[str]"]

_RECORDS = """
import sys
from nightscan_tasks.audit import Action
from nightscan_tasks.system import System

audit = System.from_env().audit
for number in range(int(sys.argv[2])):
    audit.record(Action.DELETE, f"{sys.argv[1]}-{number}")
"""
_KILLED = """
import os, signal, sys
from nightscan_tasks.audit import Action
from nightscan_tasks.stores.directory import DirectoryStore
from nightscan_tasks.system import System

put = DirectoryStore.put
def killed(self, key, chunks, **more):
    stored = put(self, key, chunks, **more)
    if key.endswith(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return stored
DirectoryStore.put = killed
System.from_env().audit.record(Action.DELETE, "killed")
"""


def _subjects(system: System) -> list[str]:
    listed = system.audit.records()
    assert not listed.problems
    return [each.subject for each in listed.records]


def test_a_record_tells_who_did_what_when_and_from_where(system: System,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.1 22")
    before = datetime.now(UTC)
    system.audit.record(Action.HOLD, "daily/20261123T020000Z", why="evidence")
    found, = system.audit.records().records
    assert (found.action, found.subject, found.facts) == (
        "hold", "daily/20261123T020000Z", {"why": "evidence"})
    assert before <= found.recorded_at <= datetime.now(UTC)
    assert (found.actor.uid, found.actor.pid, found.actor.host) == (os.geteuid(), os.getpid(), system.host)
    assert (found.actor.sudo_user, found.actor.address) == ("alice", "192.0.2.7")


def test_processes_that_record_at_once_lose_nothing_and_keep_the_chain(system: System, small: dict[str, str],
                                                                       child: Child) -> None:
    at_once = [child(_RECORDS, small, name, "15") for name in "abc"]
    for process in at_once:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    assert sorted(_subjects(system)) == sorted(f"{name}-{number}" for name in "abc" for number in range(15))
    checked = system.audit.check()
    assert (checked.problems, checked.hosts, checked.compared) == ((), {system.host: 45}, 45)


@pytest.mark.parametrize("moment", ["000000000002.json", "head.json"])
def test_a_process_killed_while_it_records_leaves_a_chain_that_goes_on(
        moment: str, system: System, small: dict[str, str], child: Child) -> None:
    system.audit.record(Action.DELETE, "first")
    process = child(_KILLED, small, moment)
    _, said = process.communicate(timeout=180)
    assert process.returncode == -signal.SIGKILL, said
    system.audit.record(Action.DELETE, "third")
    assert _subjects(system) == ["first", "killed", "third"]
    assert system.audit.check().problems == ()


def _in_the_way(tmp_path: Path) -> None:
    """The primary store cannot be: a file has its name."""
    (tmp_path / "backups").write_text("in the way")


def test_while_the_store_is_down_a_record_waits_on_the_host_and_is_carried_over(
        system: System, small: dict[str, str], tmp_path: Path) -> None:
    _in_the_way(tmp_path)
    system.audit.record(Action.RESTORE, "one")
    system.audit.record(Action.RESTORE, "two")
    waiting = system.audit.records()
    assert [(each.subject, each.number) for each in waiting.records] == [("one", 0), ("two", 0)]
    assert "is no folder" in waiting.problems[0]  # what is in the store is not known
    (tmp_path / "backups").unlink()
    later = System(load(small))
    later.audit.record(Action.RESTORE, "three")
    assert _subjects(later) == ["one", "two", "three"]
    first, second, third = later.audit.records().records
    assert (first.number, second.number, third.number) == (1, 2, 3)
    assert first.carried_at is not None
    assert first.carried_at >= second.recorded_at
    assert third.carried_at is None
    assert later.audit.check().problems == ()


def test_killed_while_carrying_over_it_is_there_twice_rather_than_never(
        system: System, small: dict[str, str], tmp_path: Path, child: Child) -> None:
    _in_the_way(tmp_path)
    system.audit.record(Action.RESTORE, "one")
    (tmp_path / "backups").unlink()
    process = child(_KILLED, small, "000000000001.json")
    _, said = process.communicate(timeout=180)
    assert process.returncode == -signal.SIGKILL, said
    later = System(load(small))
    later.audit.record(Action.RESTORE, "two")
    assert _subjects(later) == ["one", "two"]
    assert later.audit.check().hosts == {system.host: 3}
    assert later.audit.check().problems == ()


def test_what_nowhere_can_be_recorded_is_not_done(system: System, tmp_path: Path) -> None:
    _in_the_way(tmp_path)
    (tmp_path / "root/.nightscan_audit").write_text("in the way too")
    with pytest.raises(StoreRefused, match=r"restore of one cannot be recorded, and what is not recorded "
                                           r"is not done.*\n.*NIGHTSCAN_AUDIT_FILE"):
        system.audit.record(Action.RESTORE, "one")
    system.audit.ended(Action.RESTORE, "one", ending="restored")  # too late to refuse


def test_a_host_without_a_place_for_its_copy_still_records(system: System, tmp_path: Path) -> None:
    (tmp_path / "root/.nightscan_audit").write_text("in the way")
    system.audit.record(Action.DELETE, "one")
    assert [each.number for each in system.audit.records().records] == [1]


def test_the_key_is_recorded_once_for_each_set_and_store(system: System) -> None:
    for store in ("primary", "primary", "offsite"):
        system.audit.key_used("daily/20261123T020000Z", store, key="backup@nightscan.com")
    assert [each.facts["store"] for each in system.audit.records().records] == ["primary", "offsite"]


def test_of_a_scratch_application_only_the_use_of_the_key_is_recorded(system: System) -> None:
    scratch = system.audit.of_keys()
    scratch.record(Action.RESTORE, "restore-1", phase="begins")
    scratch.key_used("daily/20261123T020000Z", "primary")
    assert [each.action for each in system.audit.records().records] == ["key_use"]


def test_every_host_has_a_chain_of_its_own(tmp_path: Path) -> None:
    store = DirectoryStore("primary", tmp_path / "store")
    for number, host in enumerate(("db1", "files/../2", "db1")):
        Audit(store, LocalCopy(tmp_path / host.replace("/", "") / "copy"), lambda: datetime.now(UTC),
              host=host, doing=Doing("nightscan rotate")).record(Action.DELETE, f"set {number}")
    found = Audit(store, LocalCopy(tmp_path / "db1/copy"), lambda: datetime.now(UTC), host="db1",
                  doing=Doing())
    assert found.check().hosts == {"db1": 2, "files_.._2": 1}
    assert found.check().problems == ()
    assert [each.subject for each in found.records().records] == ["set 0", "set 1", "set 2"]
    assert [each.subject for each in found.records(last=1).records] == ["set 1", "set 2"]


def test_the_host_s_copy_is_only_appended_to(system: System, small: dict[str, str], tmp_path: Path) -> None:
    copy = tmp_path / "root/.nightscan_audit/records.jsonl"
    system.audit.record(Action.DELETE, "one")
    before, inode = copy.read_bytes(), copy.stat().st_ino
    if not _append_only(copy, on=True):
        pytest.skip("this user, or this file system, has no append-only files")
    try:
        with pytest.raises(PermissionError):
            copy.write_bytes(b"")
        System(load(small)).audit.record(Action.DELETE, "two")
        after = copy.read_bytes()
    finally:
        _append_only(copy, on=False)
    assert after.startswith(before)
    assert len(after.splitlines()) == 2
    assert copy.stat().st_ino == inode
    assert stat.S_IMODE(copy.stat().st_mode) == 0o640


def _append_only(path: Path, *, on: bool) -> bool:
    chattr = shutil.which("chattr")
    return chattr is not None and not subprocess.run([chattr, "+a" if on else "-a", str(path)], check=False,
                                                     capture_output=True).returncode


def test_it_can_be_kept_elsewhere(small: dict[str, str], tmp_path: Path) -> None:
    system = System(load({**small, "NIGHTSCAN_AUDIT_FILE": str(tmp_path / "log/audit.jsonl")}))
    system.audit.record(Action.DELETE, "one")
    assert len((tmp_path / "log/audit.jsonl").read_text().splitlines()) == 1
    assert not (tmp_path / "root/.nightscan_audit").exists()
