"""A fingerprint of a Redis notices what changed; the scratch server it is taken in is private."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components.redis_fingerprint import compare_redis, fingerprint_redis
from nightscan_tasks.components.redis_server import Flavour
from nightscan_tasks.components.scratch_redis import scratch_server

FAR_MS = 4102444800123
LIBRARY = "#!lua name=lib\nserver.register_function('f', function() return 1 end)"


def fill(server: Any) -> None:
    """Every type, several databases, odd bytes, times of expiry."""
    server.run(
        ("SET", "string", "é"), ("SET", b"\x00\xff\r\n key", os.urandom(100)), ("SET", "empty", ""),
        ("RPUSH", "list", *range(300)), ("SADD", "set", "b", "a", b"\xff"), ("SADD", "ints", 1, 2, 3),
        ("HSET", "hash", "f", "v", b"\x00", b"\x01"), ("HSET", "wide", *range(2000)),
        ("ZADD", "zset", 1.5, "a", "-inf", "b", 3, "c"), ("PFADD", "hll", *range(50)),
        ("SETBIT", "bits", 1000, 1), ("GEOADD", "geo", 2.35, 48.85, "paris"),
        ("XADD", "stream", "5-1", "k", "v"), ("XADD", "stream", "5-2", "k", "w", "l", "x"),
        ("XADD", "stream", "5-3", "k", "y"), ("XDEL", "stream", "5-3"),
        ("XGROUP", "CREATE", "stream", "group", 0), ("XGROUP", "CREATE", "stream", "idle", "$"),
        ("XREADGROUP", "GROUP", "group", "worker", "COUNT", 1, "STREAMS", "stream", ">"),
        ("SET", "soon", "v"), ("PEXPIREAT", "soon", FAR_MS))
    server.run(("SET", "other", "db"), ("SET", "expiring", 1), ("PEXPIREAT", "expiring", FAR_MS + 1),
               db=9)
    if server.tool.version >= (7,):
        server.run(("FUNCTION", "LOAD", LIBRARY))
    if server.tool.version >= (9,):
        server.run(("HPEXPIREAT", "hash", FAR_MS, "FIELDS", 1, "f"))


def fingerprint(server: Any) -> dict[str, Any]:
    with contextlib.closing(server.client()) as client:
        return fingerprint_redis(client)


def test_the_scratch_servers_socket_and_token_are_private(valkey: Any, tmp_path: Path) -> None:
    with scratch_server(9, live=Flavour("valkey", valkey.tool.version), temp_dir=tmp_path) as scratch:
        assert scratch.folder.stat().st_mode & 0o777 == 0o700
        arguments = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")
                     if path.parent.exists()]
        assert not any(scratch.token.encode() in each for each in arguments)
    assert not scratch.folder.exists()


@pytest.mark.parametrize("command", [
    ("SET", "string", "other"), ("RPUSH", "list", "more"), ("LSET", "list", 0, "x"),
    ("SADD", "set", "more"), ("HSET", "hash", "f", "w"), ("ZADD", "zset", 2, "a"),
    ("XADD", "stream", "9-1", "k", "v"), ("XACK", "stream", "group", "5-1"),
    ("XGROUP", "SETID", "stream", "idle", "0"), ("PEXPIREAT", "soon", FAR_MS + 5000),
    ("PERSIST", "soon"), ("DEL", "bits"), ("RENAME", "bits", "stib"), ("MOVE", "bits", 9),
    ("FUNCTION", "FLUSH"),
])
def test_a_fingerprint_notices_every_change(valkey: Any, command: tuple[object, ...]) -> None:
    fill(valkey)
    before = fingerprint(valkey)
    assert compare_redis(before, fingerprint(valkey)) == []
    valkey.run(command)
    assert compare_redis(before, fingerprint(valkey)) != []
