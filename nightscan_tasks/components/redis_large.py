"""Copying a key that is too large to be one answer: piece by piece, each read back.

Every piece that the source has is there, and there are as many: so nothing more is, either.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from redis import exceptions

from nightscan_tasks.components.redis_fingerprint import TOLERANCE_MS, expires_at_ms
from nightscan_tasks.components.redis_server import Client, is_refusal

_PIECE_BYTES = 1 << 20
_PIECE_KEYS = 1000


def copy_large(source: Client, target: Client, name: bytes) -> bool:
    """Copy one key, over what is there; whether it is the same afterwards."""
    kind = bytes(source.type(name))
    expires = expires_at_ms(source, name)
    target.unlink(name)
    if kind == b"none":
        return True
    copy = _COPIES.get(kind, _whole)
    is_same = copy(source, target, name)
    if expires is not None:
        target.pexpireat(name, expires)
        seconds, _ = target.time()
        if expires <= (int(seconds) + 1) * 1000:
            return True
    found = expires_at_ms(target, name)
    return is_same and (expires is None) == (found is None) and abs(
        (expires or 0) - (found or 0)) <= TOLERANCE_MS


def _whole(source: Client, target: Client, name: bytes) -> bool:
    payload = source.dump(name)
    target.restore(name, 0, payload, replace=True)
    return bool(payload == target.dump(name))


def _string(source: Client, target: Client, name: bytes) -> bool:
    length = int(source.strlen(name))
    for start in range(0, length, _PIECE_BYTES):
        piece = source.getrange(name, start, start + _PIECE_BYTES - 1)
        target.setrange(name, start, piece)
        if target.getrange(name, start, start + _PIECE_BYTES - 1) != piece:
            return False
    return int(target.strlen(name)) == length


def _list(source: Client, target: Client, name: bytes) -> bool:
    length = int(source.llen(name))
    for start in range(0, length, _PIECE_KEYS):
        piece = source.lrange(name, start, start + _PIECE_KEYS - 1)
        target.rpush(name, *piece)
        if target.lrange(name, start, start + _PIECE_KEYS - 1) != piece:
            return False
    return int(target.llen(name)) == length


def _set(source: Client, target: Client, name: bytes) -> bool:
    for piece in _pieces(source.sscan_iter(name, count=_PIECE_KEYS)):
        target.sadd(name, *piece)
        if not all(target.smismember(name, piece)):
            return False
    return int(source.scard(name)) == int(target.scard(name))


def _sorted_set(source: Client, target: Client, name: bytes) -> bool:
    for piece in _pieces(source.zscan_iter(name, count=_PIECE_KEYS, score_cast_func=bytes)):
        members = [member for member, _ in piece]
        target.execute_command("ZADD", name, *itertools.chain(*((score, member) for member, score in piece)))
        if target.zmscore(name, members) != [float(score) for _, score in piece]:
            return False
    return int(source.zcard(name)) == int(target.zcard(name))


def _hash(source: Client, target: Client, name: bytes) -> bool:
    for piece in _pieces(iter(source.hscan_iter(name, count=_PIECE_KEYS))):
        fields = [field for field, _ in piece]
        target.hset(name, mapping=dict(piece))
        if target.hmget(name, fields) != [value for _, value in piece]:
            return False
        if not _expire_fields(source, target, name, fields):
            return False
    return int(source.hlen(name)) == int(target.hlen(name))


def _expire_fields(source: Client, target: Client, name: bytes, fields: list[bytes]) -> bool:
    """Fields expire by themselves in newer servers."""
    try:
        times = _field_times(source, name, fields)
    except exceptions.ResponseError as exc:
        if is_refusal(exc):
            return True
        raise
    expiring = [(field, when) for field, when in zip(fields, times, strict=True) if when > 0]
    for field, when in expiring:
        target.execute_command("HPEXPIREAT", name, when, "FIELDS", 1, field)
    names = [field for field, _ in expiring]
    return not names or _field_times(target, name, names) == [when for _, when in expiring]


def _field_times(client: Client, name: bytes, fields: list[bytes]) -> list[int]:
    return list(client.execute_command("HPEXPIRETIME", name, "FIELDS", len(fields), *fields))


def _pieces(elements: Iterator[Any]) -> Iterator[list[Any]]:
    while piece := list(itertools.islice(elements, _PIECE_KEYS)):
        yield piece


_COPIES: Mapping[bytes, Callable[[Client, Client, bytes], bool]] = {
    b"string": _string, b"list": _list, b"set": _set, b"hash": _hash, b"zset": _sorted_set,
}
