"""What a container's health check looks at is what a real worker does."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hands import Hand, wait_until, worker

HEALTHCHECK = Path(__file__).resolve().parents[2] / "compose/healthcheck"


@pytest.fixture
def beats(tmp_path: Path) -> Path:
    return tmp_path / "heartbeat"


@pytest.fixture
def hand(environ: dict[str, str], beats: Path, tmp_path: Path) -> Iterator[Hand]:
    """A worker that is told where to leave its heartbeats."""
    hand = worker(tmp_path, "beating", {**environ, "NIGHTSCAN_HEARTBEAT_FILE": str(beats)}, ["control"])
    yield hand
    hand.end()


def test_a_worker_is_well_as_long_as_it_leaves_heartbeats(hand: Hand, beats: Path) -> None:
    def well() -> bool:
        return subprocess.run([HEALTHCHECK, "worker"], check=False, env={
            "PATH": "/usr/bin:/bin", "NIGHTSCAN_HEARTBEAT_FILE": str(beats)},
            capture_output=True).returncode == 0

    assert not well()
    hand.ready()
    wait_until(well, "a healthy worker")
    first = beats.stat().st_mtime_ns
    wait_until(lambda: beats.stat().st_mtime_ns > first, "another heartbeat")
