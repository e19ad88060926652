from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nightscan_tasks.errors import WorldError
from nightscan_tasks.world import daemon
from nightscan_tasks.world.daemon import Identity

Spawn = Callable[[str], Identity]


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Start a line of shell as a daemon, which is stopped after the test."""
    started = []

    def run(script: str) -> Identity:
        identity = daemon.spawn(["/bin/sh", "-c", script], note=tmp_path / "note",
                                log=tmp_path / "log", cwd=tmp_path, env={"PATH": os.defpath})
        started.append(identity)
        return identity

    yield run
    for identity in started:
        daemon.stop(identity, gently=signal.SIGKILL, patience_seconds=0)


def test_a_daemon_runs_in_a_session_of_its_own_and_its_output_is_kept(spawn: Spawn, tmp_path: Path,
                                                                      ) -> None:
    identity = spawn("echo hello; exec sleep 600")
    daemon.wait_until(lambda: (tmp_path / "log").read_text() == "hello\n", 20, "its output")
    assert identity.alive()
    assert os.getsid(identity.pid) == identity.pid != os.getsid(0)


def test_a_daemon_is_known_from_its_note_alone(spawn: Spawn, tmp_path: Path) -> None:
    assert daemon.noted(tmp_path / "note") is None
    assert spawn("exec sleep 600") == daemon.noted(tmp_path / "note")


def test_who_is_stopped_before_it_noted_who_it_is_does_not_begin(tmp_path: Path) -> None:
    """As where its starter was killed: nobody else knows of it."""
    note, began = tmp_path / "note", tmp_path / "began"
    assert daemon.forestall(note) is None
    shell = subprocess.run(["/bin/sh", "-c", daemon.NOTE_THEN_BECOME, str(note), "/usr/bin/touch",
                            str(began)],
                           capture_output=True, check=False)
    assert shell.returncode
    assert not began.exists()
    assert daemon.forestall(note) is None


def test_one_that_has_noted_who_it_is_is_found(spawn: Spawn, tmp_path: Path) -> None:
    identity = spawn("exec sleep 600")
    assert daemon.forestall(tmp_path / "note") == identity


def test_stopping_ends_what_the_daemon_started_even_when_it_died_first(
        spawn: Spawn, tmp_path: Path, living_in: Callable[[Path], dict[int, str]]) -> None:
    identity = spawn("sleep 600 & sleep 600 & wait")
    daemon.wait_until(lambda: len(living_in(tmp_path)) == 3, 20, "its children")
    os.kill(identity.pid, signal.SIGKILL)
    daemon.wait_until(lambda: not identity.alive(), 20, "its end")
    daemon.stop(identity, gently=signal.SIGTERM, patience_seconds=20)
    assert not living_in(tmp_path)


def test_a_daemon_that_ignores_the_gentle_signal_is_killed(spawn: Spawn, tmp_path: Path) -> None:
    identity = spawn("trap '' TERM; echo deaf; while :; do sleep 600; done")
    daemon.wait_until((tmp_path / "log").read_text, 20, "it to be deaf")
    daemon.stop(identity, gently=signal.SIGTERM, patience_seconds=0.1)
    assert not identity.alive()


def test_a_process_that_got_the_id_of_an_earlier_one_is_never_touched(spawn: Spawn) -> None:
    identity = spawn("exec sleep 600")
    earlier = replace(identity, started_ticks=identity.started_ticks - 1)
    before_the_boot = replace(identity, boot_id="another")
    for stranger in (earlier, before_the_boot):
        assert not stranger.alive()
        daemon.stop(stranger, gently=signal.SIGKILL, patience_seconds=0)
    assert identity.alive()


def test_stopping_twice_is_no_error(spawn: Spawn) -> None:
    identity = spawn("exec sleep 600")
    for _ in range(2):
        daemon.stop(identity, gently=signal.SIGTERM, patience_seconds=20)
    assert not identity.alive()


def test_waiting_says_what_did_not_happen() -> None:
    with pytest.raises(WorldError, match="for the moon"):
        daemon.wait_until(lambda: False, 0, "the moon")
