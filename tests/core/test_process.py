"""A program's exit status counts, and no program outlives the one that started it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nightscan_tasks.errors import ProcessFailed
from nightscan_tasks.process import Program, run


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_stream_that_ends_without_an_error_is_whole() -> None:
    with Program(["sh", "-c", "printf hello"]) as program:
        assert b"".join(program.chunks()) == b"hello"


def test_output_followed_by_a_bad_status_is_a_failure() -> None:
    with Program(["sh", "-c", "printf hello; echo no space >&2; exit 3"]) as program:
        chunks = program.chunks()
        assert next(chunks) == b"hello"
        with pytest.raises(ProcessFailed, match="sh failed with exit status 3: no space"):
            next(chunks)


def test_one_that_was_killed_says_by_what() -> None:
    with pytest.raises(ProcessFailed, match="SIGKILL"):
        run(["sh", "-c", "kill -9 $$"])


def test_leaving_ends_it() -> None:
    with Program(["sleep", "600"]) as program:
        pid = program.pid
        assert alive(pid)
    assert not alive(pid)


def test_much_on_standard_error_blocks_nothing() -> None:
    noisy = "import sys; sys.stderr.write('x' * 5_000_000 + chr(10) + 'the end'); print('done')"
    with Program([sys.executable, "-c", noisy]) as program:
        assert b"".join(program.chunks()) == b"done\n"
        assert program.stderr_tail.endswith("the end")


def test_it_dies_with_a_parent_that_is_killed() -> None:
    script = ("from nightscan_tasks.process import Program\n"
              "p = Program(['sleep', '600']); print(p.pid, flush=True); input()")
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ})
    assert parent.stdin is not None
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    while "sleep" not in Path(f"/proc/{pid}/comm").read_text():  # the wrapper has not become it yet
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    for _ in range(1000):
        if not alive(pid):
            break
        time.sleep(0.01)
    assert not alive(pid)
