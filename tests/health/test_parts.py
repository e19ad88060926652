"""Commands of services, room on disks, and schemas, each looked at alone."""

import os
import shlex
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from nightscan_tasks.doctor import Level
from nightscan_tasks.errors import ProcessFailed, SettingsError
from nightscan_tasks.health import run_services
from nightscan_tasks.health.schema import compare
from nightscan_tasks.health.space import Disk, judge


def script(tmp_path: Path, code: str) -> str:
    path = tmp_path / "service.py"
    path.write_text(code)
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(path))}"


def test_a_command_runs_without_a_shell(tmp_path: Path) -> None:
    run_services(f"touch {shlex.quote(str(tmp_path / 'a b'))}", 20)
    assert (tmp_path / "a b").exists()
    run_services(f"echo x > {tmp_path / 'redirected'}; false", 20)
    assert not (tmp_path / "redirected").exists()
    run_services("  ", 20)


@pytest.mark.parametrize(("command", "said"), [
    ("false", "false ended with exit status 1: it said nothing"),
    ("no-such-program-at-all", "no-such-program-at-all cannot be started: No such file"),
    ("sh -c 'echo first; echo last >&2; exit 4'", "exit status 4: first | last"),
    ("sh -c 'kill -9 $$'", "signal SIGKILL"),
])
def test_a_command_that_fails_says_how(command: str, said: str) -> None:
    with pytest.raises(ProcessFailed, match=said.replace("|", r"\|")):
        run_services(command, 20)


def test_an_open_quote_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="NIGHTSCAN_SERVICES_"):
        run_services("systemctl 'stop", 20)


def test_a_command_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    waiting = f"sleep 600 & echo $! > {shlex.quote(str(pid_file))}; echo waiting; wait"
    with pytest.raises(ProcessFailed, match=r"was not done in 3 s, and was ended: waiting"):
        run_services(shlex.join(["sh", "-c", waiting]), 3)
    state = Path(f"/proc/{int(pid_file.read_text())}/stat")
    with suppress(FileNotFoundError, ProcessLookupError):
        while not state.read_text().rpartition(") ")[2].startswith(("Z", "X")):
            time.sleep(0.02)


def test_what_a_start_command_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = ("import pathlib, subprocess\n"
            "child = subprocess.Popen(['sleep', '600'])\n"
            f"pathlib.Path({str(pid_file)!r}).write_text(str(child.pid))\n")
    try:
        run_services(script(tmp_path, code), 60)
        os.kill(int(pid_file.read_text()), 0)
    finally:
        os.kill(int(pid_file.read_text()), 9)


@pytest.mark.parametrize(("free", "needed", "level"), [
    (100, 0, Level.OK), (99, 0, Level.WARN), (20, 0, Level.WARN), (19, 0, Level.FAIL),
    (500, 500, Level.OK), (500, 501, Level.FAIL)])
def test_room_is_judged_by_share_and_by_the_next_set(free: int, needed: int, level: Level) -> None:
    assert judge(Disk(("root",), free, 1000), needed_bytes=needed) is level


def test_a_schema_is_compared_by_names_and_numbers() -> None:
    difference = compare({"tables": {"public.a": {"rows": 1}, "public.b": {"rows": 2}},
                          "materialized_views": {"public.m": None}, "objects": {"views": 2, "indexes": 1}},
                         {"tables": ["public.a", "public.c"], "materialized_views": [],
                          "objects": {"views": 1, "indexes": 3}})
    assert difference.missing == ("table public.b", "materialized view public.m")
    assert difference.further == ("table public.c", "3 indexes instead of 1")
    assert difference.fewer == ("1 views instead of 2",)
