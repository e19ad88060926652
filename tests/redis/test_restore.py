"""Putting a Redis back: equal to what was saved, or refused with nothing live touched."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks import programs
from nightscan_tasks.components.redis_fingerprint import compare_redis, fingerprint_redis
from nightscan_tasks.components.redis_restore import RedisRestored, restore_redis
from nightscan_tasks.components.redis_server import Flavour
from nightscan_tasks.components.scratch_redis import scratch_server
from nightscan_tasks.errors import DigestMismatch, DumpIncomplete, NightscanError, RestoreRefused

FAR_MS = 4102444800123
LIBRARY = "#!lua name=lib\nserver.register_function('f', function() return 1 end)"
KINDS = ["rdb", "resp"]


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


def save(server: Any, kind: str) -> tuple[bytes, dict[str, Any]]:
    settings = {}
    if kind == "resp":
        server.run(("ACL", "SETUSER", "saver", "on", ">x", "~*", "+@all", "-sync", "-psync"))
        settings = {"REDIS_URL": server.url(user="saver", password="x")}
    streams, report = server.dump(**settings)
    return streams[f"redis.{kind}"], dict(report.fingerprint)


def put_back(server: Any, data: bytes, kind: str, expected: Any, tmp_path: Path) -> RedisRestored:
    chunks = (data[start:start + 1000] for start in range(0, len(data), 1000))
    return restore_redis(chunks, kind, url=server.secret, expected=expected,  # type: ignore[arg-type]
                         temp_dir=tmp_path, run_id="run")


@pytest.mark.parametrize("kind", KINDS)
def test_everything_comes_back_with_its_exact_time_of_expiry(
    server: Any, kind: str, tmp_path: Path,
) -> None:
    fill(server)
    before = fingerprint(server)
    data, expected = save(server, kind)
    server.run(("FLUSHALL",))
    done = put_back(server, data, kind, expected, tmp_path)
    assert compare_redis(before, fingerprint(server)) == []
    if server.name == "valkey":
        assert server.run(("PEXPIRETIME", "soon")) == [FAR_MS]
        assert server.run(("HPEXPIRETIME", "hash", "FIELDS", 1, "f")) == [[FAR_MS]]
        assert server.run(("FCALL", "f", 0)) == [1]
    assert done.written_keys == 16
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_backup_lacks_is_removed_and_what_changed_is_put_right(
    server: Any, kind: str, tmp_path: Path,
) -> None:
    fill(server)
    before = fingerprint(server)
    data, expected = save(server, kind)
    server.run(("SET", "new", 1), ("DEL", "list"), ("SET", "string", "changed"), ("PERSIST", "soon"))
    server.run(("SET", "new", 1), db=12)
    done = put_back(server, data, kind, expected, tmp_path)
    assert compare_redis(before, fingerprint(server)) == []
    assert done.removed_keys == 2


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_redis_comes_back(server: Any, kind: str, tmp_path: Path) -> None:
    data, expected = save(server, kind)
    server.run(("SET", "new", 1))
    put_back(server, data, kind, expected, tmp_path)
    assert server.run(("DBSIZE",)) == [0]


def test_restoring_twice_gives_the_same(valkey: Any, tmp_path: Path) -> None:
    fill(valkey)
    before = fingerprint(valkey)
    data, expected = save(valkey, "rdb")
    for _ in range(2):
        put_back(valkey, data, "rdb", expected, tmp_path)
    assert compare_redis(before, fingerprint(valkey)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_keys_whose_time_has_passed_stay_away(valkey: Any, kind: str, tmp_path: Path) -> None:
    valkey.run(("SET", "stays", 1), ("SET", "goes", 1, "PX", 60_000))
    data, expected = save(valkey, kind)
    old = int(valkey.run(("PEXPIRETIME", "goes"))[0])
    passed = 1_000_000_000_000
    if kind == "resp":
        data = data.replace(str(old).encode(), str(passed).encode())
    else:
        data = data.replace(old.to_bytes(8, "little"), passed.to_bytes(8, "little"))
        data = data[:-8] + bytes(8)  # no checksum
    put_back(valkey, data, kind, expected, tmp_path)
    assert valkey.run(("EXISTS", "stays"), ("EXISTS", "goes")) == [1, 0]


def test_what_celery_keeps_is_left_alone(valkey: Any, tmp_path: Path) -> None:
    celery = {"celery-task-meta-1": "old", "unacked": "old", "unacked_index": "old"}
    with contextlib.closing(valkey.client()) as client:
        client.mset(celery | {"cache": "old"})
        client.rpush("nightscan.fast", "old task")
        client.sadd("_kombu.binding.fast", b"key\x06\x16\x06\x16nightscan.fast")
    data, expected = save(valkey, "rdb")
    with contextlib.closing(valkey.client()) as client:
        client.mset({**dict.fromkeys(celery, "new"), "cache": "new", "celery-task-meta-2": "new"})
        client.delete("nightscan.fast")
        client.rpush("nightscan.fast", "new task")
        client.rpush(b"nightscan.fast\x06\x163", "urgent task")
        done = put_back(valkey, data, "rdb", expected, tmp_path)
        assert client.mget("cache", "celery-task-meta-1", "celery-task-meta-2", "unacked") == [
            b"old", b"new", b"new", b"new"]
        assert client.lrange("nightscan.fast", 0, -1) == [b"new task"]
        assert client.llen(b"nightscan.fast\x06\x163") == 1
    assert "belong to Celery" in done.notes[0]


def damaged(data: bytes, how: str) -> bytes:
    middle = len(data) // 2
    return {"cut": data[:middle], "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:],
            "nothing": b"", "nonsense": b"nonsense" * 100}[how]


@pytest.mark.parametrize("how", ["cut", "flipped", "nothing", "nonsense"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_backup_is_refused_and_nothing_live_is_touched(
    server: Any, kind: str, how: str, tmp_path: Path,
) -> None:
    server.run(*(("SET", f"k{number}", os.urandom(200)) for number in range(50)))
    data, expected = save(server, kind)
    server.run(("SET", "new", 1))
    before = fingerprint(server)
    with pytest.raises((RestoreRefused, DumpIncomplete)):
        put_back(server, damaged(data, how), kind, expected, tmp_path)
    assert compare_redis(before, fingerprint(server)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_breaks_off_passes_its_error_on(
    valkey: Any, kind: str, tmp_path: Path,
) -> None:
    valkey.run(("SET", "a", "x" * 1000))
    data, expected = save(valkey, kind)

    def broken() -> Iterator[bytes]:
        yield data[:-20]
        raise DigestMismatch("stored bytes are not what was written")

    with pytest.raises(DigestMismatch):
        restore_redis(broken(), kind, url=valkey.secret, expected=expected,  # type: ignore[arg-type]
                      temp_dir=tmp_path, run_id="r")


def test_a_backup_that_holds_less_than_was_counted_is_refused(valkey: Any, tmp_path: Path) -> None:
    fill(valkey)
    data, expected = save(valkey, "rdb")
    expected["databases"]["9"]["keys"] += 5
    with pytest.raises(RestoreRefused, match="database 9: 7 keys expected, 2 found"):
        put_back(valkey, data, "rdb", expected, tmp_path)


def test_a_backup_of_valkey_does_not_go_into_an_old_redis(
    both: dict[str, Any], tmp_path: Path,
) -> None:
    for each in both.values():
        each.empty()
    fill(both["valkey"])
    data, expected = save(both["valkey"], "rdb")
    with pytest.raises(RestoreRefused, match=r"RDB version 80.*redis 6\.2.*upgrade that server"):
        put_back(both["redis"], data, "rdb", expected, tmp_path)


def test_a_backup_of_an_old_redis_goes_into_valkey(both: dict[str, Any], tmp_path: Path) -> None:
    for each in both.values():
        each.empty()
    fill(both["redis"])
    before = fingerprint(both["redis"])
    data, expected = save(both["redis"], "rdb")
    put_back(both["valkey"], data, "rdb", expected, tmp_path)
    found = fingerprint(both["valkey"])
    assert {name: db["keys"] for name, db in before["databases"].items()} == {
        name: db["keys"] for name, db in found["databases"].items()}


def test_the_scratch_servers_socket_and_token_are_private(valkey: Any, tmp_path: Path) -> None:
    with scratch_server(9, live=Flavour("valkey", valkey.tool.version), temp_dir=tmp_path) as scratch:
        assert scratch.folder.stat().st_mode & 0o777 == 0o700
        arguments = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")
                     if path.parent.exists()]
        assert not any(scratch.token.encode() in each for each in arguments)
    assert not scratch.folder.exists()


def test_no_server_new_enough_is_said_with_what_to_install(
    valkey: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("valkey-server", "redis-server"):
        monkeypatch.delitem(programs._SOURCES, name)
    valkey.run(("SET", "a", 1))
    data, expected = save(valkey, "rdb")
    with pytest.raises(RestoreRefused, match=r"found none.*apt-get install valkey-server"):
        put_back(valkey, data, "rdb", expected, tmp_path)


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


def test_a_wrong_password_is_refused_before_anything_is_read(valkey: Any, tmp_path: Path) -> None:
    asked: list[bytes] = []
    never = map(asked.append, [b"REDIS0011"])
    with pytest.raises(NightscanError, match="REDIS_PASSWORD"):
        restore_redis(never, "rdb", url=valkey.url(password="wrong"), expected={},  # type: ignore[arg-type]
                      temp_dir=tmp_path, run_id="r")
    assert asked == []
