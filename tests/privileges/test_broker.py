"""The broker's users: each reaches what its work needs, and the restore queue is the operator's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import redis

_NOT_OPERATORS = ("fast", "heavy", "control", "flower")
_RESTORE_KEYS = ("nightscan.restore", "nightscan.restore\x06\x163")


@pytest.fixture
def broker(acl_server: Callable[..., Any]) -> Any:
    found = acl_server("valkey-server", "broker.acl")
    with contextlib.closing(found.client()) as client:
        client.flushall()
    return found


@pytest.mark.parametrize("user", _NOT_OPERATORS)
@pytest.mark.parametrize("key", _RESTORE_KEYS)
def test_no_other_worker_puts_a_message_before_the_restore_worker(broker: Any, user: str, key: str) -> None:
    for command in (("LPUSH", key, "x"), ("RPUSH", key, "x"), ("RPUSHX", key, "x"), ("RENAME", "a", key),
                    ("COPY", "a", key), ("LMOVE", f"nightscan.{user}", key, "LEFT", "LEFT"),
                    ("RESTORE", key, 0, "x"), ("SORT", f"nightscan.{user}", "STORE", key)):
        assert not broker.may(user, *command), command


@pytest.mark.parametrize("user", [*_NOT_OPERATORS, "beat", "operator"])
@pytest.mark.parametrize("key", _RESTORE_KEYS)
def test_nobody_else_reads_or_takes_the_restore_workers_messages(broker: Any, user: str, key: str) -> None:
    for command in (("LRANGE", key, 0, -1), ("BRPOP", key, 1), ("RPOP", key), ("LINDEX", key, 0),
                    ("DUMP", key), ("DEL", key), ("LTRIM", key, 1, 0)):
        assert not broker.may(user, *command), command


@pytest.mark.parametrize(("user", "of"), [
    (user, of) for user in (*_NOT_OPERATORS, "beat", "operator") for of in (".restore", ".control", "")
    if of != f".{user}"])
def test_nobody_plants_in_what_others_were_handed(broker: Any, user: str, of: str) -> None:
    assert not broker.may(user, "HSET", f"unacked{of}", "tag", "x")
    assert not broker.may(user, "ZADD", f"unacked_index{of}", 1, "tag")
    assert not broker.may(user, "DEL", f"unacked{of}")


@pytest.mark.parametrize("user", ["fast", "heavy", "control"])
def test_a_script_may_no_more_than_its_user(broker: Any, user: str) -> None:
    with contextlib.closing(broker.client(user)) as client:
        known = client.script_load("return redis.call('LPUSH', 'nightscan.restore', 'x')")
        with pytest.raises(redis.ResponseError, match=r"(?i)permission"):
            client.evalsha(known, 1, f"unacked_mutex.{user}")
    with contextlib.closing(broker.client()) as client:
        assert client.llen("nightscan.restore") == 0


@pytest.mark.parametrize("user", ["operator", "beat"])
def test_the_operator_and_the_timetable_may_ask(broker: Any, user: str) -> None:
    assert broker.may(user, "LPUSH", "nightscan.restore", "x")


@pytest.mark.parametrize("user", ["fast", "heavy", "control", "restore", "beat"])
def test_workers_give_no_commands_to_each_other(broker: Any, user: str) -> None:
    assert not broker.may(user, "PUBLISH", "/0.celery.pidbox", "x")


@pytest.mark.parametrize("user", ["fast", "heavy", "control", "restore", "beat", "operator", "flower"])
def test_nobody_has_the_broker_itself(broker: Any, user: str) -> None:
    for command in (("FLUSHALL",), ("FLUSHDB",), ("CONFIG", "GET", "*"), ("ACL", "LIST"), ("KEYS", "*"),
                    ("MONITOR",), ("BGREWRITEAOF",), ("SHUTDOWN", "NOSAVE"), ("REPLICAOF", "NO", "ONE"),
                    ("SCRIPT", "FLUSH"), ("SWAPDB", 0, 1), ("EVAL", "return 1", 0), ("PSYNC", "?", -1)):
        assert not broker.may(user, *command), command
