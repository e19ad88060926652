"""Killed at any step, of ours or of the server: the old state or the new one, and the next process knows."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components.redis_fingerprint import compare_redis
from nightscan_tasks.components.restorer import Position
from nightscan_tasks.errors import RestoreRefused

_CHILD = """
import contextlib, os, pickle, signal, sys
from datetime import UTC, datetime
from pathlib import Path
import redis
from pydantic import SecretStr
from nightscan_tasks.components.redis_restorer import RedisRestorer

class Source:
    def __init__(self, report, artifact, data):
        self.report, self.artifacts, self.data = report, (artifact,), data
    @contextlib.contextmanager
    def open(self, artifact):
        yield iter([self.data])

folder, url, *steps = sys.argv[1:]
source = Source(*pickle.loads((Path(folder) / "source").read_bytes()))
def die():
    os.kill(os.getpid(), signal.SIGKILL)
if steps[0].startswith("after "):  # so many scripts
    left, execute = int(steps.pop(0)[6:]), redis.Redis.execute_command
    def counted(self, *words, **options):
        global left
        left -= words[0] in ("EVAL", "EVALSHA")
        return execute(self, *words, **options) if left else die()
    redis.Redis.execute_command = counted
for step in steps:
    name = step.rstrip("!")
    clock = die if step.endswith("!") else lambda: datetime.now(UTC)
    ours = RedisRestorer(SecretStr(url), "run", temp_dir=Path(folder), clock=clock)
    getattr(ours, name)(*([source] if name == "stage" else []))
print("done", flush=True)
die()
"""


@contextlib.contextmanager
def child(server: Any, source: Any, folder: Path, *steps: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that does these steps, and dies: at one with a `!`, after some scripts, at its end."""
    (folder / "source").write_bytes(pickle.dumps((source.report, source.artifact, source.data)))
    with subprocess.Popen([sys.executable, "-c", _CHILD, str(folder), server.url(), *steps],
                          stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def die_after(server: Any, source: Any, folder: Path, *steps: str) -> None:
    with child(server, source, folder, *steps) as process:
        assert process.wait(180) == -signal.SIGKILL


def test_killed_before_and_after_each_step(valkey: Any, tmp_path: Path) -> None:
    server = valkey
    server.run(("SET", "a", "saved"), ("SET", "gone", 1))
    saved = server.content(0)
    source = server.source()
    server.run(("SET", "a", "live"), ("DEL", "gone"))
    live = server.content(0)
    ours = server.restorer(tmp_path)
    for steps, position, expected in (
        (("stage!",), Position.ABSENT, live), (("stage",), Position.STAGED, live),
        (("swap!",), Position.STAGED, live), (("swap",), Position.SWAPPED, saved),
        (("undo!",), Position.SWAPPED, saved), (("undo",), Position.UNDONE, live),
    ):
        die_after(server, source, tmp_path, *steps)
        assert ours.position() is position
        assert compare_redis(expected, server.content(0)) == []


def test_killed_in_the_middle_of_a_copy(valkey: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    server, folder = valkey, tmp_path_factory.mktemp("r")  # short: there is a socket in it
    with contextlib.closing(server.client()) as client, client.pipeline(transaction=False) as pipe:
        for number in range(40_000):
            pipe.set(f"key {number}", number)
        pipe.execute()
    source = server.source()
    server.run(("FLUSHDB",), ("SET", "a", "live"))
    die_after(server, source, folder, "after 40", "stage")
    with contextlib.closing(server.client()) as client:
        assert 3 < client.info("keyspace")["db15"]["keys"] < 40_000
    (left,) = folder.glob("nightscan-redis-*")
    os.utime(left, (0, 0))
    ours = server.restorer(folder)
    assert ours.position() is Position.STAGED
    with pytest.raises(RestoreRefused, match="not whole"):
        ours.swap()
    assert server.run(("GET", "a"), ("DBSIZE",)) == [b"live", 1]
    ours.stage(source)
    ours.swap()
    assert server.run(("DBSIZE",)) == [40_000]
    assert not left.exists()


@pytest.mark.parametrize("name", ["valkey", "redis"])
@pytest.mark.parametrize("appendonly", ["yes", "no"])
def test_the_swapped_state_is_there_after_the_server_was_killed(
    start_server: Callable[..., Any], name: str, appendonly: str, tmp_path: Path,
) -> None:
    server = start_server(name, f"appendonly {appendonly}", "appendfsync always")
    server.run(("SET", "a", "saved"), ("SET", "expiring", 1, "PX", 100_000_000), ("HSET", "h", "f", 1))
    saved = server.content(0)
    source = server.source()
    server.run(("SET", "a", "live"), ("SET", "new", 1), ("SADD", "_kombu.binding.q", "q\x06\x16\x06\x16q"),
               ("RPUSH", "q", "task"))

    def restart() -> None:
        if appendonly == "no":
            server.run(("SAVE",))
        server.kill()
        server.start()

    ours = server.restorer(tmp_path)
    ours.stage(source)
    restart()
    assert ours.position() is Position.STAGED
    ours.swap()
    restart()
    assert ours.position() is Position.SWAPPED
    assert server.run(("LRANGE", "q", 0, -1)) == [[b"task"]]
    server.run(("DEL", "q", "_kombu.binding.q"))
    assert compare_redis(saved, server.content(0)) == []
    ours.undo()
    restart()
    assert server.run(("MGET", "a", "new")) == [[b"live", b"1"]]
    ours.accept()
    restart()
    assert ours.position() is Position.ABSENT
    assert set(server.content(*range(16))["databases"]) == {"0"}
    server.kill()
