"""What holds for every store, sentence by sentence of `Store`."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightscan_tasks.errors import AlreadyExists, NotFound, StoreRefused
from nightscan_tasks.stores import keys
from nightscan_tasks.stores.base import Store

PART_BYTES = 5 << 20
MANY = 16
NAMES = ("manifest.json", "a name with spaces", "été/ночь/夜.gz",
         "100%/a+b=c&d?e#f;g", "'quotes\"",
         "~/$HOME/*", ".hidden/..twice", "e\u0301", "daily/20261123T020000Z/x.gz.gpg")
BAD_KEYS = ("", "/", "/etc/passwd", "a//b", "a/", "../up", "a/../b", "a/./b",
            "nul\0", "back\\slash", "line\nbreak",
            ".nightscan-part-0", "a/.nightscan-part-1/b", "latest_database.sql.gz", "\udcff",
            "x" * 256, "/".join(["y" * 200] * 5))

# What versions change nothing of, and costs seconds: once for a bucket is enough.
no_matter_of_versions = pytest.mark.parametrize("place", ["directory", "s3"], indirect=True)

valid_keys = st.lists(
    st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\"),
            min_size=1, max_size=12).filter(keys.is_segment), min_size=1, max_size=3,
).map("/".join).filter(lambda key: not key.startswith("latest_"))


def read(store: Store, key: str) -> bytes:
    with store.open(key) as chunks:
        return b"".join(map(bytes, chunks))


def some_bytes(length: int) -> bytes:
    return (b"NightScan" * (length // 9 + 1))[:length]


def pieces(content: bytes, size: int = 1_000_000) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start:start + size]


@pytest.mark.parametrize("length", [0, 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES,
                                    2 * PART_BYTES + 7])
def test_what_is_put_is_read_back_and_told_truly(store: Store, length: int) -> None:
    content = some_bytes(length)
    stored = store.put("daily/x/y", pieces(content))
    assert (stored.key, stored.stored_bytes) == ("daily/x/y", length)
    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    assert read(store, "daily/x/y") == content
    entry = store.stat("daily/x/y")
    assert entry is not None
    assert (entry.key, entry.stored_bytes, entry.version) == ("daily/x/y", length, stored.version)
    assert entry.modified_at.utcoffset() == timedelta(0)
    assert [*store.list()] == [entry]


def test_buffers_come_in_any_kind_and_are_valid_only_until_the_next(store: Store) -> None:
    def reused() -> Iterator[bytearray | memoryview]:
        buffer = bytearray(70_000)
        for number in range(5):
            buffer[:] = bytes([number]) * len(buffer)
            yield memoryview(buffer) if number % 2 else buffer

    store.put("x", reused())
    assert read(store, "x") == b"".join(bytes([number]) * 70_000 for number in range(5))


@no_matter_of_versions
def test_buffers_that_are_read_are_at_most_a_mebibyte(store: Store) -> None:
    store.put("x", pieces(some_bytes(3_000_000), 1_000_000))
    with store.open("x") as chunks:
        sizes = [len(chunk) for chunk in chunks]
    assert sum(sizes) == 3_000_000
    assert 0 < min(sizes) <= max(sizes) <= 1 << 20


@no_matter_of_versions
@pytest.mark.parametrize("key", NAMES)
def test_a_name_may_be_nearly_anything(store: Store, key: str) -> None:
    store.put(key, [b"content"])
    assert read(store, key) == b"content"
    assert [entry.key for entry in store.list()] == [key]
    assert [entry.key for entry in store.list(key)] == [key]
    store.delete(key)
    assert store.stat(key) is None


@no_matter_of_versions
@settings(max_examples=25, deadline=None, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=valid_keys)
def test_every_valid_key_works_in_every_store(store: Store, key: str) -> None:
    store.put(key, [key.encode()])
    try:
        assert [entry.key for entry in store.list()] == [key]
        assert read(store, key) == key.encode()
    finally:
        store.delete(key)
    assert [*store.list()] == []


@no_matter_of_versions
@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_bad_key_is_refused_before_anything_happens(store: Store, key: str) -> None:
    for act in (lambda: store.put(key, [b"x"]), lambda: store.stat(key), lambda: store.delete(key),
                lambda: read(store, key)):
        with pytest.raises(StoreRefused, match="cannot be a key"):
            act()
    assert [*store.list()] == []


@pytest.mark.parametrize("prefix", ["/", "/etc/", "../", "a/../../b", "a//b"])
def test_a_prefix_does_not_lead_out(store: Store, prefix: str) -> None:
    with pytest.raises(StoreRefused, match="cannot be a"):
        [*store.list(prefix)]


def test_what_is_absent_is_said_to_be(store: Store) -> None:
    assert [*store.list()] == []
    assert [*store.list("daily/")] == []
    assert store.stat("daily/x") is None
    store.delete("daily/x")
    store.put("daily/y/z", [b"1"])
    assert store.stat("daily/y") is None
    assert store.stat("daily/y/z/below") is None
    store.delete("daily/y")
    for key in ("daily/x", "daily/y"):
        with pytest.raises(NotFound, match=key):
            read(store, key)
    assert read(store, "daily/y/z") == b"1"


def test_a_listing_is_sorted_by_key_and_starts_with_the_prefix(store: Store) -> None:
    expected = sorted(["a/b", "a b", "a-b/c", "a.b", "a/b c/d", "aa", "z", "é", "B", "a/c", "a!/x"])
    for key in reversed(expected):
        store.put(key, [b"x"])
    assert [entry.key for entry in store.list()] == expected
    for prefix in ("a", "a/", "a/b", "a/b c/", "a-", "nothing", "é"):
        assert [entry.key for entry in store.list(prefix)] == [
            key for key in expected if key.startswith(prefix)]
    assert [*store.list()] == [store.stat(key) for key in expected]


@no_matter_of_versions
@pytest.mark.parametrize("length", [10, PART_BYTES + 9])
def test_an_object_is_replaced_in_one_step(place: Any, length: int) -> None:
    """Readers that never stop see one content or the other, whole."""
    store, reader = place.store(), place.store()
    contents = [bytes([number]) * (length + number) for number in range(8)]
    store.put("x", [contents[0]])
    done, seen = threading.Event(), []

    def look() -> None:
        while not done.is_set():
            seen.append(read(reader, "x"))

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        try:
            versions = [store.put("x", pieces(content)).version for content in contents]
        finally:
            done.set()
        looking.result()
    assert set(seen) <= set(contents)
    assert len(set(versions)) == len(contents)
    assert read(store, "x") == contents[-1]


class Broken(Exception):
    pass


@pytest.mark.parametrize("failure", [Broken("x"), OSError(errno.ENOSPC, "of the source"),
                                     FileNotFoundError(errno.ENOENT, "of the source"),
                                     KeyboardInterrupt()],
                         ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize(("length", "before"), [(0, None), (10, b"the old object"),
                                                (PART_BYTES + 1, b"the old object")])
def test_an_error_of_the_source_passes_through_and_leaves_nothing(
        place: Any, failure: BaseException, length: int, before: bytes | None) -> None:
    store = place.store()
    if before is not None:
        store.put("set/part/x", [before])

    def source() -> Iterator[bytes]:
        yield from pieces(some_bytes(length))
        raise failure

    kept = [*store.list()]
    with pytest.raises(type(failure)) as caught:
        store.put("set/part/x", source())
    assert caught.value is failure
    assert [*store.list()] == kept
    if before is not None:
        assert read(store, "set/part/x") == before
    assert len(place.leftovers()) == (len(kept) if place.kind == "directory" else 0)


@no_matter_of_versions
@pytest.mark.parametrize("before", [None, b"old"])
def test_nobody_sees_what_is_half_written(store: Store, before: bytes | None) -> None:
    if before is not None:
        store.put("x", [before])
    kept = [*store.list()]

    def source() -> Iterator[bytes]:
        for piece in pieces(some_bytes(2 * PART_BYTES + 3)):
            yield piece
            assert [*store.list()] == kept
            assert store.stat("x") == (kept[0] if kept else None)

    store.put("x", source())
    assert read(store, "x") == some_bytes(2 * PART_BYTES + 3)


@no_matter_of_versions
@pytest.mark.parametrize("length", [20, PART_BYTES + 9])
def test_of_writers_at_once_one_is_last_and_whole(place: Any, length: int) -> None:
    contents = [bytes([number]) * length for number in range(4)]
    with ThreadPoolExecutor(len(contents)) as pool:
        futures = [pool.submit(place.store().put, "x", pieces(content)) for content in contents]
        stored = [future.result() for future in futures]
    assert read(place.store(), "x") in contents
    entry = place.store().stat("x")
    assert entry is not None
    assert entry.version in {each.version for each in stored}


@pytest.mark.parametrize("length", [0, 10, PART_BYTES + 9])
def test_an_exclusive_create_leaves_what_is_there_alone(place: Any, length: int) -> None:
    store = place.store()
    first = store.put("leases/x", pieces(some_bytes(length)), if_absent=True)
    for other in (b"", b"other", some_bytes(2 * PART_BYTES + 3)):
        with pytest.raises(AlreadyExists, match="leases/x"):
            store.put("leases/x", pieces(other), if_absent=True)
    assert read(store, "leases/x") == some_bytes(length)
    assert store.stat("leases/x").version == first.version
    assert len(place.leftovers()) == (1 if place.kind == "directory" else 0)
    store.delete("leases/x")
    store.put("leases/x", [b"again"], if_absent=True)


def test_of_many_that_create_exclusively_exactly_one_wins(place: Any) -> None:
    """All with the same content: the winner is known by its write, not by what it wrote."""
    stores = [place.store() for _ in range(MANY)]
    start = threading.Barrier(MANY)

    def take(store: Store) -> str:
        start.wait()
        try:
            store.put("leases/daily/1", [b"same"], if_absent=True)
        except AlreadyExists:
            return "lost"
        return "won"

    with ThreadPoolExecutor(MANY) as pool:
        outcomes = Counter(pool.map(take, stores))
    assert outcomes == {"lost": MANY - 1, "won": 1}


def test_what_a_killed_writer_left_is_not_listed_and_is_swept(
        place: Any, child: Callable[..., Any]) -> None:
    store = place.store()
    store.put("set/whole", [b"whole"])
    writer = child({**place.spec, "part_bytes": PART_BYTES}, """
