"""Files are listed after the snapshot of the database that the set has in the end."""

from __future__ import annotations

from typing import Any

import pytest

from nightscan_tasks import backup
from nightscan_tasks.backup import Request
from nightscan_tasks.errors import Busy, SourceRefused
from nightscan_tasks.ledger import Run, Snapshot
from nightscan_tasks.model import Days, Plan, Tier
from nightscan_tasks.system import System

PLAN = Plan(Tier.DAILY, ("database", "user_data"), Days(7))


@pytest.fixture
def run(system: System) -> Run:
    run = backup.open_run(system, Request(PLAN)).run
    backup.start(system, run)
    return run


def taken(system: System, run: Run, token: str) -> None:
    system.ledger.announce(run.run_id, Snapshot(system.clock(), token))


def test_files_wait_for_the_snapshot(system: System, run: Run) -> None:
    with pytest.raises(Busy, match="snapshot"):
        backup.dump(system, run.run_id, "user_data.00")
    taken(system, run, "first")
    assert backup.dump(system, run.run_id, "user_data.00").snapshot == "first"


def test_where_the_database_failed_there_is_nothing_to_wait_for(system: System, run: Run) -> None:
    backup.give_up(system, run.run_id, "database", SourceRefused("wrong password"))
    assert backup.dump(system, run.run_id, "user_data.00").snapshot is None


def test_all_archives_of_a_run_share_one_list(system: System, run: Run, site: Any) -> None:
    taken(system, run, "first")
    first = backup.dump(system, run.run_id, "user_data.00")
    for number in range(20):  # they come too late for either archive
        (site.root / "uploads" / f"late{number}.wav").write_bytes(b"late")
    second = backup.dump(system, run.run_id, "user_data.01")
    files = [record.report.fingerprint["files"] for record in (first, second)]
    assert sum(int(str(count)) for count in files) == 4


def test_a_second_snapshot_needs_a_second_list(system: System, run: Run, site: Any) -> None:
    taken(system, run, "first")
    for part in ("user_data.00", "user_data.01"):
        backup.dump(system, run.run_id, part)
    (site.root / "uploads" / "named-by-a-row-of-the-second-snapshot.wav").write_bytes(b"new")
    taken(system, run, "second")
    site.clock.forward(seconds=system.settings.lease_seconds + 1)
    (todo,) = backup.reap(system)
    assert {"user_data.00", "user_data.01"} <= set(todo.work)
    again = [backup.dump(system, run.run_id, part) for part in ("user_data.00", "user_data.01")]
    assert {record.snapshot for record in again} == {"second"}
    assert sum(int(str(record.report.fingerprint["files"])) for record in again) == 5


def test_lists_are_gone_once_the_run_is_settled(system: System, run: Run, site: Any) -> None:
    taken(system, run, "first")
    backup.dump(system, run.run_id, "user_data.00")
    assert list((site.primary / "runs" / run.run_id).glob("listing.*"))
    backup.settle(system, run.run_id, final=True)
    assert not list((site.primary / "runs" / run.run_id).glob("listing.*"))
