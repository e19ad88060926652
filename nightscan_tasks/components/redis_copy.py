"""Copying keys from the scratch server into a database of the live one, and comparing each of them there.

Keys go in groups of about 4 MiB, so that memory stays flat; what was written is read back in the same
breath. A payload that comes back other than it went is no damage yet: the order inside a set or a hash
is each server's own. So those are compared by their values.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nightscan_tasks.components.keys import Key, read_batch
from nightscan_tasks.components.redis_fingerprint import TOLERANCE_MS, digest_of
from nightscan_tasks.components.redis_server import Client
from nightscan_tasks.errors import RestoreRefused

_SCAN_COUNT = 1000
_GROUP_KEYS = 500
_GROUP_BYTES = 4 << 20
_TRAILER_BYTES = 10  # of a DUMP: two bytes of RDB version, eight of checksum
_SHOWN = 3


@dataclass(frozen=True)
class Databases:
    """The same two databases as two clients: where keys come from, and where they go.

    The versions are those of the servers; older ones than 7 do not tell when a key expires.
    """

    source: Client
    target: Client
    source_version: tuple[int, ...]
    target_version: tuple[int, ...]


def copy_database(databases: Databases, patterns: tuple[str, ...]) -> None:
    """Copy every key, or those that match; `RestoreRefused` names keys that are not as they were."""
    wrong: list[bytes] = []
    for group in _groups(databases.source, _names(databases.source, patterns)):
        wrong += _copy(databases, group)
    if wrong:
        names = ", ".join(repr(name[:60])[1:] for name in wrong[:_SHOWN])
        raise RestoreRefused(f"{len(wrong)} keys came back from the live server other than they were saved, "
                             f"such as {names}; nothing live was changed")


def _names(source: Client, patterns: tuple[str, ...]) -> Iterator[bytes]:
    """A name may come twice."""
    for pattern in patterns or (None,):
        yield from map(bytes, source.scan_iter(match=pattern, count=_SCAN_COUNT))


def _groups(source: Client, names: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Names of keys that are about 4 MiB together, or of one that is larger."""
    while some := list(itertools.islice(names, _GROUP_KEYS)):
        with source.pipeline(transaction=False) as pipe:
            for name in some:
                pipe.memory_usage(name, samples=5)
            sizes = pipe.execute()
        group: list[bytes] = []
        held_bytes = 0
        for name, size_bytes in zip(some, sizes, strict=True):
            if group and held_bytes + (size_bytes or 0) > _GROUP_BYTES:
                yield group
                group, held_bytes = [], 0
            group.append(name)
            held_bytes += size_bytes or 0
        yield group


def _copy(databases: Databases, names: list[bytes]) -> list[bytes]:
    """Copy one group; the names of those that did not arrive as they were."""
    keys = read_batch(databases.source, names, databases.source_version)
    with databases.target.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.execute_command(*key.restoring())
        pipe.execute()
    found = {key.name: key for key in read_batch(databases.target, [key.name for key in keys],
                                                 databases.target_version)}
    return [key.name for key in _unequal(keys, found)
            if not _is_equal(databases, key, found.get(key.name))]


def _unequal(keys: Iterable[Key], found: dict[bytes, Key]) -> Iterator[Key]:
    for key in keys:
        there = found.get(key.name)
        if (there is None or there.expires_at_ms != key.expires_at_ms
                or there.payload[:-_TRAILER_BYTES] != key.payload[:-_TRAILER_BYTES]):
            yield key


def _is_equal(databases: Databases, key: Key, found: Key | None) -> bool:
    if found is not None:
        is_same_time = (bool(key.expires_at_ms) == bool(found.expires_at_ms)
                        and abs(key.expires_at_ms - found.expires_at_ms) <= TOLERANCE_MS)
        if is_same_time and digest_of(databases.source, key.name) == digest_of(databases.target, key.name):
            return True
    seconds, _ = databases.target.time()
    return 0 < key.expires_at_ms <= (int(seconds) + 1) * 1000  # it is gone, as it should be
