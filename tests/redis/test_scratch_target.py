"""A Redis of our own to restore into."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components.redis_restorer import RedisRestorer
from nightscan_tasks.components.redis_scratch_target import plan_scratch_target, scratch_target
from nightscan_tasks.components.redis_server import connected
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.programs import Tool


def tool(name: str, *version: int) -> Tool:
    return Tool(f"{name}-server", Path(f"/{name}"), version, "system")


@pytest.mark.parametrize(("saved", "expected", "says"), [
    ("valkey 9.0.1", "valkey 9.1.2", ""),
    ("redis 6.0.16", "redis 6.2.14", ""),
    ("redis 7.0.15", "redis 7.4.0", ""),
    ("valkey 8.0.1", "valkey 9.1.2", "made from valkey 8.0.1, the drill runs on valkey 9.1.2"),
    ("redis 5.0.3", "redis 6.2.14", "the drill runs on redis 6.2.14"),
])
def test_the_nearest_server_that_reads_the_set_is_taken(saved: str, expected: str, says: str) -> None:
    _, flavour, note = plan_scratch_target(
        saved, [tool("valkey", 9, 1, 2), tool("redis", 6, 2, 14), tool("redis", 7, 4, 0)])
    assert str(flavour) == expected
    assert says in note
    assert bool(note) == bool(says)


@pytest.mark.parametrize("saved", ["valkey 9.0.0", "keydb 6"])
def test_no_fitting_server_is_refused(saved: str) -> None:
    with pytest.raises(RestoreRefused, match=r"NIGHTSCAN_DRILL_REDIS_URL|'keydb 6'"):
        plan_scratch_target(saved, [tool("redis", 6, 2, 14)])


def test_a_set_is_restored_into_it(server: Any, tmp_path: Path) -> None:
    server.run(("SET", "a", 1))
    server.run(("SET", "b", 2), db=9)
    source = server.source()
    with scratch_target(source.report.versions["redis"], temp_dir=tmp_path) as target:
        assert target.flavour.name == server.name
        assert target.note == ""
        ours = RedisRestorer(target.url, "drill", temp_dir=tmp_path)
        assert ours.examine(source).problems == ()
        ours.stage(source)
        assert ours.swap().before is None
        with connected(target.url, database=9) as client:
            assert client.get("b") == b"2"
    assert list(tmp_path.iterdir()) == []


def test_a_scratch_server_that_runs_is_not_swept_away(valkey: Any, tmp_path: Path) -> None:
    saved = f"valkey {valkey.tool.version[0]}.0"
    with scratch_target(saved, temp_dir=tmp_path) as first:
        folder = Path(first.url.get_secret_value().removeprefix("unix://")).parent
        os.utime(folder, (0, 0))
        with scratch_target(saved, temp_dir=tmp_path), connected(first.url) as client:
            assert client.ping()
        assert folder.exists()
