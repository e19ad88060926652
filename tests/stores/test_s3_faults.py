"""What happens to objects, and what is said, when the way to S3 or S3 itself fails."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.errors import AlreadyExists, NightscanError, StoreError, StoreRefused
from tests.stores.asking import ASKING, HUGE, LARGE, PART_BYTES, pieces, read, writes


def in_words(value: object) -> str:
    """A parameter as a test's name shows it."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return str(getattr(value, "__name__", value))


def carries(asked: Any) -> bool:
    return bool(asked.method == "PUT")


def sends_a_part(asked: Any) -> bool:
    return "partNumber=" in asked.path


def sends_the_second_part(asked: Any) -> bool:
    return "partNumber=2" in asked.path


def completes(asked: Any) -> bool:
    return bool(asked.method == "POST" and "uploadId=" in asked.path)


def fetches(asked: Any) -> bool:
    return bool(asked.method == "GET" and "list-type" not in asked.path)


FAULTS: dict[str, tuple[dict[str, Any], type[NightscanError], str]] = {
    "500": ({"status": 500, "code": "InternalError"}, StoreError, "500 InternalError.*tried again"),
    "503": ({"status": 503, "code": "SlowDown"}, StoreError, "503 SlowDown.*tried again"),
    "403": ({"status": 403, "code": "AccessDenied"}, StoreRefused, "403 AccessDenied.*policy"),
    "507": ({"status": 507, "code": "Full"}, StoreRefused, "507.*make room"),
    "skew": ({"status": 403, "code": "RequestTimeTooSkewed"}, StoreRefused, "clock"),
    "class": ({"status": 400, "code": "InvalidStorageClass"}, StoreRefused,
              "NIGHTSCAN_S3_STORAGE_CLASS=STANDARD"),
    "cut at once": ({"cut_request_at": 0}, StoreError, "tried again"),
    "cut in the middle": ({"cut_request_at": 3}, StoreError, "tried again"),
    "silent": ({"silent": True}, StoreError, "tried again"),
    "damaged": ({"damage": True}, StoreError, "tried again"),
}


@pytest.mark.parametrize(("content", "when", "fault"), [
    *((b"small", writes, fault) for fault in FAULTS),
    *((LARGE, sends_the_second_part, fault)
      for fault in ("500", "403", "cut in the middle", "silent", "damaged")),
    (LARGE, completes, "500")],
    ids=in_words)
def test_a_put_that_fails_leaves_the_old_object_and_nothing_else(
        s3_place: Any, proxy: Any, content: bytes, when: Callable[[Any], bool],
        fault: str) -> None:
    what, kind, said = FAULTS[fault]
    direct = s3_place.store()
    direct.put("set/x", [b"the old object"])
    store = s3_place.store(endpoint=proxy.endpoint, limits={"read_seconds": 0.5})
    proxy.breaks(when, **what)
    with pytest.raises(kind, match=rf"(?s)offsite .*{s3_place.bucket}.*{said}") as caught:
        store.put("set/x", pieces(content))
    assert type(caught.value) is kind
    proxy.mend()
    assert [entry.key for entry in direct.list()] == ["set/x"]
    assert read(direct, "set/x") == b"the old object"
    assert s3_place.uploads() == []
    store.put("set/x", pieces(content))
    assert read(direct, "set/x") == content


@pytest.mark.parametrize(("content", "fault"), [
    (b"small", "500"), (b"small", "silent"), (LARGE, "503"), (LARGE, "cut at once")],
    ids=in_words)
def test_a_fault_that_passes_is_not_noticed(s3_place: Any, proxy: Any, fault: str,
                                            content: bytes) -> None:
    store = s3_place.store(endpoint=proxy.endpoint, limits={"read_seconds": 1, "attempts": 2})
    proxy.breaks(carries, times=1, **FAULTS[fault][0])
    store.put("x", pieces(content))
    assert read(s3_place.store(), "x") == content
    assert s3_place.uploads() == []


