from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nightscan_tasks.world import daemon
from nightscan_tasks.world.world import World

STARTER = """
import sys
from pathlib import Path
from nightscan_tasks.world.world import World
World.up(Path(sys.argv[1]), celery=False)
sys.stdin.read()
"""
MOMENTS: dict[str, Callable[[Path], bool]] = {
    "as soon as there is a state": lambda folder: (folder / "world.json").exists(),
    "when the first server is remembered": lambda folder: bool(_records(folder)),
    "when the first process is there": lambda folder: (folder / "s3/process").exists(),
    "in the middle of initdb": lambda folder: (folder / "postgres/data/PG_VERSION").exists(),
    "when PostgreSQL is starting": lambda folder: (folder / "postgres/process").exists(),
}


def _cut_short(folder: Path, moment: str) -> None:
    """Start a world in another process, which is killed at that moment."""
    path = filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")))
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    with subprocess.Popen([sys.executable, "-c", STARTER, str(folder)], env=environ,
                          stdin=subprocess.PIPE) as starter:
        try:
            daemon.wait_until(lambda: starter.poll() is not None or MOMENTS[moment](folder), 60,
                              moment)
            assert starter.poll() is None, "it ended by itself"
        finally:
            starter.kill()


@pytest.mark.parametrize("moment", MOMENTS)
def test_down_ends_everything_after_the_starter_was_killed(
        tmp_path: Path, moment: str, living_in: Callable[[Path], dict[int, str]]) -> None:
    folder = tmp_path / "w"
    _cut_short(folder, moment)
    World.down(folder)
    assert not living_in(folder)
    World.down(folder, purge=True)
    assert not folder.exists()


def test_a_world_that_was_cut_short_comes_up_whole(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    _cut_short(folder, "in the middle of initdb")
    try:
        assert all(status.up for status in World.up(folder, celery=False).status())
    finally:
        World.down(folder)


def _records(folder: Path) -> dict[str, object]:
    try:
        records = json.loads((folder / "world.json").read_text())["records"]
    except FileNotFoundError:
        return {}
    assert isinstance(records, dict)
    return records
