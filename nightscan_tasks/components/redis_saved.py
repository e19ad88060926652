"""The saved bytes of a Redis: what their first ones tell, and whether what was loaded is all of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from nightscan_tasks.components.keys import parse_commands
from nightscan_tasks.components.rdb import rdb_version
from nightscan_tasks.components.scratch_redis import Scratch
from nightscan_tasks.errors import DumpIncomplete
from nightscan_tasks.model import Artifact, Buffer, Json

Kind: TypeAlias = Literal["rdb", "resp"]
Keyspace: TypeAlias = Mapping[int, tuple[int, int | None]]

_HEAD_BYTES = 9
_PAYLOADS = {b"RESTORE": 3, b"FUNCTION": 2}
_TRAILER_BYTES = 10  # of a DUMP: two bytes of RDB version, eight of checksum


def kind_of(artifact: Artifact) -> Kind:
    """Whether it is an RDB, or keys one by one."""
    return "rdb" if ".rdb" in artifact.name else "resp"


@dataclass(frozen=True)
class Saved:
    """A backup whose beginning was read; `version` is that of its RDB, 0 if it has no key to tell it."""

    kind: Kind
    version: int
    _rest: Iterator[Any]

    @classmethod
    def of(cls, chunks: Iterable[Buffer], kind: Kind) -> Saved:
        """Read as far as its version stands; `DumpIncomplete` if it is none."""
        if kind == "resp":
            return cls(kind, *_peek_commands(parse_commands(chunks)))
        return cls(kind, *_peek_rdb(iter(chunks)))

    def load(self, scratch: Scratch) -> None:
        """Load all of it, once; `RestoreRefused` if the server will not have it."""
        if self.kind == "rdb":
            scratch.load_rdb(cast("Iterator[Buffer]", self._rest))
        else:
            scratch.load_commands(cast("Iterator[list[bytes]]", self._rest))


def _peek_rdb(source: Iterator[Buffer]) -> tuple[int, Iterator[Buffer]]:
    head = b""
    for chunk in source:
        head += bytes(chunk)
        if len(head) >= _HEAD_BYTES:
            break
    version = rdb_version(head)
    if version is None:
        raise DumpIncomplete(f"this is no RDB: it begins with {head[:_HEAD_BYTES]!r}")
    return version, itertools.chain([head], source)


def _peek_commands(commands: Iterator[list[bytes]]) -> tuple[int, Iterator[list[bytes]]]:
    seen = []
    for words in commands:
        seen.append(words)
        if place := _PAYLOADS.get(words[0].upper()):
            version = int.from_bytes(words[place][-_TRAILER_BYTES:][:2], "little")
            return version, itertools.chain(seen, commands)
    return 0, iter(seen)


def saved_databases(fingerprint: Mapping[str, Json]) -> dict[int, int]:
    """Keys by database, as counted before or after saving, whichever is more."""
    counted: dict[int, int] = {}
    for name in ("databases", "databases_after"):
        for number, facts in cast("Mapping[str, Mapping[str, int]]", fingerprint.get(name) or {}).items():
            counted[int(number)] = max(counted.get(int(number), 0), facts["keys"] or 0)
    return counted


def differences(found: Keyspace, expected: Mapping[str, Json]) -> list[str]:
    """What was counted and is not there, a line each; keys may have expired since, but no others are lost.

    Nothing can be said where somebody wrote while it was saved.
    """
    if not expected.get("exact"):
        return []
    was = cast("Mapping[str, Mapping[str, int | None]]", expected.get("databases") or {})
    lines = []
    for number in sorted({*map(int, was), *found}):
        keys, _ = found.get(number, (0, 0))
        wanted = was.get(str(number)) or {"keys": 0, "expires": 0}
        most, expiring = wanted["keys"] or 0, wanted["expires"]
        least = 0 if expiring is None else most - expiring
        if not least <= keys <= most:
            lines.append(f"database {number}: {most} keys expected, {keys} found")
    return lines
