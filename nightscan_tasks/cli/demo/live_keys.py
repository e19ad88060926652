"""What is in a Redis now: every key of every database, with its type, its value, and when it expires."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import redis

from nightscan_tasks.cli.demo.proof import Thing

_BATCH = 1000
_MS = 1000


def read_keys(url: str) -> dict[str, Thing]:
    """Every key, by database and name, and the functions; values as hashes."""
    found = {}
    with redis.Redis.from_url(url) as client:
        databases = sorted(int(name.removeprefix("db")) for name in client.info("keyspace"))
        found.update(_functions(client))
    for database in databases:
        with redis.Redis.from_url(urlsplit(url)._replace(path=f"/{database}").geturl()) as client:
            for key, thing in _keys(client, database):
                found[f"db{database} {key!r}"] = thing
    return found


def now_ms(url: str) -> int:
    """The server's clock, in milliseconds since 1970."""
    with redis.Redis.from_url(url) as client:
        seconds, micros = client.time()
        return int(seconds * _MS + micros // _MS)


def _keys(client: Any, database: int) -> Iterator[tuple[bytes, Thing]]:
    keys = sorted(client.scan_iter(count=_BATCH))
    for start in range(0, len(keys), _BATCH):
        batch = keys[start:start + _BATCH]
        pipe = client.pipeline(transaction=False)
        for key in batch:
            pipe.type(key)
            pipe.pexpiretime(key)
        answers = pipe.execute()
        for number, key in enumerate(batch):
            kind, expires_ms = answers[2 * number].decode(), int(answers[2 * number + 1])
            facts = {"type": kind, "value": _digest(_VALUES[kind](client, key)), "expires_ms": expires_ms}
            yield key, Thing(f"db{database} {kind}", facts, expires_ms=max(expires_ms, 0))


def _functions(client: Any) -> dict[str, Thing]:
    try:
        libraries = client.function_list(withcode=True)
    except redis.ResponseError:  # an older server has no functions
        return {}
    return {f"function {number}": Thing("functions", {"code": _digest(library)})
            for number, library in enumerate(sorted(libraries, key=repr))}


def _stream(client: Any, key: bytes) -> Any:
    groups = client.xinfo_groups(key)
    pending = [client.xpending_range(key, group["name"], "-", "+", 10_000) for group in groups]
    for waiting in pending:
        for message in waiting:
            message.pop("time_since_delivered")  # it grows while we look
    return client.xrange(key), groups, pending


_VALUES: dict[str, Callable[[Any, bytes], Any]] = {
    "string": lambda client, key: client.get(key),
    "list": lambda client, key: client.lrange(key, 0, -1),
    "set": lambda client, key: sorted(client.smembers(key)),
    "zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
    "hash": lambda client, key: sorted(client.hgetall(key).items()),
    "stream": _stream,
}


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()
