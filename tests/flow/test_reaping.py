"""What is left over is found in the ledger alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nightscan_tasks import backup
from nightscan_tasks.errors import Busy
from nightscan_tasks.ledger import Ending, Run
from nightscan_tasks.model import Days, Plan, Tier
from nightscan_tasks.system import System

WEEKLY = Plan(Tier.WEEKLY, ("system_config",), Days(28))
FILES = Plan(Tier.DAILY, ("user_data", "system_config"), Days(7))
Opened = Callable[[System, Plan], Run]


def test_work_whose_worker_died_is_sent_again(system: System, site: Any, opened: Opened) -> None:
    run = opened(system, WEEKLY)
    system.leases.acquire(f"{run.run_id}/system_config", "a worker that is killed now")
    assert backup.reap(system) == []
    site.clock.forward(seconds=system.settings.lease_seconds + 1)
    (todo,) = backup.reap(system)
    assert todo.work == ("system_config",)


def test_work_that_nobody_ever_took_is_sent_again_but_not_at_once(
        system: System, site: Any, opened: Opened) -> None:
    run = opened(system, WEEKLY)
    assert backup.reap(system) == []
    site.clock.forward(seconds=system.settings.lease_seconds + 1)
    assert backup.reap(system)[0].work == ("system_config",)
    assert backup.reap(system) == []  # it was just sent
    site.clock.forward(seconds=5 * system.settings.lease_seconds + 1)
    assert backup.reap(system)[0].work == ("system_config",)
    assert run.run_id


def test_work_that_kills_every_worker_is_given_up(system: System, site: Any, opened: Opened) -> None:
    run = opened(system, WEEKLY)
    for _ in range(20):
        site.clock.forward(seconds=6 * system.settings.lease_seconds)
        todos = backup.reap(system)
        if todos and todos[0].settle:
            break
    outcome = backup.settle(system, run.run_id)
    assert outcome is not None
    assert outcome.ending == Ending.FAILED
    assert "vanished" in outcome.failures[0].message


def test_parts_that_each_lost_a_worker_once_do_not_add_up(
        system: System, site: Any, opened: Opened) -> None:
    run = opened(system, FILES)
    for part in run.parts * system.settings.retries:
        system.leases.acquire(f"{run.run_id}/{part}", "a worker that is killed now")
        living = [system.leases.acquire(f"{run.run_id}/{other}", "a worker that lives")
                  for other in run.parts if other != part]
        site.clock.forward(seconds=system.settings.lease_seconds + 1)
        for held in living:
            system.leases.renew(held)
        (todo,) = backup.reap(system)
        assert todo.work == (part,)
        for held in living:
            system.leases.release(held)
    assert not system.ledger.state(run.run_id).failures


def test_work_that_waits_behind_large_archives_for_hours_is_not_given_up(
        system: System, site: Any, opened: Opened) -> None:
    """As where all jobs of the host are taken: nobody holds its lease, and nobody has vanished."""
    run = opened(system, FILES)
    busy = [system.leases.acquire(f"{run.run_id}/{part}", "a worker with much to archive")
            for part in run.parts if part.startswith("user_data")]
    sent = 0
    for _ in range(300):
        site.clock.forward(seconds=system.settings.lease_seconds / 2)
        for held in busy:
            system.leases.renew(held)
        for todo in backup.reap(system):
            assert (todo.work, todo.settle) == (("system_config",), False)
            sent += 1
    assert sent > 10
    assert system.ledger.failure(run.run_id, "system_config") is None


def test_a_run_past_its_deadline_is_settled_as_it_is(system: System, site: Any, opened: Opened) -> None:
    run = opened(system, FILES)
    backup.dump(system, run.run_id, "system_config")
    site.clock.forward(seconds=system.settings.deadline_seconds + 1)
    (todo,) = backup.reap(system)
    assert todo.settle
    assert todo.final
    outcome = backup.settle(system, run.run_id, final=True)
    assert outcome is not None
    assert outcome.ending == Ending.INCOMPLETE


def test_a_live_run_is_left_alone_and_its_lease_kept(system: System, site: Any, opened: Opened) -> None:
    run = opened(system, WEEKLY)
    held = system.leases.acquire(f"{run.run_id}/system_config", "busy worker")
    for _ in range(10):
        site.clock.forward(seconds=100)
        system.leases.renew(held)
        assert backup.reap(system) == []
    with pytest.raises(Busy):
        system.leases.acquire("backup", "weekly")


def test_a_run_that_began_by_a_clock_a_day_ahead_is_finished_all_the_same(
        system: System, site: Any, opened: Opened) -> None:
    site.clock.forward(days=1)
    run = opened(system, WEEKLY)
    system.leases.acquire(f"{run.run_id}/system_config", "a worker that dies by the wrong clock")
    site.clock.forward(days=-1)
    (todo,) = backup.reap(system)
    assert todo.start
    backup.start(system, run)
    site.clock.forward(seconds=system.settings.lease_seconds + 1)
    (todo,) = backup.reap(system)
    assert todo.work == ("system_config",)
    backup.dump(system, run.run_id, "system_config")
    outcome = backup.settle(system, run.run_id, final=True)
    assert outcome is not None
    assert outcome.ending is Ending.DEGRADED  # nobody copied it yet
