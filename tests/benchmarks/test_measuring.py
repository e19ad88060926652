from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from benchmarks.measuring import Command, CommandFailed, Measured

BIG = 120_000_000


def _command(folder: Path, script: str, **more: str) -> Command:
    return Command(script, {"PATH": os.environ["PATH"], **more}, folder, folder / "log")


def test_memory_of_what_a_pipeline_starts_is_seen(tmp_path: Path) -> None:
    hold = f"{sys.executable} -c 'import time; held = b\"x\" * {BIG}; time.sleep(1)'"
    measured = _command(tmp_path, f"{hold} | cat; true").run()
    assert BIG < measured.process_bytes < 2 * BIG
    assert BIG < measured.tree_bytes < 2 * BIG


def test_a_part_of_a_pipeline_that_fails_is_told_without_secrets(tmp_path: Path) -> None:
    script = 'echo "cannot log in with $RESTIC_PASSWORD" >&2 && false | true'
    with pytest.raises(CommandFailed, match=r"(?s)status 1.*cannot log in with \*\*\*") as caught:
        _command(tmp_path, script, RESTIC_PASSWORD="hunter2").run()
    assert "hunter2" not in str(caught.value)


def test_who_is_interrupted_leaves_no_process(tmp_path: Path) -> None:
    """As with Ctrl-C, which the processes of another session do not get."""
    told = tmp_path / "pid"

    def interrupt() -> None:
        while not told.exists() or not told.read_text().strip():
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        _command(tmp_path, f"(echo $BASHPID >{told}; exec sleep 600) | cat").run()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{told.read_text().strip()}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_after_the_other_takes_both_times_and_the_larger_memory() -> None:
    assert Measured(1, 2, 30, 40) + Measured(5, 6, 20, 50) == Measured(6, 8, 30, 50)
