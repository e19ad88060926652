"""Turns: what any time may carry, in what order, and what becomes of nonsense, kills and restarts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightscan_tasks import runtime
from nightscan_tasks.errors import SettingsError
from nightscan_tasks.settings import Settings, load
from nightscan_tasks.stores.pacing import BURST_NS, SECOND, Pace, Paces, plan_turn
from tests.hands import wait_until
from tests.limits.conftest import Slept

_PAUSES = st.one_of(st.just(0), st.just(0), st.integers(0, 5 * SECOND))  # most ask again at once
_SLICES = st.one_of(st.just(SECOND // 20), st.integers(1, SECOND // 20))
_TAKERS = st.lists(st.tuples(_PAUSES, _SLICES), min_size=1, max_size=60)


def _granted(asked: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """When each slice goes, and how long it takes on the line, for pauses between those who ask."""
    free_ns = now_ns = 10 * SECOND
    granted = []
    for pause_ns, takes_ns in asked:
        now_ns += pause_ns
        begins_ns, free_ns = plan_turn(free_ns, now_ns, takes_ns)
        granted.append((max(begins_ns, now_ns), takes_ns))
    return granted


@given(_TAKERS)
def test_no_window_carries_more_than_its_length_and_a_third_of_a_second(asked: list[tuple[int, int]]) -> None:
    granted = _granted(asked)
    for first in range(len(granted)):
        carried = 0
        for begins_ns, takes_ns in granted[first:]:
            carried += takes_ns
            window_ns = begins_ns - granted[first][0]
            assert carried <= window_ns + BURST_NS + SECOND // 20


@given(_TAKERS)
def test_who_came_first_goes_first(asked: list[tuple[int, int]]) -> None:
    moments = [begins_ns for begins_ns, _ in _granted(asked)]
    assert moments == sorted(moments)


@given(st.lists(st.integers(1, SECOND // 20), min_size=1, max_size=60))
def test_a_busy_line_is_never_idle(takes: list[int]) -> None:
    """Who asks all the time gets all there is: after the last turn nothing was left out."""
    granted = _granted([(0, each) for each in takes])
    assert granted[-1][0] + granted[-1][1] <= granted[0][0] + sum(takes)


@given(free_ns=st.integers(-2**62, 2**62), now_ns=st.integers(0, 2**40))
def test_nonsense_is_never_waited_for(free_ns: int, now_ns: int) -> None:
    begins_ns, _ = plan_turn(free_ns, now_ns, 1)
    assert begins_ns - now_ns <= 600 * SECOND


@given(rate=st.integers(1000, 10**10))
def test_a_slice_is_a_twentieth_of_a_second_or_a_kibibyte(rate: int) -> None:
    pace = Pace(rate, lambda: pytest.fail("not asked"))
    assert 1 <= pace.slice_bytes <= max(rate // 20, 1024)


def _take_all(pace: Pace, total: int) -> int:
    turns = 0
    while total:
        total -= pace.take(total)
        turns += 1
    return turns


def test_ten_seconds_worth_takes_ten_seconds(pace: Callable[[int], Pace], slept: Slept) -> None:
    turns = _take_all(pace(1_000_000), 10_000_000)
    assert 9.6 * SECOND <= slept.slept_ns <= 10 * SECOND
    assert turns == 200  # smoothly: fifty milliseconds at a time


def test_an_idle_line_is_not_owed_for_its_hour(pace: Callable[[int], Pace], slept: Slept) -> None:
    limit = pace(1_000_000)
    limit.take(1)
    slept.now_ns += 3600 * SECOND
    at_once = 0
    while not slept.slept_ns:
        at_once += limit.take(1_000_000)
    assert at_once <= 350_000  # the last of them waited


def test_a_turn_is_taken_by_one_at_a_time(shared: Settings, pace: Callable[[int], Pace]) -> None:
    with ThreadPoolExecutor(1) as pool, runtime.opened(shared, "upload.turn") as descriptor:
        with runtime.locked(descriptor):
            turn = pool.submit(pace(1_000_000).take, 1000)
            assert not wait([turn], timeout=0.3).done
        assert turn.result(60) == 1000


def test_two_directions_do_not_wait_for_each_other(tmp_path: Path) -> None:
    paces = Paces.of(load({"NIGHTSCAN_RUNTIME_DIR": str(tmp_path),
                           "NIGHTSCAN_UPLOAD_BYTES_PER_SECOND": "1000",
                           "NIGHTSCAN_DOWNLOAD_BYTES_PER_SECOND": "2000"}))
    assert paces.up
    assert paces.down
    for each in (paces.up, paces.down):
        with each.opened():
            pass
    assert sorted(each.name for each in tmp_path.iterdir()) == ["download.turn", "upload.turn"]


def test_no_limit_needs_no_folder(tmp_path: Path) -> None:
    assert Paces.of(load({"NIGHTSCAN_RUNTIME_DIR": str(tmp_path / "none")})) == Paces()
    assert not (tmp_path / "none").exists()


def test_a_limit_of_a_few_bytes_is_another_unit_and_an_error() -> None:
    with pytest.raises(SettingsError, match="bytes a second"):
        load({"NIGHTSCAN_UPLOAD_BYTES_PER_SECOND": "10"})


def test_threads_share_one_line(pace: Callable[[int], Pace], slept: Slept) -> None:
    with ThreadPoolExecutor(8) as pool:
        shares = list(pool.map(lambda _: _take_all(pace(1_000_000), 500_000), range(8)))
    assert shares == [10] * 8
    assert slept.slept_ns >= 3.7 * SECOND  # eight times half a second, together


def test_what_was_written_before_the_machine_started_counts_for_nothing(
        shared: Settings, pace: Callable[[int], Pace], slept: Slept) -> None:
    with runtime.opened(shared, "upload.turn") as descriptor:
        os.pwrite(descriptor, b"another boot id!" + (slept.now_ns + 300 * SECOND).to_bytes(8, "little"), 0)
    pace(1_000_000).take(1000)
    assert slept.slept_ns == 0


def test_half_a_record_counts_for_nothing(shared: Settings, pace: Callable[[int], Pace],
                                          slept: Slept) -> None:
    with runtime.opened(shared, "upload.turn") as descriptor:
        os.pwrite(descriptor, b"\xff" * 11, 0)
    pace(1_000_000).take(1000)
    assert slept.slept_ns == 0


_TAKER = """
import sys
from nightscan_tasks.settings import load
from nightscan_tasks.stores.pacing import Paces
environ = {"NIGHTSCAN_RUNTIME_DIR": sys.argv[1], "NIGHTSCAN_UPLOAD_BYTES_PER_SECOND": sys.argv[2]}
pace = Paces.of(load(environ)).up
print("ready", flush=True)
total = int(sys.stdin.readline())
began = pace.clock.now_ns()
while total:
    total -= pace.take(total)
