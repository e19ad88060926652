"""A lease is had by one, is lost loudly, and fences with its token."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from nightscan_tasks.errors import Busy, LeaseLost
from nightscan_tasks.lease import Leases
from nightscan_tasks.stores.base import Store
from tests.clock import Clock


@pytest.fixture
def leases(store: Store, clock: Clock) -> Leases:
    return Leases(store, clock, seconds=120)


def test_one_holder_at_a_time_and_the_other_is_told_who(leases: Leases) -> None:
    leases.acquire("backup", "daily-1")
    with pytest.raises(Busy, match="daily-1"):
        leases.acquire("backup", "weekly-1")


def test_its_holder_takes_it_up_again_with_the_same_token(leases: Leases) -> None:
    assert leases.acquire("backup", "daily-1").token == leases.acquire("backup", "daily-1").token


def test_a_released_one_is_free_and_the_token_grows(leases: Leases) -> None:
    first = leases.acquire("backup", "daily-1")
    leases.release(first)
    assert leases.acquire("backup", "weekly-1").token == first.token + 1


def test_a_silent_holder_loses_it(leases: Leases, clock: Clock) -> None:
    first = leases.acquire("backup", "daily-1")
    clock.forward(seconds=121)
    leases.acquire("backup", "weekly-1")
    with pytest.raises(LeaseLost):
        leases.check(first)
    with pytest.raises(LeaseLost):
        leases.renew(first)


def test_an_expired_one_that_nobody_took_is_still_its_holders(leases: Leases, clock: Clock) -> None:
    held = leases.acquire("backup", "daily-1")
    clock.forward(hours=5)
    leases.check(held)
    leases.renew(held)
    with pytest.raises(Busy):
        leases.acquire("backup", "weekly-1")


def test_a_heartbeat_keeps_it_and_tells_the_progress(leases: Leases, clock: Clock) -> None:
    held = leases.acquire("backup", "daily-1")
    for _ in range(5):
        clock.forward(seconds=100)
        leases.renew(held, {"bytes": 5})
    with pytest.raises(Busy):
        leases.acquire("backup", "weekly-1")
    seen = leases.look("backup")
    assert seen is not None
    assert seen.beat.progress == {"bytes": 5}


def test_the_old_holders_late_heartbeat_does_not_bring_its_lease_back(
        leases: Leases, clock: Clock, store: Store) -> None:
    old = leases.acquire("backup", "daily-1")
    clock.forward(seconds=121)
    new = leases.acquire("backup", "weekly-1")
    late = b'{"holder": "daily-1", "expires_at": "2030-01-01T00:00:00Z"}'
    store.put(f"leases/backup/{old.token:012d}.beat", [late])
    seen = leases.look("backup")
    assert seen is not None
    assert seen.token == new.token
    assert seen.beat.holder == "weekly-1"


def test_of_many_that_ask_at_once_one_has_it(leases: Leases) -> None:
    barrier = threading.Barrier(12)

    def ask(number: int) -> bool:
        barrier.wait()
        try:
            leases.acquire("backup", f"run-{number}")
        except Busy:
            return False
        return True

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(ask, range(12))) == 1


def test_kept_alive_it_reports_its_loss(store: Store) -> None:
    now: list[datetime] = [datetime.fromisoformat("2026-11-23T02:00:00+00:00")]
    clock: Callable[[], datetime] = lambda: now[0]  # noqa: E731 - the test moves it from two threads
    mine, others = Leases(store, clock, seconds=1), Leases(store, clock, seconds=1)
    held = mine.acquire("backup", "daily-1")
    renewed, lost = threading.Event(), threading.Event()

    def progress() -> dict[str, object]:
        renewed.set()
        return {}

    with mine.kept([held], progress) as check:  # type: ignore[arg-type]
        assert renewed.wait(120)
        now[0] = datetime.fromisoformat("2026-11-24T02:00:00+00:00")
        while True:  # it may be renewed at this very moment: then it is not expired yet
            try:
                others.acquire("backup", "weekly-1")
                break
            except Busy:
                now[0] = now[0].replace(year=now[0].year + 1)
        for _ in range(300):
            try:
                check()
            except LeaseLost:
                lost.set()
                break
            threading.Event().wait(0.1)
    assert lost.is_set()


def test_forgetting_a_run_leaves_the_others(leases: Leases) -> None:
    leases.acquire("daily-1/database", "a")
    leases.acquire("daily-10/database", "b")
    leases.forget("daily-1/")
    assert leases.look("daily-1/database") is None
    assert leases.look("daily-10/database") is not None