@pytest.mark.parametrize(("content", "when", "attempts", "if_absent"), [
    (b"small", writes, 1, True), (b"small", writes, 2, True), (b"small", writes, 1, False),
    (LARGE, completes, 1, True), (LARGE, completes, 2, False)], ids=in_words)
def test_a_write_whose_answer_was_lost_is_known_to_be_ours(
        s3_place: Any, proxy: Any, content: bytes, when: Callable[[Any], bool], attempts: int,
        if_absent: bool) -> None:
    """The object is there. To say anything else would make a lease's holder its own rival."""
    store = s3_place.store(endpoint=proxy.endpoint, limits={"attempts": attempts})
    proxy.breaks(when, times=1, cut_answer_at=0)
    stored = store.put("leases/x", pieces(content), if_absent=if_absent)
    entry = s3_place.store().stat("leases/x")
    assert entry is not None
    assert (entry.version, entry.stored_bytes) == (stored.version, len(content))
    assert s3_place.uploads() == []


@pytest.mark.parametrize("content", [b"same", LARGE], ids=["whole", "in parts"])
def test_a_lost_answer_does_not_make_somebody_elses_object_ours(
        s3_place: Any, proxy: Any, content: bytes) -> None:
    s3_place.store().put("leases/x", [b"same"])
    store = s3_place.store(endpoint=proxy.endpoint, limits={"attempts": 2})
    proxy.breaks(writes, times=1, cut_answer_at=0)
    with pytest.raises(AlreadyExists):
        store.put("leases/x", pieces(content), if_absent=True)
    assert read(s3_place.store(), "leases/x") == b"same"
    assert s3_place.uploads() == []


def test_parts_that_cannot_be_aborted_are_told_and_swept(s3_place: Any, proxy: Any) -> None:
    store = s3_place.store(endpoint=proxy.endpoint)
    proxy.breaks(lambda asked: asked.method == "DELETE", status=500, code="InternalError")
    proxy.breaks(sends_the_second_part, status=500, code="InternalError")
    with pytest.raises(StoreError, match="upload_part") as caught:
        store.put("x", pieces(LARGE))
    assert "until they are swept" in caught.value.__notes__[0]
    assert len(s3_place.uploads()) == 1
    proxy.mend()
    other = s3_place.store(prefix=f"{s3_place.prefix}-of-others")
    later = datetime.now(UTC) + timedelta(hours=1)
    assert list(other.sweep(later)) == []
    assert len(store.sweep(later)) == 1
    assert s3_place.uploads() == []


@pytest.mark.parametrize("at", [0, 1_500_000, len(HUGE) - 1])
def test_a_download_that_is_cut_goes_on_where_it_was(s3_place: Any, proxy: Any, at: int) -> None:
    s3_place.store().put("x", pieces(HUGE))
    store = s3_place.store(endpoint=proxy.endpoint, limits={"attempts": 2})
    proxy.breaks(fetches, times=1, cut_answer_at=at)
    assert read(store, "x") == HUGE


def test_a_download_survives_many_cuts_as_long_as_it_moves(s3_place: Any, proxy: Any) -> None:
    s3_place.store().put("x", pieces(HUGE))
    store = s3_place.store(endpoint=proxy.endpoint, limits={"resumes": 2})
    proxy.breaks(fetches, times=1, cut_answer_at=500_000)
    proxy.breaks(fetches, times=1, cut_answer_at=9_500_000)
    proxy.breaks(fetches, times=1, cut_answer_at=100_000)
    assert read(store, "x") == HUGE
    ranges = [asked.headers.get("range") for asked in proxy.asked if fetches(asked)]
    assert len(ranges) == 4


def test_a_download_that_hardly_moves_gives_up(s3_place: Any, proxy: Any) -> None:
    s3_place.store().put("x", pieces(HUGE))
    store = s3_place.store(endpoint=proxy.endpoint, limits={"resumes": 2})
    proxy.breaks(fetches, cut_answer_at=1_200)
    with pytest.raises(StoreError, match=r"get_object at byte .* of"):
        read(store, "x")
    assert sum(map(fetches, proxy.asked)) == 3


