"""What is recorded of restores, and of each use of the private key: before it happens."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks import backup
from nightscan_tasks.audit import Action, Record
from nightscan_tasks.backup import Request
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.drill import prove_key
from nightscan_tasks.errors import StoreRefused
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import FOREVER, Plan, SetId, Tier
from nightscan_tasks.restore import accept, restore, resume, rollback
from nightscan_tasks.restore.reading import plain
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.workflows.restore import wanted

_KILLED = """
import os, signal, sys
from nightscan_tasks.restore import restore
from nightscan_tasks.system import System
from nightscan_tasks.workflows.restore import wanted

def step(done):
    if done == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)

restore(System.from_env(), wanted("system_config", target_root=sys.argv[2]), step=step)
"""


@pytest.fixture
def small(small: dict[str, str], gpg_home: Path) -> dict[str, str]:
    """The same, encrypted."""
    return {**small, "NIGHTSCAN_GPG_RECIPIENT": "backup@nightscan.com", "NIGHTSCAN_GPG_HOME": str(gpg_home)}


@pytest.fixture
def set_id(system: System) -> SetId:
    """A set of its configuration."""
    outcome = backup.run_local(system, Request(Plan(Tier.MANUAL, ("system_config",), FOREVER)))
    assert outcome.ending is Ending.GOOD, outcome
    return outcome.set_id


def _records(system: System, *actions: Action) -> list[Record]:
    return [each for each in system.audit.records().records if not actions or each.action in actions]


def _told(system: System, *actions: Action) -> list[tuple[str, str]]:
    return [(each.action, each.facts.get("phase", "")) for each in _records(system, *actions)]


def test_a_backup_records_nothing_and_reads_nothing_with_the_private_key(system: System,
                                                                         set_id: SetId) -> None:
    assert _records(system) == []


def test_a_restore_its_use_of_the_key_and_what_was_decided_later_are_recorded(system: System, set_id: SetId,
                                                                              tmp_path: Path) -> None:
    done = restore(system, wanted("system_config", target_root=str(tmp_path / "look")))
    rollback(system, done.run_id)
    accept(system, done.run_id)
    assert _told(system) == [("restore", "begins"), ("key_use", ""), ("restore", "ended"),
                             ("rollback", "begins"), ("rollback", "ended"),
                             ("accept", "begins"), ("accept", "ended")]
    begun, key, ended, *later = _records(system)
    assert begun.facts == {
        "phase": "begins", "set": str(set_id), "store": system.primary.url, "components": "system_config",
        "part": "", "into": f"root {tmp_path / 'look'}"}
    assert (key.subject, key.facts) == (str(set_id), {"store": "primary", "key": "backup@nightscan.com"})
    assert ended.facts["ending"] == "restored"
    assert {each.subject for each in (begun, ended, *later)} == {done.run_id}
    assert system.audit.check().problems == ()


def test_a_restore_that_fails_is_recorded_with_its_reason(system: System, set_id: SetId,
                                                          tmp_path: Path) -> None:
    artifact, = Catalog(system.primary).get(set_id).of("system_config")[:1]
    path = tmp_path / "backups" / set_id.key(artifact.name)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Exception, match="nothing was changed"):
        restore(system, wanted("system_config", target_root=str(tmp_path / "look")))
    ended = _records(system, Action.RESTORE)[-1]
    assert ended.facts["ending"] == "failed"
    assert artifact.name in ended.facts["problem"]


@pytest.mark.parametrize("step", ["opened", "swapped system_config"])
def test_a_restore_that_is_killed_was_recorded_before_and_its_end_is_when_it_is_found(
        step: str, system: System, set_id: SetId, tmp_path: Path, small: dict[str, str],
        child: Callable[..., "subprocess.Popen[str]"]) -> None:
    process = child(_KILLED, {**small, "HOME": os.environ["HOME"]}, step, str(tmp_path / "look"))
    _, said = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, said
    assert _told(system, Action.RESTORE) == [("restore", "begins")]
    resume(system, system.restores.run_ids()[-1])
    assert _told(system, Action.RESTORE) == [
        ("restore", "begins"), ("restore", "was cut off: goes on, or back"), ("restore", "ended")]
    assert _records(system)[-1].facts["ending"] == ("failed" if step == "opened" else "restored")


def test_a_restore_that_cannot_be_recorded_is_not_done(system: System, set_id: SetId, small: dict[str, str],
                                                       tmp_path: Path) -> None:
    (tmp_path / "backups/audit").write_text("in the way")
    (tmp_path / "root/.nightscan_audit").write_text("in the way")
    with pytest.raises(StoreRefused, match="cannot be recorded"):
        restore(System(load(small)), wanted("system_config", target_root=str(tmp_path / "look")))
    assert not (tmp_path / "look").exists()
    assert system.restores.run_ids() == []


def test_the_proof_that_the_key_opens_what_was_saved_is_a_use_of_it(system: System, set_id: SetId) -> None:
    assert prove_key(system)[0].problem == ""
    assert _told(system) == [("key_use", "")]


def test_the_key_is_recorded_before_it_opens_anything(system: System, set_id: SetId, tmp_path: Path,
                                                      small: dict[str, str]) -> None:
    catalog = Catalog(system.primary)
    manifest = catalog.get(set_id)
    with plain(system, catalog, manifest, manifest.artifacts[0]):
        assert _told(system) == [("key_use", "")]
    (tmp_path / "backups/audit").rename(tmp_path / "kept")
    (tmp_path / "backups/audit").write_text("in the way")
    (tmp_path / "root/.nightscan_audit/records.jsonl.waiting").mkdir()
    opened: list[Any] = []
    with pytest.raises(StoreRefused), plain(System(load(small)), catalog, manifest,
                                            manifest.artifacts[0]) as chunks:
        opened.append(chunks)
    assert not opened
