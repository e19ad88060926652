"""The broker: never the Redis that is backed up; and what is lost when it goes away: nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.ledger import Ending
from nightscan_tasks.world import environment
from nightscan_tasks.world.world import World


@pytest.mark.parametrize("program", ["worker", "beat"])
def test_a_broker_that_is_backed_up_is_refused_at_start_with_what_to_do_instead(
        program: str, environ: dict[str, str], tmp_path: Path) -> None:
    shared = environ["REDIS_URL"].replace("127.0.0.1", "localhost")
    arguments = {"worker": ["-Q", "nightscan.control"], "beat": ["--pidfile", "", "-s", str(tmp_path / "s")]}
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker", program, *arguments[program]], text=True,
        env={**environment.of_processes(tmp_path), **environ, "NIGHTSCAN_BROKER_URL": shared},
        cwd=tmp_path, capture_output=True, timeout=180, check=False)
    told = done.stdout + done.stderr
    assert done.returncode != 0
    assert "NIGHTSCAN_BROKER_URL is on localhost" in told
    assert "which is the Redis that is backed up" in told
    assert "NIGHTSCAN_BROKER_URL=redis://localhost:6380/0" in told
    assert " ready." not in told


def test_a_broker_that_goes_away_in_mid_dump_costs_the_run_nothing(
        crews: Callable[..., Any], site: dict[str, str], held: Any, until: Any, dumping: Any,
        tmp_path: Path) -> None:
    dsn, folder = site["NIGHTSCAN_DATABASE_URI"], tmp_path / "w"
    world = World.up(folder, services=("broker",), celery=False)
    given = {name: world.environ()[name] for name in ("NIGHTSCAN_BROKER_URL", "NIGHTSCAN_RESULT_BACKEND")}
    crew = crews(tmp_path / "crew", {**site, **given, "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups")})
    queues = ("fast", "heavy", "control")

    def operate() -> None:
        """What systemd and beat do: the worker is started again, and `reap` is sent."""
        if crew.hands["all"].process.poll() is not None:
            crew.hire("all", *queues, concurrency=2)
        crew.reap()

    try:
        hand = crew.hire("all", *queues, concurrency=2)
        with held(dsn) as waits:
            run_id = crew.manual("database", "system_config")
            until(lambda: waits() and dumping(dsn), "pg_dump to wait")
            world.stop("broker")
            until(lambda: "onnection" in hand.said().partition(" ready.")[2], "the worker to notice")
        World.up(folder, services=("broker",), celery=False)
        outcome = until(lambda: crew.system.ledger.outcome(run_id), "the run to end", meanwhile=operate)
    finally:
        crew.close()
        World.down(folder)
    assert outcome.ending == Ending.GOOD
    assert crew.system.catalog().get(outcome.set_id).complete