@pytest.mark.parametrize("at", [20, 100])
@pytest.mark.parametrize("ask", ["stat", "open"])
def test_an_answer_that_is_cut_among_its_headers_is_no_answer(
        s3_place: Any, proxy: Any, ask: str, at: int) -> None:
    s3_place.store().put("x", [b"content"])
    proxy.breaks(cut_answer_at=at)
    with pytest.raises(StoreError, match="tried again"):
        ASKING[ask](s3_place.store(endpoint=proxy.endpoint))


@pytest.mark.parametrize("at", [0, 100])
def test_an_upload_whose_very_beginning_was_lost_is_swept(s3_place: Any, proxy: Any, at: int) -> None:
    """Nobody knows its id, so nobody can abort it at once."""
    store = s3_place.store(endpoint=proxy.endpoint)
    proxy.breaks(lambda asked: asked.method == "POST", times=1, cut_answer_at=at)
    with pytest.raises(StoreError, match="create_multipart_upload"):
        store.put("x", pieces(LARGE))
    assert [*store.list()] == []
    assert len(store.sweep(datetime.now(UTC) + timedelta(hours=1))) == len(s3_place.uploads()) + 1


def test_a_download_does_not_go_on_with_another_object(s3_place: Any, proxy: Any) -> None:
    direct = s3_place.store()
    direct.put("x", pieces(LARGE))
    store = s3_place.store(endpoint=proxy.endpoint)
    proxy.breaks(fetches, times=1, cut_answer_at=1_500_000)
    with store.open("x") as chunks:
        next(chunks)
        direct.put("x", pieces(LARGE[::-1]))
        with pytest.raises(StoreError, match="replaced while it was read"):
            list(chunks)


def test_a_slow_server_is_waited_for(s3_place: Any, proxy: Any) -> None:
    store = s3_place.store(endpoint=proxy.endpoint, limits={"read_seconds": 5})
    store.put("x", [LARGE[:1_000_000]])
    proxy.breaks(slow=True)
    assert read(store, "x") == LARGE[:1_000_000]
    assert [entry.key for entry in store.list()] == ["x"]


@pytest.mark.parametrize("ask", ASKING)
def test_a_missing_bucket_is_refused_whatever_is_asked(s3_place: Any, proxy: Any, ask: str) -> None:
    """As Amazon answers; SeaweedFS would make the bucket, unless it is told not to."""
    proxy.breaks(status=404, code="NoSuchBucket")
    with pytest.raises(StoreRefused, match=rf"(?s){s3_place.bucket}.*create the bucket|create it") as caught:
        ASKING[ask](s3_place.store(endpoint=proxy.endpoint))
    assert type(caught.value) is StoreRefused


@pytest.mark.parametrize(("ask", "name"), [
    *((ask, "AWS_SECRET_ACCESS_KEY") for ask in ASKING), ("put", "AWS_ACCESS_KEY_ID")])
def test_wrong_keys_are_refused_whatever_is_asked(
        s3_place: Any, ask: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "planted-secret")
    with pytest.raises(StoreRefused, match=r"AWS_ACCESS_KEY_ID and AWS_SECRET") as caught:
        ASKING[ask](s3_place.store())
    assert type(caught.value) is StoreRefused
    assert "planted-secret" not in str(caught.value)


def test_no_keys_at_all_are_refused(s3_place: Any, monkeypatch: pytest.MonkeyPatch,
                                    tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StoreRefused, match=r"no credentials.*AWS_ACCESS_KEY_ID"):
        s3_place.store().stat("x")


@pytest.mark.parametrize("ask", ASKING)
def test_a_server_that_is_not_there_is_worth_another_try(s3_place: Any, ask: str) -> None:
    with socket.socket() as taken:  # bound, but not listening: every connection is refused
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StoreError, match=rf"{endpoint}.*AWS_ENDPOINT_URL"):
            ASKING[ask](s3_place.store(endpoint=endpoint))