print(began, pace.clock.now_ns(), flush=True)
"""


def _taker(folder: Path, rate: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", _TAKER, str(folder), str(rate)], text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_processes_share_one_line_and_none_starves(tmp_path: Path) -> None:
    takers = [_taker(tmp_path, 400_000) for _ in range(3)]
    try:
        for each in takers:
            assert each.stdout
            assert each.stdout.readline() == "ready\n"
        times = [each.communicate("200000\n", timeout=120)[0].split() for each in takers]
    finally:
        for each in takers:
            each.kill()
            each.communicate()
    began, ended = min(int(time[0]) for time in times), max(int(time[1]) for time in times)
    assert ended - began >= (600_000 / 400_000 - 0.35) * SECOND  # together no faster than one alone might be


def test_nobody_waits_for_who_was_killed_while_it_waited(tmp_path: Path, slept: Slept) -> None:
    victim = _taker(tmp_path, 1000)
    try:
        assert victim.stdin
        assert victim.stdout
        assert victim.stdout.readline() == "ready\n"
        victim.stdin.write("100000\n")
        victim.stdin.flush()
        state = tmp_path / "upload.turn"
        wait_until(lambda: state.exists() and state.stat().st_size, "the first turn")
        os.kill(victim.pid, signal.SIGSTOP)  # stopped first: it might hold the file, or sleep
    finally:
        victim.kill()
        victim.communicate()
    settings = load({"NIGHTSCAN_RUNTIME_DIR": str(tmp_path), "NIGHTSCAN_UPLOAD_BYTES_PER_SECOND": "1000"})
    up = Paces.of(settings).up
    assert up
    began = up.clock.now_ns()
    with up.opened() as descriptor, runtime.locked(descriptor):
        free_ns = int.from_bytes(os.pread(descriptor, 24, 0)[16:], "little")
    assert free_ns - began <= 5 * SECOND  # no more than the turns it had taken: not its hundred seconds


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    settings = load({"NIGHTSCAN_TEMP_DIR": str(tmp_path)})
    folder = runtime.folder_of(settings)
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(SettingsError, match="NIGHTSCAN_RUNTIME_DIR"), runtime.opened(settings, "x"):
        pass


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    settings = load({"NIGHTSCAN_TEMP_DIR": str(tmp_path)})
    with runtime.opened(settings, "first"):
        pass
    (tmp_path / "precious").write_text("precious")
    (runtime.folder_of(settings) / "upload.turn").symlink_to(tmp_path / "precious")
    with pytest.raises(SettingsError), runtime.opened(settings, "upload.turn"):
        pass


def test_the_folder_is_this_users_own(tmp_path: Path) -> None:
    settings = load({"NIGHTSCAN_TEMP_DIR": str(tmp_path)})
    with runtime.opened(settings, "upload.turn"):
        pass
    folder = runtime.folder_of(settings)
    assert folder.name == f"nightscan-{os.geteuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
