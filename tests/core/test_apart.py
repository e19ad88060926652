"""Work in a process of its own: what comes back from it, and that it ends with whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.apart import Apart, at_hand, side_by_side
from nightscan_tasks.errors import NightscanError, NotFound, ProcessKilled
from tests.hands import wait_until

# Functions that another process can have: pickle knows them by the name of their module.
MODULE = '''
import os, sys, time
from contextlib import contextmanager
from pathlib import Path
from nightscan_tasks.errors import NotFound

def told(tell, *words):
    print("not an answer", flush=True)
    for word in words:
        tell(word)
    return os.getpid(), Path.cwd().name

def named(tell, *words):
    """By itself: whoever made a copy may look at it before it has its name."""
    return *told(tell, *words), Path("/proc/self/comm").read_text().strip()

def refused(tell, key):
    raise NotFound(f"there is no {key}")

def odd(tell):
    class Odd(Exception):
        pass
    raise Odd("cannot be pickled")

def hangs(tell, left):
    try:
        tell(os.getpid())
        time.sleep(600)
    finally:
        Path(left).write_text("left in order")
'''


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "work_for_apart.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    import work_for_apart  # type: ignore[import-not-found]  # made above
    yield work_for_apart
    del sys.modules["work_for_apart"]


def alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_what_is_told_comes_in_order_and_then_the_result(
        work: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "pickle.py").write_text("raise SystemExit('whatever lies here was imported')")
    monkeypatch.chdir(tmp_path / "here")
    words: list[str] = []
    with Apart(work.told, "one", "two") as other:
        pid, folder = other.result(words.append)
    assert words == ["one", "two"]
    assert (pid, folder) == (other.pid, "here")
    assert pid != os.getpid()


def test_its_errors_are_raised_here_as_what_they_are(work: Any) -> None:
    with Apart(work.refused, "daily/x") as other, pytest.raises(NotFound, match=r"^there is no daily/x$"):
        other.result()
    with Apart(work.odd) as other, pytest.raises(NightscanError, match="Odd: cannot be pickled"):
        other.result()


def test_its_arguments_are_seen_by_nobody(work: Any, tmp_path: Path) -> None:
    with Apart(work.hangs, tmp_path / "a-secret") as other:
        seen = list[bytes]()

        def look(pid: int) -> None:
            seen.append(Path(f"/proc/{pid}/cmdline").read_bytes())
            seen.append(Path(f"/proc/{pid}/environ").read_bytes())
            other.end()

        with suppress(NightscanError):
            other.result(look)
    assert len(seen) == 2
    assert not any(b"a-secret" in each for each in seen)


def test_one_that_is_killed_is_worth_another_try(work: Any, tmp_path: Path) -> None:
    with (Apart(work.hangs, tmp_path / "left") as other,
          pytest.raises(ProcessKilled, match="SIGKILL")):
        other.result(lambda pid: os.kill(pid, signal.SIGKILL))
    assert ProcessKilled.transient


def test_leaving_lets_it_end_in_order(work: Any, tmp_path: Path) -> None:
    pids: list[int] = []

    def leave(pid: int) -> None:
        pids.append(pid)
        raise NotFound("enough")

    with Apart(work.hangs, tmp_path / "left") as other, pytest.raises(NotFound, match="enough"):
        other.result(leave)
    assert (tmp_path / "left").read_text() == "left in order"
    assert not alive(pids[0])


def test_it_dies_with_whoever_started_it(tmp_path: Path) -> None:
    (tmp_path / "work_for_apart.py").write_text(MODULE)
    script = ("import sys; sys.path.insert(0, sys.argv[1])\n"
              "import work_for_apart\nfrom nightscan_tasks.apart import Apart\n"
              "with Apart(work_for_apart.hangs, sys.argv[2]) as other:\n"
              "    other.result(lambda pid: print(pid, flush=True))\n")
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(tmp_path / "left")],
                              stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        parent.kill()
    wait_until(lambda: not alive(pid), "the end of the process")


@pytest.mark.parametrize("threads", [1, 2])
def test_all_works_are_done_and_their_errors_kept_in_order(threads: int) -> None:
    done: list[int] = []

    def work(number: int) -> None:
        done.append(number)
        if number % 2:
            raise NotFound(str(number))

    errors = side_by_side([partial(work, number) for number in range(6)], threads=threads)
    assert sorted(done) == list(range(6))
    assert [str(error) for error in errors] == ["1", "3", "5"]


def test_so_many_works_go_on_at_once_and_no_more() -> None:
    together, counted, most = threading.Barrier(2), threading.Semaphore(2), 20

    def work() -> None:
        assert counted.acquire(blocking=False)  # a third would find none
        together.wait(timeout=180)  # alone, it would wait for ever
        counted.release()

    assert side_by_side([work] * most, threads=2) == []


def test_whoever_waits_and_has_to_end_stops_the_others() -> None:
    began, stopped = threading.Event(), threading.Event()
    later: list[int] = []
    told: list[bool] = []

    def waits() -> bool:
        frame = sys._current_frames()[threading.main_thread().ident or 0]
        return frame.f_code.co_name == "_wait_for_tstate_lock"

    def first() -> None:
        began.set()
        wait_until(waits, "the main thread to wait", every=60)
        signal.raise_signal(signal.SIGUSR1)  # taken by this thread: it interrupts no wait of the other's
        told.append(stopped.wait(180))

    def wait() -> None:
        stopped.wait(180)

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    works = [first, wait, lambda: later.append(1)]
    try:
        with pytest.raises(KeyboardInterrupt):
            side_by_side(works, threads=2, stop=stopped.set)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert began.is_set()
    assert stopped.is_set()
    assert not later
    wait_until(lambda: told, "the end of the first")
    assert told == [True]  # not because it had waited long enough


def forked(tmp_path: Path, body: str, *words: str) -> str:
    """What a fresh process of one thread prints that has copies of itself at hand."""
    (tmp_path / "work_for_apart.py").write_text(MODULE)
    script = ("import os, signal, sys; sys.path.insert(0, sys.argv[1])\n"
              "import work_for_apart\nfrom contextlib import suppress\nfrom pathlib import Path\n"
              "from nightscan_tasks.apart import Apart, at_hand\n"
              "from nightscan_tasks.errors import *\n") + body
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path), *words], capture_output=True,
                          text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_a_copy_at_hand_does_the_same_and_only_the_first_are_copies(tmp_path: Path) -> None:
    said = forked(tmp_path, """
