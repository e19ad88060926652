"""The guide's scenarios, each with the commands of the runbook, through real workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from nightscan_tasks.world.world import World

pytestmark = pytest.mark.long


@pytest.fixture
def env(celery_world: World) -> Iterator[Mapping[str, str]]:
    """The settings of a world whose workers run; what restores keep is let go afterwards."""
    environ = celery_world.environ()
    yield environ
    for state in json.loads(typed(environ, "restore", "runs", "--json").stdout):
        if state["accepted"] is None:
            done = typed(environ, "restore", "accept", state["run"]["run_id"])
            assert done.returncode == 0, done.stderr


def typed(environ: Mapping[str, str], *words: str,
          program: tuple[str, ...] = ("nightscan_tasks.cli",)) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME")}
    return subprocess.run([sys.executable, "-m", *program, *words], capture_output=True, text=True,
                          check=False, env={**kept, **environ, "COLUMNS": "100"})


def rows(environ: Mapping[str, str], query: str) -> Any:
    with psycopg.connect(environ["NIGHTSCAN_DATABASE_URI"], autocommit=True) as connection:
        found = connection.execute(query.encode())
        return found.fetchall() if found.description else None


def test_scenario_1_a_corrupted_database(env: Mapping[str, str]) -> None:
    assert typed(env, "backup", "daily", "--wait").returncode == 0
    before = rows(env, "SELECT count(*), sum(file_size) FROM prediction")
    rows(env, "DROP TABLE prediction CASCADE")
    diagnosis = typed(env, "health")
    assert diagnosis.returncode == 1
    assert "prediction" in diagnosis.stdout
    done = typed(env, "restore", "database", "--tier", "daily", "--index", "1")
    assert done.returncode == 0, done.stderr
    assert " met" in done.stdout
    assert rows(env, "SELECT count(*), sum(file_size) FROM prediction") == before
    assert typed(env, "health").returncode in {0, 3}


def test_scenario_3_lost_files(env: Mapping[str, str]) -> None:
    assert typed(env, "backup", "weekly", "--wait").returncode == 0
    root = Path(env["NIGHTSCAN_ROOT"])
    (name,) = rows(env, "SELECT filename FROM prediction ORDER BY filename LIMIT 1")[0]
    lost = root / "uploads" / name
    content = lost.read_bytes()
    lost.unlink()
    found = typed(env, "reconcile", "--json")
    assert found.returncode == 3, found.stderr
    assert json.loads(found.stdout)["recoverable"] == 1
    done = typed(env, "restore", "user_data", "--tier", "weekly", "--index", "1")
    assert done.returncode == 0, done.stderr
    assert lost.read_bytes() == content
    assert json.loads(typed(env, "reconcile", "--json").stdout)["missing"] == 0
    validated = typed(env, "validate")
    assert validated.returncode == 0, validated.stdout + validated.stderr
    assert "Nothing is damaged, and nothing is missing." in validated.stdout


def test_celery_call_with_no_argument_restores_the_newest_good_set(env: Mapping[str, str],
                                                                   celery_world: World) -> None:
    assert typed(env, "backup", "manual", "--wait").returncode == 0
    before = rows(env, "SELECT count(*) FROM detection")
    rows(env, "TRUNCATE detection")
    called = typed({**celery_world.processes_environ()}, "-A", "worker", "call", "nightscan.restore_full",
                   program=("celery",))
    assert called.returncode == 0, called.stderr
    ended = typed(celery_world.processes_environ(), "-A", "worker", "result", called.stdout.strip(),
                  program=("celery",))
    assert "restored" in ended.stdout, ended.stdout + ended.stderr
    assert rows(env, "SELECT count(*) FROM detection") == before


def test_the_monthly_drill_by_a_worker(env: Mapping[str, str]) -> None:
    assert typed(env, "backup", "daily", "--wait").returncode == 0
    done = typed(env, "drill", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    held = json.loads(done.stdout)
    assert held["problems"] == []
    assert {each["component"] for each in held["components"]} == {"database", "redis", "user_data"}
