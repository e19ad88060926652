"""What a Redis holds, small enough to keep: for each database its keys, and a digest of all of them.

The same keys, types, values and times of expiry give the same fingerprint on any server. Values are
read as their type has them, so neither encoding nor order inside a set counts. Every key is read whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from redis import exceptions

from nightscan_tasks.components.redis_functions import libraries
from nightscan_tasks.components.redis_server import Client, is_refusal
from nightscan_tasks.model import Json

_MODULUS = 1 << 128
TOLERANCE_MS = 2000
_RANGE = 1000


def fingerprint_redis(client: Client) -> dict[str, Json]:
    """The fingerprint of every database of the client's server; the client's own one is kept.

    `expiring` has, by digest of its name, the time at which each such key expires, in ms since 1970.
    """
    numbers = [int(name.removeprefix("db")) for name in client.info("keyspace")]
    return {"databases": {str(number): _database(client, number) for number in sorted(numbers)},
            "functions": hashlib.sha256(repr(sorted((libraries(client) or {}).items())).encode()).hexdigest()}


def _database(client: Client, number: int) -> dict[str, Json]:
    options = {**client.connection_pool.connection_kwargs, "db": number}
    pool = type(client.connection_pool)(
        connection_class=client.connection_pool.connection_class, **options)
    other = type(client)(connection_pool=pool)
    try:
        keys, total, expiring = 0, 0, cast("dict[str, Json]", {})
        for name in set(map(bytes, other.scan_iter(count=_RANGE))):
            expiry, digest = expires_at_ms(other, name), digest_of(other, name)
            if digest is None:
                continue
            keys, total = keys + 1, total + int.from_bytes(digest[:16], "big")
            if expiry is not None:
                expiring[hashlib.sha256(name).hexdigest()[:32]] = expiry
        return {"keys": keys, "digest": f"{total % _MODULUS:032x}", "expiring": expiring}
    finally:
        other.close()
        pool.disconnect()


def digest_of(client: Client, name: bytes) -> bytes | None:
    """A digest of a key's name, type and value, the same on any server; None where there is no such key."""
    kind = bytes(client.type(name))
    if kind == b"none":
        return None
    return hashlib.sha256(repr((name, kind, list(_value(client, name, kind)))).encode()).digest()


def expires_at_ms(client: Client, name: bytes) -> int | None:
    """When a key expires, in ms since 1970; None if never, or where there is no such key."""
    try:
        expiry = int(client.execute_command("PEXPIRETIME", name))
    except exceptions.ResponseError as exc:
        if not is_refusal(exc):
            raise
        with client.pipeline() as pipe:  # in one step, or the time would have moved on
            (seconds, microseconds), left = pipe.time().pttl(name).execute()
        expiry = left if left < 0 else int(seconds) * 1000 + int(microseconds) // 1000 + left
    return None if expiry < 0 else expiry


def _value(client: Client, name: bytes, kind: bytes) -> Iterator[Any]:
    read = _READERS.get(kind)
    if read is None:
        yield client.dump(name)
    else:
        yield from read(client, name)


def _string(client: Client, name: bytes) -> Iterator[Any]:
    yield client.get(name)


def _list(client: Client, name: bytes) -> Iterator[Any]:
    yield from client.lrange(name, 0, -1)


def _set(client: Client, name: bytes) -> Iterator[Any]:
    yield from sorted(client.smembers(name))


def _hash(client: Client, name: bytes) -> Iterator[Any]:
    fields = sorted(client.hgetall(name).items())
    yield from fields
    try:
        yield client.execute_command("HPEXPIRETIME", name, "FIELDS", len(fields),
                                     *(field for field, _ in fields))
    except exceptions.ResponseError as exc:
        if not is_refusal(exc):
            raise


def _sorted_set(client: Client, name: bytes) -> Iterator[Any]:
    yield from client.execute_command("ZRANGE", name, 0, -1, "WITHSCORES")


def _stream(client: Client, name: bytes) -> Iterator[Any]:
    """Entries, the last id, and each group with what it was given and did not confirm yet."""
    yield client.execute_command("XRANGE", name, "-", "+")
    yield _pairs(client.execute_command("XINFO", "STREAM", name)).get(b"last-generated-id")
    for group in client.execute_command("XINFO", "GROUPS", name):
        facts = _pairs(group)
        yield facts[b"name"], facts[b"last-delivered-id"], facts[b"pending"]
        if facts[b"pending"]:
            pending = client.xpending_range(name, facts[b"name"], "-", "+", facts[b"pending"])
            yield [(entry["message_id"], entry["consumer"], entry["times_delivered"])
                   for entry in pending]


def _pairs(flat: Any) -> dict[bytes, Any]:
    if isinstance(flat, Mapping):
        return {key if isinstance(key, bytes) else str(key).encode(): value
                for key, value in flat.items()}
    return dict(zip(flat[::2], flat[1::2], strict=True))


_READERS: Mapping[bytes, Callable[[Client, bytes], Iterator[Any]]] = {
    b"string": _string, b"list": _list, b"set": _set, b"hash": _hash, b"zset": _sorted_set,
    b"stream": _stream,
}


def compare_redis(expected: Mapping[str, Json], found: Mapping[str, Json]) -> list[str]:
    """What differs, a line each for people; times of expiry may be 2 s apart.

    Older servers tell only what is left of them.
    """
    was = cast("Mapping[str, Mapping[str, Any]]", expected.get("databases") or {})
    now = cast("Mapping[str, Mapping[str, Any]]", found.get("databases") or {})
    differences = []
    for number in sorted({*was, *now}, key=int):
        differences += [f"database {number}: {text}"
                        for text in _compare(was.get(number) or {}, now.get(number) or {})]
    if expected.get("functions") != found.get("functions"):
        differences.append("the functions differ")
    return differences


def _compare(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    if was.get("keys", 0) != now.get("keys", 0):
        yield f"{was.get('keys', 0)} keys expected, {now.get('keys', 0)} found"
    elif was.get("digest") != now.get("digest"):
        yield f"{was.get('keys', 0)} keys as expected, but their names or values differ"
    expected, found = was.get("expiring") or {}, now.get("expiring") or {}
    if wrong := [name for name in {*expected, *found}
                 if abs(expected.get(name, 0) - found.get(name, 0)) > TOLERANCE_MS]:
        yield f"{len(wrong)} keys expire at another time"
