"""A run from one process: its parts side by side, in threads, or in processes where there is much to do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks import backup
from nightscan_tasks.backup import Request, local
from nightscan_tasks.backup.settling import settle
from nightscan_tasks.errors import Busy
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import FOREVER, Days, Plan, Tier
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.verification import verify_set
from tests.apart import Counted, others
from tests.hands import wait_until

USER_DATA = Plan(Tier.MANUAL, ("user_data",), FOREVER)
PARTS = {"user_data.00", "user_data.01"}
FILES = Plan(Tier.DAILY, ("user_data", "system_config"), Days(7))


def real(site: Any, **more: str) -> System:
    """A system that another process can have: its clock is the machine's."""
    return System(load({**site.environ, **more}))


class Meeting:
    """A watcher that goes on when two parts have told something: one that comes alone waits in vain."""

    def __init__(self) -> None:
        self._together = threading.Barrier(2)
        self.parts: set[str] = set()

    def __call__(self, progress: dict[str, Any]) -> None:
        if progress["part"] in PARTS - self.parts:
            self.parts.add(progress["part"])
            self._together.wait(timeout=180)


def test_the_archives_of_a_set_are_made_side_by_side(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, counted = Meeting(), Counted(monkeypatch)
    outcome = backup.run_local(real(site), Request(USER_DATA), watch=seen)
    assert outcome.ending == Ending.GOOD
    assert seen.parts == PARTS
    assert counted.begun == 0  # so little is not worth one


def test_one_job_makes_them_one_after_the_other(site: Any) -> None:
    begun: list[str] = []
    system = real(site, NIGHTSCAN_JOBS="1")

    def watch(progress: dict[str, Any]) -> None:
        begun.append(progress["part"])
        if progress["part"] == "user_data.01":
            assert "user_data.00" in system.ledger.state(run.run_id).parts

    run = backup.open_run(system, Request(USER_DATA)).run
    assert backup.run_local(system, Request(USER_DATA), watch=watch).ending == Ending.GOOD
    assert {"user_data.00", "user_data.01"} <= set(begun)


def test_much_user_data_is_archived_by_processes_of_their_own(
        site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_MANY_FILES", 3)
    seen, counted, system = Meeting(), Counted(monkeypatch), real(site)
    outcome = backup.run_local(system, Request(FILES), watch=seen)
    assert outcome.ending == Ending.GOOD
    assert outcome.stores == ("primary", "offsite")
    assert counted.begun == 2
    assert not others()
    (manifest,) = system.catalog().sets()
    assert manifest.components["user_data"].fingerprint["files"] == 4
    for store in system.stores:
        assert verify_set(system.catalog(store.name), manifest, clock=system.clock).problems == ()


def test_what_goes_wrong_in_such_a_process_is_on_record(
        site: Any, monkeypatch: pytest.MonkeyPatch, no_sleep: Callable[[float], None]) -> None:
    monkeypatch.setattr(local, "_MANY_FILES", 3)
    system = real(site, NIGHTSCAN_GPG_RECIPIENT="nobody@example.org", NIGHTSCAN_RETRIES="0",
                  NIGHTSCAN_GPG_HOME=str(site.root))
    outcome = backup.run_local(system, Request(USER_DATA), sleep=no_sleep)
    assert outcome.ending == Ending.FAILED
    failed = {failure.part: failure for failure in outcome.failures}
    assert "no public key for nobody@example.org" in failed["user_data.00"].message
    assert failed["user_data.01"].error == "EncryptionFailed"


def test_a_process_that_is_killed_is_begun_again(
        site: Any, monkeypatch: pytest.MonkeyPatch, no_sleep: Callable[[float], None]) -> None:
    monkeypatch.setattr(local, "_MANY_FILES", 3)
    killed: list[int] = []
    with (site.root / "uploads/large.wav").open("wb") as file:
        file.truncate(200 << 20)  # time enough to be killed in

    def watch(progress: dict[str, Any]) -> None:
        if progress["part"] == "user_data.01" and not killed:
            killed.extend(others())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    outcome = backup.run_local(real(site, NIGHTSCAN_LEASE_SECONDS="3"), Request(USER_DATA), watch=watch,
                               sleep=no_sleep)
    assert killed
    assert outcome.ending == Ending.GOOD


@pytest.mark.parametrize("reason", ["few files", "one job", "one archive", "a clock of its own"])
def test_no_process_is_begun_without_a_reason(
        site: Any, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    monkeypatch.setattr(local, "_MANY_FILES", 4 if reason == "few files" else 3)
    more = {"one job": {"NIGHTSCAN_JOBS": "1"}, "one archive": {"NIGHTSCAN_USER_DATA_ARCHIVES": "1"}}
    system = real(site, **more.get(reason, {}))
    run = backup.open_run(system, Request(USER_DATA)).run
    if reason == "a clock of its own":
        system = site.system()
    assert not local.is_worth_processes(system, run)


def test_a_set_that_refers_to_an_earlier_one_is_made_in_this_process(
        site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_MANY_FILES", 3)
    system = real(site)
    run = backup.open_run(system, Request(USER_DATA)).run
    assert local.is_worth_processes(system, run)
    assert not local.is_worth_processes(system, replace(run, base=run.set_id))


def test_what_takes_a_moment_is_waited_for_a_moment_and_what_takes_long_is_asked_for_seldom() -> None:
    answers, pauses = [Busy("not yet")] * 8, list[float]()

    def ask() -> str:
        if answers:
            raise answers.pop()
        return "done"

    assert local._patiently(ask, pauses.append) == "done"
    assert pauses[0] < 0.1
    assert pauses == sorted(pauses)
    assert pauses[-2:] == [1.0, 1.0]


def test_ctrl_c_ends_every_process(site: Any) -> None:
    for number in range(4):  # so large that processes are begun, and nothing to write
        with (site.root / "uploads" / f"{number}.wav").open("wb") as file:
            file.truncate(400 << 20)
    command = subprocess.Popen(
        [sys.executable, "-m", "nightscan_tasks.cli", "backup", "manual", "--component", "user_data",
         "--local"], env={**os.environ, **site.environ}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True)
    with command:
        session = command.pid
        wait_until(lambda: of_session(session).count("nightscan_apart") == 2 and under_way(site) == PARTS,
                   "two processes of their own, at work")
        os.killpg(session, signal.SIGINT)
        assert command.stdout
        said = command.stdout.read()
    assert command.returncode == 1
    assert "was interrupted, and is not settled" in said
    assert "Traceback" not in said
    wait_until(lambda: not of_session(session), "the end of every process")


def under_way(site: Any) -> set[str]:
    """The parts that somebody has taken on."""
    leases = Path(site.environ["NIGHTSCAN_BACKUP_DIR"]) / "leases"
    return {path.name for path in leases.glob("*/user_data.*")}


def of_session(session: int) -> list[str]:
    """The names of what runs in a session."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            facts = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(facts[3]) == session and facts[0] != "Z":
                found.append((folder / "comm").read_text().strip())
        except (OSError, IndexError):
            continue
    return found


def test_what_the_run_read_back_itself_is_not_read_once_more_unless_it_was_touched(
        site: Any, system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    def damage(*words: Any, **more: Any) -> Any:
        outcome = settle(*words, **more)
        assert outcome
        (path,) = (site.primary / str(outcome.set_id)).glob("system_config.tar.gz")
        with path.open("r+b") as file:
            file.seek(20)
            byte = file.read(1)
            file.seek(20)
            file.write(bytes([byte[0] ^ 1]))
        return outcome

    monkeypatch.setattr(local, "settle", damage)
    outcome = backup.run_local(system, Request(FILES))
    verified = system.ledger.verified(outcome.run_id, "primary")
    assert verified is not None
    assert "system_config.tar.gz is damaged" in verified.problems[0]
    assert len(verified.problems) == 1
