"""Putting a Redis back in one step, with a way back."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components.redis_fingerprint import compare_redis, fingerprint_redis
from nightscan_tasks.components.redis_restorer import RedisRestorer
from nightscan_tasks.components.restorer import Position
from nightscan_tasks.errors import RestoreRefused

FAR_MS = 4102444800123
LIBRARY = "#!lua name=lib\nserver.register_function('f', function() return 1 end)"
KINDS = ["rdb", "resp"]


def fill(server: Any) -> None:
    """Every type, several databases, odd bytes, times of expiry."""
    server.run(
        ("SET", "string", "é"), ("SET", b"\x00\xff\r\n key", os.urandom(100)), ("SET", "empty", ""),
        ("RPUSH", "list", *range(300)), ("SADD", "set", "b", "a", b"\xff"), ("SADD", "ints", 1, 2, 3),
        ("SADD", "wideset", *(f"member {number}" for number in range(2000))),
        ("HSET", "hash", "f", "v", b"\x00", b"\x01"), ("HSET", "wide", *range(2000)),
        ("ZADD", "zset", 1.5, "a", "-inf", "b", 3, "c"), ("PFADD", "hll", *range(50)),
        ("SETBIT", "bits", 1000, 1), ("XADD", "stream", "5-1", "k", "v"),
        ("XGROUP", "CREATE", "stream", "group", 0),
        ("XREADGROUP", "GROUP", "group", "worker", "COUNT", 1, "STREAMS", "stream", ">"),
        ("SET", "soon", "v"), ("PEXPIREAT", "soon", FAR_MS))
    server.run(("SET", "other", "db"), ("SET", "expiring", 1), ("PEXPIREAT", "expiring", FAR_MS + 1), db=9)
    if server.tool.version >= (7,):
        server.run(("FUNCTION", "LOAD", LIBRARY))
    if server.tool.version >= (9,):
        server.run(("HPEXPIREAT", "hash", FAR_MS, "FIELDS", 1, "f"))


def change(server: Any) -> None:
    server.run(("SET", "string", "changed"), ("DEL", "list"), ("SET", "new", 1), ("PERSIST", "soon"))
    server.run(("FLUSHDB",), ("SET", "late", 1), db=9)
    if server.tool.version >= (7,):
        server.run(("FUNCTION", "LOAD", LIBRARY.replace("lib", "other").replace("'f'", "'g'")))


def fingerprint(server: Any) -> dict[str, Any]:
    with contextlib.closing(server.client()) as client:
        return fingerprint_redis(client)


def live(server: Any, *numbers: int) -> dict[str, Any]:
    """The fingerprint of the databases that the application sees."""
    found = fingerprint(server)
    return {**found, "databases": {str(number): found["databases"].get(str(number))
                                   for number in numbers or (0, 9) if str(number) in found["databases"]}}


def restorer(server: Any, tmp_path: Path, run_id: str = "run", **options: Any) -> RedisRestorer:
    return RedisRestorer(server.secret, run_id, temp_dir=tmp_path, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_a_swap_is_exact_and_so_is_its_undoing(server: Any, kind: str, tmp_path: Path) -> None:
    fill(server)
    saved = live(server)
    source = server.source(kind)
    change(server)
    changed = live(server)
    ours = restorer(server, tmp_path)
    outlook = ours.examine(source)
    assert outlook.problems == ()
    assert "databases 0, 9 with 15 keys" in outlook.replaces
    assert ours.position() is Position.ABSENT
    ours.stage(source)
    assert ours.position() is Position.STAGED
    assert compare_redis(changed, live(server)) == []
    again = restorer(server, tmp_path)
    swapped = again.swap()
    assert swapped.before
    assert "databases 14, 15 with 15 keys" in swapped.before
    assert again.swap() == swapped
    assert again.position() is Position.SWAPPED
    assert compare_redis(saved, live(server)) == []
    again.undo()
    again.undo()
    assert again.position() is Position.UNDONE
    assert compare_redis(changed, live(server)) == []
    assert len(again.accept()) == 2
    assert again.position() is Position.ABSENT
    assert set(fingerprint(server)["databases"]) == {"0", "9"}
    assert list(tmp_path.iterdir()) == []


def test_accepting_lets_the_old_state_go(server: Any, tmp_path: Path) -> None:
    fill(server)
    source = server.source()
    ours = restorer(server, tmp_path)
    ours.stage(source)
    ours.swap()
    gone = ours.accept()
    assert "the old state of database 0, 14 keys" in gone[1]
    assert ours.accept() == ()
    with pytest.raises(RestoreRefused, match="nothing of run run is staged"):
        ours.swap()
