"""Manifests that are truncated, of a newer format, or list what is not there: everybody goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks import rotation
from nightscan_tasks.backup import Request, run_local
from nightscan_tasks.catalog import Broken
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import Days, Plan, SetId, Tier
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.verification import verify_set
from nightscan_tasks.workflows import RETENTION

CONFIG = Plan(Tier.DAILY, ("system_config",), Days(7))


def truncated(manifest: Path) -> None:
    manifest.write_bytes(manifest.read_bytes()[:100])


def newer(manifest: Path) -> None:
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format_version": 99}))


def lacking(manifest: Path) -> None:
    (manifest.parent / "system_config.tar.gz").unlink()


DAMAGE = pytest.mark.parametrize("damage", [truncated, newer, lacking])


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    root, etc = tmp_path / "nightscan", tmp_path / "etc"
    root.mkdir()
    etc.mkdir()
    (etc / "crontab").write_text("0 2 * * * root true\n")
    return {"NIGHTSCAN_ROOT": str(root), "NIGHTSCAN_ETC": str(etc),
            "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), "NIGHTSCAN_MINIMUM_GOOD": "1"}


@pytest.fixture
def taken(environ: dict[str, str]) -> Callable[[int], SetId]:
    """Take a set so many days ago."""
    def take(days_ago: int) -> SetId:
        outcome = run_local(at(environ, days_ago), Request(CONFIG))
        assert outcome.ending == Ending.GOOD
        return outcome.set_id
    return take


def at(environ: dict[str, str], days_ago: int = 0) -> System:
    return System(load(environ), lambda: datetime.now(UTC) - timedelta(days=days_ago))


def manifest_of(environ: dict[str, str], set_id: SetId) -> Path:
    return Path(environ["NIGHTSCAN_BACKUP_DIR"]) / str(set_id) / "manifest.json"


def nightscan(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "nightscan_tasks.cli", *arguments], text=True, check=False,
                          capture_output=True, env={**os.environ, **environ})


@DAMAGE
def test_the_next_run_and_the_list_go_on_and_the_list_says_which(
        environ: dict[str, str], taken: Any, damage: Callable[[Path], None]) -> None:
    bad = taken(1)
    damage(manifest_of(environ, bad))
    good = taken(0)
    entries = {entry.set_id: entry for entry in at(environ).catalog().entries()}
    assert set(entries) == {bad, good}
    broken = entries[bad]
    if damage is lacking:
        system = at(environ)
        found = verify_set(system.catalog(), system.catalog().get(bad), clock=system.clock)
        assert found.problems == (
            f"primary {bad}/system_config.tar.gz is missing, though the manifest lists it",)
    else:
        assert isinstance(broken, Broken)
        assert str(bad) in broken.problem
        assert damage is truncated or "format 99" in broken.problem
    assert at(environ).catalog().pick(tier=Tier.DAILY).set_id == good


@DAMAGE
def test_rotation_does_not_count_a_broken_set_as_a_good_one(
        environ: dict[str, str], taken: Any, damage: Callable[[Path], None]) -> None:
    old, bad = taken(10), taken(1)
    damage(manifest_of(environ, bad))
    if damage is lacking:  # what reading it back finds is on record
        system = at(environ)
        found = verify_set(system.catalog(), system.catalog().get(bad), clock=system.clock)
        system.ledger.verify(system.catalog().get(bad).run_id, found)
    system = at(environ)
    done = rotation.rotate(system, system.primary, RETENTION)
    assert done.remove == ()
    assert done.held is not None
    assert old in system.catalog().ids()
    assert rotation.sweep(system, system.primary) == []


@DAMAGE
def test_once_there_is_a_good_one_again_rotation_goes_on_and_leaves_the_broken_one_to_a_person(
        environ: dict[str, str], taken: Any, damage: Callable[[Path], None]) -> None:
    old, bad, good = taken(10), taken(1), taken(0)
    damage(manifest_of(environ, bad))
    system = at(environ)
    done = rotation.rotate(system, system.primary, RETENTION)
    assert done.held is None
    assert done.remove == (old,)
    rotation.sweep(system, system.primary)
    rotation.forget_old_runs(system)
    assert set(system.catalog().ids()) == {bad, good}


@DAMAGE
def test_the_commands_say_which_and_do_not_stop(
        environ: dict[str, str], taken: Any, damage: Callable[[Path], None]) -> None:
    bad, good = taken(1), taken(0)
    damage(manifest_of(environ, bad))
    listed = nightscan(environ, "list", "--json")
    assert listed.returncode == (0 if damage is lacking else 3), listed.stderr
    sets = {each["set_id"]: each for each in json.loads(listed.stdout)["sets"]}
    assert sets[str(good)]["state"] == "complete"
    if damage is not lacking:
        assert sets[str(bad)]["state"] == "broken"
        assert sets[str(bad)]["broken"]["primary"]
    verified = nightscan(environ, "verify", str(bad), "--local")
    assert verified.returncode == 1
    assert str(bad) in verified.stdout + verified.stderr
    assert nightscan(environ, "rotate", "--dry-run", "--local").returncode == 0