def source():
    for _ in range(12):
        yield bytes(1 << 20)
    print("half", flush=True)
    sys.stdin.read()
store.put("set/half/x", source())
""")
    assert writer.line() == "half"
    writer.kill()
    now = datetime.now(UTC)
    assert [entry.key for entry in store.list()] == ["set/whole"]
    assert store.stat("set/half/x") is None
    assert list(store.sweep(now - timedelta(hours=1))) == []
    assert place.leftovers() != []
    [swept] = store.sweep(now + timedelta(hours=1))
    assert "set/half/" in swept
    assert len(place.leftovers()) == (1 if place.kind == "directory" else 0)
    assert list(store.sweep(now + timedelta(hours=1))) == []
    assert read(store, "set/whole") == b"whole"


def test_a_probe_says_what_it_found_and_leaves_nothing(place: Any) -> None:
    store = place.store()
    health = store.probe()
    assert health.url == store.url
    assert health.server
    assert (health.free_bytes is None) == (place.kind == "s3")
    assert [*store.list()] == []


def test_links_hurt_no_store_that_has_none(store: Store) -> None:
    store.put("daily/a/x.gz", [b"x"])
    store.link_latest({"latest_x.gz": "daily/a/x.gz"})
    assert [entry.key for entry in store.list()] == ["daily/a/x.gz"]


MOST_GROWN_KIB = {"directory": 16 << 10, "s3": 100 << 10}


@no_matter_of_versions
def test_memory_does_not_grow_with_the_stream(place: Any, child: Callable[..., Any]) -> None:
    """300 MB, cut as in real life; two parts of 16 MiB, and what boto3 itself needs, may be held."""
    writer = child(place.spec, """
def source(mebibytes):
    chunk = bytes(1 << 20)
    for _ in range(mebibytes):
        yield chunk
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store.put("x", source(1))
before = peak()
store.put("x", source(300))
with store.open("x") as chunks:
    total = sum(len(chunk) for chunk in chunks)
print(total, peak() - before, flush=True)
""")
    total, grown_kib = map(int, writer.line().split())
    assert total == 300 << 20
    assert grown_kib < MOST_GROWN_KIB[place.kind]


def test_a_store_has_a_name_and_a_url_without_secrets(store: Store) -> None:
    assert store.name in {"primary", "offsite"}
    assert store.url
    assert os.environ.get("AWS_SECRET_ACCESS_KEY", "never") not in store.url


def test_many_that_delete_and_list_the_same_at_once_are_no_error(store: Store) -> None:
    for round_number in range(10):
        keys = [f"daily/{round_number}/{number}" for number in range(5)]
        for key in keys:
            store.put(key, [b"x"])
        barrier = threading.Barrier(6)

        def remove(_number: int, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            for entry in list(store.list("daily/")):
                store.delete(entry.key)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(remove, range(6)))
        assert list(store.list("daily/")) == []
