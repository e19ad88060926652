"""Control tasks go on with the other stores when one is down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nightscan_tasks import backup
from nightscan_tasks.backup import Request
from nightscan_tasks.errors import StoreError
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import Days, Plan, Tier
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.tasks.control import _unverified, rotate, verify

CONFIG = Plan(Tier.DAILY, ("system_config",), Days(7))


@pytest.fixture
def taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Take a set so many days ago, in a primary and two offsite stores."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "crontab").write_text("0 2 * * * root true\n")
    environ = {"NIGHTSCAN_ETC": str(tmp_path / "etc"), "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"),
               "NIGHTSCAN_MINIMUM_GOOD": "1",
               "NIGHTSCAN_OFFSITE": f"{tmp_path / 'first'},{tmp_path / 'second'}"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def take(days_ago: float, tier: Tier = Tier.DAILY) -> str:
        system = System(load(environ), lambda: datetime.now(UTC) - timedelta(days=days_ago))
        outcome = backup.run_local(system, Request(replace(CONFIG, tier=tier)))
        assert outcome.ending == Ending.GOOD
        return str(outcome.set_id)

    return take


def sets(folder: Path) -> list[str]:
    return sorted(f"daily/{path.parent.name}" for path in folder.glob("daily/*/manifest.json"))


def test_rotation_removes_old_sets_from_every_store(taken: Callable[..., str], tmp_path: Path) -> None:
    taken(20)
    newest = taken(0)
    results = rotate()
    assert [result["removed"] for result in results] != []
    assert all(sets(tmp_path / name) == [newest] for name in ("backups", "first", "second"))


def test_the_newest_set_of_each_tier_is_verified_before_anything_goes(
        taken: Callable[..., str]) -> None:
    weekly, system = taken(3, Tier.WEEKLY), System.from_env()
    taken(0)
    assert _unverified(system, system.catalog()) is None
    system.primary.delete(f"runs/{weekly.replace('/', '-')}/verified.primary.json")
    assert str(_unverified(system, system.catalog())) == weekly


def test_a_rotation_that_finds_another_at_work_says_so_and_removes_nothing(
        taken: Callable[..., str], tmp_path: Path) -> None:
    both = [taken(20), taken(0)]
    with System.from_env().leases.hold("rotation", "another"):
        assert {result["state"] for result in rotate()} == {"another rotation is under way"}
    assert sets(tmp_path / "backups") == both


def test_a_store_that_is_down_keeps_no_offsite_store_from_its_rotation_but_the_primary_gives_nothing_away(
        taken: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, newest = taken(20), taken(0)
    for name, value in {"NIGHTSCAN_OFFSITE": f"s3://bucket/prefix,{tmp_path / 'first'}",
                        "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_REGION": "us-east-1",
                        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}.items():
        monkeypatch.setenv(name, value)
    verify(newest, "offsite2")  # the store has another name now
    with pytest.raises(StoreError, match=r"s3://bucket/prefix"):
        rotate()
    assert sets(tmp_path / "backups") == [old, newest]  # who knows what the store that is down has
    assert sets(tmp_path / "first") == [newest]
