"""Putting a Redis back: load the backup into a scratch server, look at it, then move its keys.

New keys are written first, and only then are those removed that the backup lacks: whoever dies in
between leaves old and new keys together, never none. What Celery keeps in the live Redis stays as it is.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import SecretStr
from redis import exceptions

from nightscan_tasks.components.celery_keys import CeleryKeys
from nightscan_tasks.components.keys import read_keys, write_keys
from nightscan_tasks.components.redis_saved import Saved, differences
from nightscan_tasks.components.redis_server import (
    Client,
    connected,
    flavour,
    functions,
    is_refusal,
    keyspace,
    where,
)
from nightscan_tasks.components.scratch_redis import Scratch, scratch_server
from nightscan_tasks.errors import RestoreRefused, SourceRefused
from nightscan_tasks.model import Buffer, Json

_SCAN_COUNT = 500


@dataclass(frozen=True)
class RedisRestored:
    """How many keys were written and removed, and what is live now, by database."""

    databases: Mapping[str, Json]
    written_keys: int
    removed_keys: int
    kept_keys: int
    versions: Mapping[str, str]
    notes: tuple[str, ...]
    elapsed_seconds: float


@dataclass
class _Moved:
    written: int = 0
    removed: int = 0
    kept: int = 0


def restore_redis(chunks: Iterable[Buffer], kind: Literal["rdb", "resp"], *, url: SecretStr | str,
                  expected: Mapping[str, Json], temp_dir: Path, run_id: str) -> RedisRestored:
    """Make the live Redis what the backup says, if the backup is what `expected` (a fingerprint) says.

    `RestoreRefused` comes before anything live is touched. Keys keep their exact time of expiry; those
    whose time has passed are left out. Errors out of `chunks` pass through.
    """
    del run_id  # it leaves nothing behind that would need a name
    started = time.monotonic()
    target = url if isinstance(url, SecretStr) else SecretStr(url)
    with connected(target) as client:
        client.ping()
        live = flavour(client)
    saved = Saved.of(chunks, kind)
    with scratch_server(saved.version or live.rdb_version, live=live, temp_dir=temp_dir) as scratch:
        saved.load(scratch)
        _check(scratch, expected)
        moved, notes = _move(scratch, target)
        versions = {"redis": str(live), "scratch": f"{scratch.tool.name} {scratch.tool}"}
    with connected(target) as client:
        databases = keyspace(client, target)
    return RedisRestored(
        databases={str(number): {"keys": keys, "expires": expires}
                   for number, (keys, expires) in databases.items()},
        written_keys=moved.written, removed_keys=moved.removed, kept_keys=moved.kept,
        versions=versions, notes=notes, elapsed_seconds=time.monotonic() - started)


def _check(scratch: Scratch, expected: Mapping[str, Json]) -> None:
    """The scratch server holds what was counted."""
    with connected(scratch.url) as client:
        found = keyspace(client, scratch.url)
    if lines := differences(found, expected):
        raise RestoreRefused("the backup does not hold what was counted when it was made; nothing live "
                             "was touched: " + "; ".join(lines))


def _move(scratch: Scratch, target: SecretStr) -> tuple[_Moved, tuple[str, ...]]:
    moved = _Moved()
    with connected(scratch.url) as source, connected(target) as client:
        numbers = sorted({*keyspace(source, scratch.url), *keyspace(client, target)})
        _require_databases(numbers, target)
        notes = _move_functions(source, client)
    for number in numbers:
        with connected(scratch.url, database=number) as source, \
                connected(target, database=number) as client:
            celery = CeleryKeys.of(client)
            _write(source, client, celery, moved, version=scratch.flavour.version)
            _remove(source, client, celery, moved)
    if moved.kept:
        notes += (f"{moved.kept} keys that belong to Celery were left as they are",)
    return moved, notes


def _require_databases(numbers: list[int], target: SecretStr) -> None:
    if not numbers:
        return
    try:
        with connected(target, database=max(numbers)) as client:
            client.ping()
    except SourceRefused as exc:
        raise RestoreRefused(f"Redis at {where(target)} has no database {max(numbers)}; no key was "
                             f"touched: raise its setting `databases`: {exc}") from exc


def _write(source: Client, client: Client, celery: CeleryKeys, moved: _Moved, *,
           version: tuple[int, ...]) -> None:
    for batch in read_keys(source, version=version):
        ours = [key for key in batch if not celery.own(key.name)]
        write_keys(client, ours)
        moved.written += len(ours)


def _remove(source: Client, client: Client, celery: CeleryKeys, moved: _Moved) -> None:
    """Remove from the live database what the backup lacks."""
    names = (bytes(name) for name in client.scan_iter(count=_SCAN_COUNT))
    while batch := list(itertools.islice(names, _SCAN_COUNT)):
        with source.pipeline(transaction=False) as pipe:
            for name in batch:
                pipe.exists(name)
            there = pipe.execute()
        ours = [not celery.own(name) for name in batch]
        moved.kept += ours.count(False)
        gone = [name for name, is_there, is_ours in zip(batch, there, ours, strict=True)
                if is_ours and not is_there]
        if gone:
            moved.removed += int(client.unlink(*gone))


def _move_functions(source: Client, client: Client) -> tuple[str, ...]:
    libraries = functions(source)
    try:
        if libraries is not None:
            client.execute_command("FUNCTION", "RESTORE", libraries, "FLUSH")
        elif functions(client) is not None:
            client.execute_command("FUNCTION", "FLUSH")
    except exceptions.ResponseError as exc:
        if not is_refusal(exc):
            raise
        return (f"functions were not restored: {exc}",)
    return ()