@pytest.mark.parametrize("ask", [ask for ask in ASKING if ask != "put in parts"])
@pytest.mark.parametrize("fault", ["500", "403"])
def test_every_request_says_what_failed(s3_place: Any, proxy: Any, ask: str, fault: str) -> None:
    what, kind, _ = FAULTS[fault]
    s3_place.store().put("x", [b"content"])
    store = s3_place.store(endpoint=proxy.endpoint)
    proxy.breaks(**what)
    with pytest.raises(kind, match=f"(?s)offsite s3://{s3_place.bucket}.*{proxy.endpoint}"):
        ASKING[ask](store)
    assert read(s3_place.store(), "x") == b"content"


def test_the_source_is_told_at_the_next_part_and_not_drained(s3_place: Any, proxy: Any) -> None:
    proxy.breaks(sends_a_part, status=500, code="InternalError")
    given = 0

    def source() -> Iterator[bytes]:
        nonlocal given
        for _ in range(1000):
            given += 1
            yield bytes(1 << 20)

    with pytest.raises(StoreError):
        s3_place.store(endpoint=proxy.endpoint).put("x", source())
    assert given <= 3 * PART_BYTES >> 20


def test_a_part_is_sent_while_the_next_is_read(s3_place: Any, proxy: Any) -> None:
    """The source does not end before the server has had the first part."""
    arrived = threading.Event()

    def first_part(asked: Any) -> bool:
        if sends_a_part(asked):
            arrived.set()
        return False

    proxy.breaks(first_part)

    def source() -> Iterator[bytes]:
        yield bytes(PART_BYTES)
        yield b"one more byte shows that there is a second part"
        assert arrived.wait(120)
        yield b"the end"

    s3_place.store(endpoint=proxy.endpoint).put("x", source())


def test_small_objects_are_standard_whatever_the_class(s3_place: Any, proxy: Any) -> None:
    store = s3_place.store(endpoint=proxy.endpoint, storage_class="STANDARD_IA")
    for content in (b"", b"record", bytes((128 << 10) - 1), bytes(128 << 10), LARGE):
        store.put("x", pieces(content))
    classes = [asked.headers["x-amz-storage-class"] for asked in proxy.asked
               if "x-amz-storage-class" in asked.headers]
    assert classes == ["STANDARD"] * 3 + ["STANDARD_IA"] * 2


def test_every_byte_is_sent_with_its_sha256(s3_place: Any, proxy: Any) -> None:
    store = s3_place.store(endpoint=proxy.endpoint)
    store.put("x", [b"small"])
    store.put("x", pieces(LARGE))
    sent = [asked for asked in proxy.asked if asked.method == "PUT"]
    assert len(sent) == 3
    assert all("x-amz-checksum-sha256" in asked.headers for asked in sent)


def test_large_parts_wait_in_a_file_without_a_name(s3_place: Any, tmp_path: Path) -> None:
    seen: list[Path] = []

    def source() -> Iterator[bytes]:
        for piece in pieces(LARGE):
            yield piece
            seen.extend(tmp_path.iterdir())

    store = s3_place.store(cutter={"held_bytes": 1, "temp_dir": tmp_path})
    store.put("x", source())
    assert read(store, "x") == LARGE
    assert seen == []


def test_a_missing_folder_for_large_parts_is_named(s3_place: Any, tmp_path: Path) -> None:
    store = s3_place.store(cutter={"held_bytes": 1, "temp_dir": tmp_path / "none"})
    with pytest.raises(StoreRefused, match=r"none.*NIGHTSCAN_TEMP_DIR"):
        store.put("x", pieces(LARGE))


def test_many_threads_share_one_store(s3_place: Any) -> None:
    store = s3_place.store()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.put(f"runs/{number:03}", [b"x"]), range(40)))
    assert [entry.key for entry in store.list("runs/")] == [f"runs/{n:03}" for n in range(40)]


def test_listings_longer_than_a_page_are_whole(s3_place: Any) -> None:
    store = s3_place.store()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.put(f"{number:04}", [b""]), range(1001)))
    assert [entry.key for entry in store.list()] == [f"{number:04}" for number in range(1001)]
