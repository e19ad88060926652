"""A site that goes on living while its set is taken: what was saved comes back all the same."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks import backup
from nightscan_tasks.backup import Request
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import Days, Plan, Tier
from nightscan_tasks.restore import Choice, restore
from nightscan_tasks.restore import Request as Restoring
from nightscan_tasks.system import System

PLAN = Plan(Tier.DAILY, ("user_data",), Days(7))


def upload(root: Path) -> None:
    """A file more in a folder, whose time that changes."""
    (root / "uploads" / "late.wav").write_bytes(b"late")
    os.utime(root / "uploads", ns=(1, 1_600_000_000_000_000_000))


def close(root: Path) -> None:
    """Another mode for a folder."""
    (root / "uploads").chmod(0o700)


def remove(root: Path) -> None:
    """A folder that is gone, with what was in it."""
    shutil.rmtree(root / "models")


@pytest.mark.parametrize("happens", [upload, close, remove])
@pytest.mark.parametrize("order", [("user_data.00", "user_data.01"), ("user_data.01", "user_data.00")])
def test_what_happens_between_two_archives_of_a_set_does_not_spoil_it(
        system: System, site: Any, happens: Callable[[Path], None], order: tuple[str, str]) -> None:
    run = backup.open_run(system, Request(PLAN)).run
    backup.start(system, run)
    backup.dump(system, run.run_id, order[0])
    happens(site.root)
    backup.dump(system, run.run_id, order[1])
    for part in order:
        backup.upload(system, run.run_id, part, "offsite")
    outcome = backup.settle(system, run.run_id)
    assert outcome is not None
    assert outcome.ending == Ending.GOOD
    restore(system, Restoring(Choice(), ("user_data",)))
    assert (site.root / "uploads" / "a.wav").read_bytes() == b"a" * 5000
