"""A run's list of files is made once in a process, however many parts ask for it at a time."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nightscan_tasks.ledger.listings import shared_lines
from nightscan_tasks.stores.directory import DirectoryStore

LINES = [b"f 0 - a", b"f 1 - b"]
MANY = 200_000


def test_threads_that_ask_at_once_walk_the_files_once(tmp_path: Path) -> None:
    store, made, both = DirectoryStore("primary", tmp_path), list[int](), threading.Barrier(2)

    def produce() -> Iterator[bytes]:
        made.append(1)
        yield from LINES

    def read(_number: int) -> list[bytes]:
        both.wait(timeout=180)
        with shared_lines(store, "runs/x/list.gz", produce) as lines:
            return list(lines)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(read, range(2))) == [LINES, LINES]
    assert made == [1]


def test_a_long_list_is_read_in_little_memory(tmp_path: Path) -> None:
    store = DirectoryStore("primary", tmp_path)

    def produce() -> Iterator[bytes]:
        return (b"f 0 0:%d:1:1000:1700000000000000000:1700000000000000000 uploads/%07d.yaml" % (each, each)
                for each in range(MANY))

    with shared_lines(store, "runs/x/list.gz", produce) as lines:
        assert all(map(bytes.__eq__, lines, produce()))
    tracemalloc.start()
    try:
        with shared_lines(store, "runs/x/list.gz", produce) as lines:
            assert sum(1 for _ in lines) == MANY
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 8_000_000  # the list itself is 15 MB, and twice that as lines
