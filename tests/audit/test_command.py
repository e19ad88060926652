"""`nightscan audit` as a person types it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nightscan_tasks.audit import Action, Actor, Asker, Doing, acting
from nightscan_tasks.settings import load
from nightscan_tasks.system import System

Typed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def typed(small: dict[str, str]) -> Typed:
    """Run `nightscan audit …` in a process of its own."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "nightscan_tasks.cli", "audit", *words],
                              env={**small, "PATH": "/usr/bin:/bin", "COLUMNS": "80"}, capture_output=True,
                              text=True, check=False)

    return run


def _asked(small: dict[str, str], claims: Actor | None, signed_by: str = "") -> System:
    asker = Asker("gen9@web1", "task-7", claims, signed_by)
    with acting(Doing("nightscan.restore_full", "task-7", asker)):
        return System(load(small))


def test_it_lists_who_did_what_the_newest_last(typed: Typed, small: dict[str, str]) -> None:
    assert typed().stdout == "Nothing is on record.\n"
    bob = Actor("web1", "root", 0, login="bob", terminal="pts/1", doing="nightscan restore full")
    _asked(small, bob).audit.record(Action.RESTORE, "restore-1", phase="begins", set="daily/x")
    _asked(small, bob, "operator.bob").audit.record(Action.TRUST, "daily/z")
    _asked(small, None).audit.record(Action.DELETE, "daily/y", store="primary")
    done = typed()
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["WHEN", "HOST", "WHO", "WHAT", "SUBJECT"]
    said = " ".join(done.stdout.split())
    assert "bob? restore restore-1 begins; set daily/x by nightscan.restore_full task task-7 as " in said
    assert "asked for, as the message says, by nightscan restore full as root of bob on web1 at pts/1" in said
    assert "asked for, as the message says, from gen9@web1" in said
    assert "bob trust daily/z" in said
    assert "signed by operator.bob" in said
    assert said.index("restore-1") < said.index("daily/y")


def test_a_sender_s_words_do_not_reach_the_terminal_as_commands(typed: Typed, small: dict[str, str]) -> None:
    evil = Actor("web1\x1b[2J", "root\n", 0, doing="\x1b]0;owned\x07")
    _asked(small, evil).audit.record(Action.HOLD, "daily/y\x1b[1A", why="\x1b[31m")
    done = typed()
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout


def test_it_can_be_narrowed(typed: Typed, system: System) -> None:
    for number in range(4):
        system.audit.record(Action.DELETE if number % 2 else Action.HOLD, f"set {number}")
    since = system.audit.records().records[2].recorded_at.isoformat()

    def subjects(*words: str) -> list[str]:
        done = typed(*words, "--json")
        assert done.returncode == 0, done.stderr
        return [each["subject"] for each in json.loads(done.stdout)["records"]]

    assert subjects() == ["set 0", "set 1", "set 2", "set 3"]
    assert subjects("--action", "delete") == ["set 1", "set 3"]
    assert subjects("--since", since) == ["set 2", "set 3"]
    assert subjects("--last", "1") == ["set 3"]
    assert typed("--action", "delte").returncode == 2


def test_check_says_what_is_missing_and_ends_with_1(typed: Typed, system: System, tmp_path: Path) -> None:
    for number in range(3):
        system.audit.record(Action.DELETE, f"set {number}")
    whole = typed("--check")
    assert whole.returncode == 0, whole.stderr
    assert f"{system.host}: 3 records" in whole.stdout
    assert "Nothing was changed, and nothing is missing." in whole.stdout
    (tmp_path / "backups/audit" / system.host / "000000000002.json").unlink()
    missing = typed("--check")
    assert missing.returncode == 1
    assert f"PROBLEM  audit/{system.host}/000000000002.json is missing" in missing.stdout
    as_json = json.loads(typed("--check", "--json").stdout)
    assert as_json["hosts"] == {system.host: 2}
    assert as_json["problems"]


def test_a_record_that_cannot_be_read_is_told_beside_those_that_can(typed: Typed, system: System,
                                                                    tmp_path: Path) -> None:
    for number in range(2):
        system.audit.record(Action.DELETE, f"set {number}")
    (tmp_path / "backups/audit" / system.host / "000000000001.json").write_text("{")
    done = typed()
    assert done.returncode == 3
    assert "set 1" in done.stdout
    assert "000000000001.json cannot be read" in done.stderr
