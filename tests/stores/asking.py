"""What a store can be asked for, and how to read and write one in a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from nightscan_tasks.stores.base import Store

PART_BYTES = 5 << 20
LARGE = bytes(range(256)) * (PART_BYTES // 256) + b"and a second part" * 10_000
HUGE = LARGE * 2


def read(store: Store, key: str) -> bytes:
    with store.open(key) as chunks:
        return b"".join(map(bytes, chunks))


def pieces(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), 1_000_000):
        yield content[start:start + 1_000_000]


def writes(asked: Any) -> bool:
    return bool(asked.method in {"PUT", "POST"})


ASKING: dict[str, Callable[[Store], object]] = {
    "put": lambda store: store.put("x", [b"x"]),
    "put in parts": lambda store: store.put("x", pieces(LARGE)),
    "open": lambda store: read(store, "x"),
    "stat": lambda store: store.stat("x"),
    "list": lambda store: [*store.list()],
    "delete": lambda store: store.delete("x"),
    "sweep": lambda store: store.sweep(datetime.now(UTC)),
    "probe": lambda store: store.probe(),
}