print("once")
with at_hand(2):
    names = []
    for number in range(3):
        words = []
        with Apart(work_for_apart.named, "one", number) as other:
            pid, _, name = other.result(words.append)
            assert pid == other.pid != os.getpid()
        names.append(name)
        assert words == ["one", number]
    assert names.count("nightscan_apart") == 2, names
    with Apart(work_for_apart.refused, "x") as other, suppress(NotFound):
        other.result()
        raise SystemExit("not refused")
""")
    assert said == "once\n"  # what was not written yet is not written by each copy


def test_copies_that_nobody_wanted_end_with_the_block(tmp_path: Path) -> None:
    forked(tmp_path, """
with at_hand(3):
    children = Path("/proc/self/task").joinpath(str(os.getpid()), "children")
    assert len(children.read_text().split()) == 3
assert not children.read_text().split()
""")


def test_a_copy_that_is_killed_or_left_ends_as_a_process_of_its_own_does(tmp_path: Path) -> None:
    forked(tmp_path, """
def leave(pid):
    raise NotFound("enough")
left = Path(sys.argv[2])
with at_hand(2):
    with Apart(work_for_apart.hangs, str(left) + "0") as other, suppress(ProcessKilled):
        other.result(lambda pid: os.kill(pid, signal.SIGKILL))
        raise SystemExit("not killed")
    with Apart(work_for_apart.hangs, str(left) + "1") as other, suppress(NotFound):
        other.result(leave)
assert Path(str(left) + "1").read_text() == "left in order"
""", str(tmp_path / "left"))


def test_copies_die_with_whoever_was_copied(tmp_path: Path) -> None:
    (tmp_path / "work_for_apart.py").write_text(MODULE)
    script = ("import sys; sys.path.insert(0, sys.argv[1])\n"
              "import work_for_apart\nfrom nightscan_tasks.apart import Apart, at_hand\n"
              "with at_hand(2), Apart(work_for_apart.hangs, sys.argv[2]) as other:\n"
              "    children = open('/proc/thread-self/children').read()\n"
              "    other.result(lambda pid: print(children, flush=True))\n")
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(tmp_path / "left")],
                              stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(pids) == 2
    wait_until(lambda: not any(alive(pid) for pid in pids), "the end of the copies")


def test_a_process_with_threads_is_not_copied() -> None:
    waiting, children = threading.Event(), Path("/proc/thread-self/children")
    other = threading.Thread(target=waiting.wait)
    before = children.read_text()
    other.start()
    try:
        with at_hand(2):
            assert children.read_text() == before
    finally:
        waiting.set()
        other.join()
