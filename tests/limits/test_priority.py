"""Dumps stand back, seen where the system says it: in /proc, of the programs while they run."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from nightscan_tasks import backup, priority
from nightscan_tasks.backup import Request
from nightscan_tasks.errors import SettingsError
from nightscan_tasks.model import Days, Json, Plan, Tier
from nightscan_tasks.priority import standing_back
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from tests.hands import wait_until

NICE = max(7, os.getpriority(os.PRIO_PROCESS, 0))  # whoever runs tests may stand back already


def _nice(stat: Path) -> int:
    return int(stat.read_text().rpartition(")")[2].split()[16])


def _ionice(pid: int) -> str:
    program = shutil.which("ionice")
    assert program
    asked = subprocess.run([program, "-p", str(pid)], capture_output=True, text=True, check=True)
    return asked.stdout.strip()


def _programs() -> dict[str, int]:
    """The programs that this process has started, by name; `setpriv` has become what it started."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if int(rest.split()[1]) == os.getpid():
            found[name] = int(stat.parent.name)
    return found


@pytest.fixture
def system(database: str, gpg_home: Path, tmp_path: Path) -> Callable[..., System]:
    """A site with a database that is larger than what fits in pipes and buffers."""
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE noise AS SELECT n, (SELECT string_agg(md5(random()::text || n || m),"
                           " '') FROM generate_series(1, 30) m) FROM generate_series(1, 30000) n")
    (tmp_path / "nightscan" / "uploads").mkdir(parents=True)
    (tmp_path / "nightscan" / "uploads" / "noise.wav").write_bytes(secrets.token_bytes(20_000_000))
    return lambda **more: System(load({
        "NIGHTSCAN_DATABASE_URI": database, "NIGHTSCAN_ROOT": str(tmp_path / "nightscan"),
        "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), "NIGHTSCAN_TEMP_DIR": str(tmp_path),
        "NIGHTSCAN_GPG_RECIPIENT": "backup@nightscan.com", "NIGHTSCAN_GPG_HOME": str(gpg_home), **more}))


def _saved(system: System, component: str, watch: Callable[[dict[str, Json]], None]) -> Any:
    run = backup.open_run(system, Request(Plan(Tier.MANUAL, (component,), Days(7)))).run
    backup.start(system, run)
    return backup.dump(system, run.run_id, run.parts[0], watch=watch)


def test_a_dumps_programs_and_threads_stand_back_and_nothing_else_does(system: Callable[..., System]) -> None:
    seen: dict[str, tuple[int, str]] = {}
    threads: list[int] = []

    def watch(_progress: dict[str, Json]) -> None:
        # It is called by whoever reads pg_dump's output: that cannot end before it is read on.
        for name, pid in _programs().items():
            seen.setdefault(name, (_nice(Path(f"/proc/{pid}/stat")), _ionice(pid)))
        threads[:] = threads or [_nice(stat) for stat in Path("/proc/self/task").glob("*/stat")]

    before, disk = os.getpriority(os.PRIO_PROCESS, 0), _ionice(threading.get_native_id())
    record = _saved(system(NIGHTSCAN_NICE=str(NICE), NIGHTSCAN_IONICE="idle"), "database", watch)
    assert record.artifacts
    assert seen["pg_dump"] == (NICE, "idle")
    assert seen["gpg"] == (NICE, "idle")
    assert threads.count(NICE) >= 3  # compressing, hashing, reading: one that stands back started them
    assert os.getpriority(os.PRIO_PROCESS, 0) == before  # what this process does next is as quick as ever
    assert _ionice(threading.get_native_id()) == disk


def test_archives_stand_back_too(system: Callable[..., System]) -> None:
    nices: list[int] = []
    _saved(system(NIGHTSCAN_NICE=str(NICE)), "user_data", lambda _progress: nices.append(
        os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
    assert nices
    assert set(nices) == {NICE}


def test_nobody_stands_back_unless_told(system: Callable[..., System]) -> None:
    nices: list[int] = []
    before = os.getpriority(os.PRIO_PROCESS, 0)
    _saved(system(), "user_data", lambda _progress: nices.append(
        os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
    assert set(nices) == {before}


@pytest.mark.parametrize(("given", "shown"), [("idle", "idle"), ("best-effort", "best-effort: prio 7")])
def test_the_disk_is_used_as_it_is_set(given: str, shown: str) -> None:
    settings = load({"NIGHTSCAN_IONICE": given})
    assert standing_back(settings, lambda: _ionice(threading.get_native_id())) == shown


def test_who_stands_back_further_already_stays_there() -> None:
    """A unit of systemd may have said it first: a setting takes nothing of that back."""
    settings = load({"NIGHTSCAN_NICE": "5", "NIGHTSCAN_IONICE": "best-effort"})

    def inside() -> tuple[int, str]:
        return standing_back(settings, lambda: (os.getpriority(os.PRIO_PROCESS, threading.get_native_id()),
                                                _ionice(threading.get_native_id())))

    assert standing_back(load({"NIGHTSCAN_NICE": "12", "NIGHTSCAN_IONICE": "idle"}), inside) == (12, "idle")


def test_an_error_of_the_work_is_its_own(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        standing_back(load({"NIGHTSCAN_NICE": "5"}), lambda: 1 // 0)


def test_who_is_told_to_stop_stops_the_work() -> None:
    cleaned: list[str] = []

    def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            wait_until(lambda: False, "the interruption")
        except KeyboardInterrupt:
            cleaned.append("up")

    with pytest.raises(KeyboardInterrupt):
        standing_back(load({"NIGHTSCAN_NICE": "5"}), work)
    assert cleaned == ["up"]
    assert not [each for each in threading.enumerate() if each.name == "standing back"]


def test_a_signal_that_finds_nobody_awake_stops_the_work_too() -> None:
    """One that comes between the last look for signals and a wait interrupts no wait. Here it is taken by
    another thread, which is the same to the one that waits.
    """
    stopped: list[str] = []

    def work() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        os.kill(os.getpid(), signal.SIGINT)
        try:
            wait_until(lambda: False, "the interruption")
        except KeyboardInterrupt:
            stopped.append("at once")

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with pytest.raises(KeyboardInterrupt):
            standing_back(load({"NIGHTSCAN_NICE": "5"}), work)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert stopped == ["at once"]


def test_without_the_program_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch,
                                                            tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="apt-get install util-linux"):
        priority.standing_back(load({"NIGHTSCAN_IONICE": "idle"}), lambda: None)
