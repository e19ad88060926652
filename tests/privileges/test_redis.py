"""The Redis that is backed up: one user that may copy it and nothing else, one that may put it back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from nightscan_tasks.components.base import Shared
from nightscan_tasks.components.redis import Redis
from nightscan_tasks.components.redis_fingerprint import fingerprint_redis
from nightscan_tasks.components.redis_restorer import RedisRestorer
from nightscan_tasks.doctor.finding import Level
from nightscan_tasks.doctor.sources import redis as look_at_redis
from nightscan_tasks.model import Artifact, Report
from nightscan_tasks.settings import Settings
from nightscan_tasks.system import System

BACKUP, RESTORE = "nightscan_backup", "nightscan_restore"
_FILES = {"valkey-server": "backup.acl", "redis-server": "backup-redis6.acl"}
_LIBRARY = "#!lua name=lib\nserver.register_function('f', function() return 1 end)"


@pytest.fixture(params=["valkey-server", "redis-server"])
def server(request: pytest.FixtureRequest, acl_server: Callable[..., Any]) -> Any:
    """A server with something of every kind in it."""
    found = acl_server(request.param, _FILES[request.param], "restore.acl")
    fill(found)
    return found


def fill(server: Any) -> None:
    with contextlib.closing(server.client()) as client:
        client.flushall()
        client.set("session", "x" * 100, px=10**9)
        client.rpush("list", *range(300))
        client.sadd("set", "a", "b")
        client.hset("hash", mapping={str(number): number for number in range(2000)})
        client.zadd("zset", {"a": 1.5})
        client.xadd("stream", {"k": "v"})
        client.hset("unacked", "tag", "task")
        client.set("big", "y" * 5_000_000)
        client.rpush("wide", *(f"{number:01000}" for number in range(4000)))
    with contextlib.closing(server.client(database=3)) as client:
        client.set("other", "database")
        if server.tool.version >= (7,):
            client.execute_command("FUNCTION", "LOAD", "REPLACE", _LIBRARY)


class Saved:
    """A dump that is held in memory, as what a restorer reads from."""

    def __init__(self, report: Report, name: str, data: bytes) -> None:
        self.report, self.data = report, data
        self.artifacts = (Artifact(name=f"{name}.gz.gpg", component="redis", part="redis",
                                   plain_bytes=len(data), plain_sha256="", stored_bytes=len(data),
                                   stored_sha256=""),)

    @contextlib.contextmanager
    def open(self, _artifact: Artifact) -> Any:
        yield iter([self.data])


def saved(server: Any, user: str) -> Saved:
    shared = Shared(announce=_refuse, listing=_refuse)
    component = Redis(Settings(REDIS_URL=SecretStr(server.url(user))))  # type: ignore[call-arg]
    with component.open("redis", shared) as dump:
        ((name, data),) = ((each.name, b"".join(map(bytes, each.chunks))) for each in dump.streams())
        return Saved(dump.report(), name, data)


def _refuse(*_given: Any) -> Any:
    raise AssertionError("a dump of Redis shares nothing")


def content(server: Any) -> Any:
    with contextlib.closing(server.client()) as client:
        found: Any = fingerprint_redis(client)
    return {number: (each["keys"], each["digest"]) for number, each in found["databases"].items()}


def test_its_dump_is_the_one_of_a_user_who_may_everything(server: Any) -> None:
    theirs, ours = saved(server, "default"), saved(server, BACKUP)
    assert ours.artifacts[0].name == "redis.rdb.gz.gpg"  # of one moment: not key by key
    assert ours.report == theirs.report
    assert ours.report.fingerprint["exact"] is True
    assert ours.report.notes == ()


def test_the_doctor_is_content_with_it(server: Any) -> None:
    (said,) = look_at_redis(System(Settings(REDIS_URL=SecretStr(server.url(BACKUP)))))  # type: ignore[call-arg]
    assert said.level is Level.OK, said


def test_no_door_is_closed_to_what_it_needs(server: Any) -> None:
    with contextlib.closing(server.client()) as client:
        client.acl_log_reset()
        saved(server, BACKUP)
        list(look_at_redis(System(Settings(REDIS_URL=SecretStr(server.url(BACKUP))))))  # type: ignore[call-arg]
        denied = {entry["object"] for entry in client.acl_log()}
    assert denied == set()


def test_it_can_read_no_single_key_and_write_nothing(server: Any) -> None:
    before = content(server)
    for command in (("GET", "session"), ("DUMP", "session"), ("KEYS", "*"), ("SCAN", 0), ("SET", "a", 1),
                    ("DEL", "session"), ("EXPIRE", "session", 0), ("FLUSHDB",), ("FLUSHALL",),
                    ("RENAME", "a", "b"),
                    ("MOVE", "session", 1), ("SWAPDB", 0, 1), ("EVAL", "return 1", 0), ("CONFIG", "GET", "*"),
                    ("CONFIG", "SET", "dir", "/"), ("ACL", "SETUSER", BACKUP, "+@all"), ("ACL", "LIST"),
                    ("REPLICAOF", "127.0.0.1", 1), ("SHUTDOWN", "NOSAVE"), ("MONITOR",),
                    ("PUBLISH", "c", "m"), ("CLIENT", "KILL", "ID", 999), ("BGSAVE",),
                    ("MIGRATE", "127.0.0.1", 1, "k", 0, 10), ("RESTORE", "a", 0, "x"), ("SCRIPT", "FLUSH")):
        assert not server.may(BACKUP, *command), command
    assert content(server) == before


def test_the_restore_user_can_put_a_set_back_and_take_it_back(server: Any, tmp_path: Path) -> None:
    source, before = saved(server, BACKUP), content(server)
    with contextlib.closing(server.client()) as client:
        client.set("session", "changed")
        client.delete("list")
        client.acl_log_reset()
    changed = content(server)
    restorer = RedisRestorer(SecretStr(server.url(RESTORE)), f"run{time.monotonic_ns()}", temp_dir=tmp_path)
    assert restorer.examine(source).problems == ()
    restorer.stage(source)
    restorer.swap()
    assert {number: content(server)[number] for number in before} == before
    restorer.undo()
    assert {number: content(server)[number] for number in changed} == changed
    restorer.accept()
    with contextlib.closing(server.client()) as client:
        assert client.acl_log() == []


def test_the_restore_user_does_not_have_the_server(server: Any) -> None:
    for command in (("FLUSHALL",), ("CONFIG", "GET", "*"), ("CONFIG", "SET", "dir", "/"), ("ACL", "LIST"),
                    ("REPLICAOF", "127.0.0.1", 1), ("SHUTDOWN", "NOSAVE"), ("MONITOR",),
                    ("BGSAVE",), ("MODULE", "LIST"), ("PSYNC", "?", -1),
                    ("MIGRATE", "127.0.0.1", 1, "k", 0, 10)):
        assert not server.may(RESTORE, *command), command
