"""The broker is never the Redis that is backed up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nightscan_tasks.world import environment


@pytest.mark.parametrize("program", ["worker", "beat"])
def test_a_broker_that_is_backed_up_is_refused_at_start_with_what_to_do_instead(
        program: str, environ: dict[str, str], tmp_path: Path) -> None:
    shared = environ["REDIS_URL"].replace("127.0.0.1", "localhost")
    arguments = {"worker": ["-Q", "nightscan.control"], "beat": ["--pidfile", "", "-s", str(tmp_path / "s")]}
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker", program, *arguments[program]], text=True,
        env={**environment.of_processes(tmp_path), **environ, "NIGHTSCAN_BROKER_URL": shared},
        cwd=tmp_path, capture_output=True, timeout=60, check=False)
    told = done.stdout + done.stderr
    assert done.returncode != 0
    assert "NIGHTSCAN_BROKER_URL is on localhost" in told
    assert "which is the Redis that is backed up" in told
    assert "NIGHTSCAN_BROKER_URL=redis://localhost:6380/0" in told
    assert " ready." not in told
