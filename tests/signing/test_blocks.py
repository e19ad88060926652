"""No byte of a stored artifact is given to anybody before the block that it is in was compared."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightscan_tasks.codec import Codec
from nightscan_tasks.errors import DigestMismatch
from nightscan_tasks.model import BLOCK_BYTES
from nightscan_tasks.restore import Choice, Request, Targets, restore
from nightscan_tasks.streams import Tally, compared_blocks

BLOCK = 10


def hashed(data: bytes, block_bytes: int = BLOCK) -> tuple[str, ...]:
    return tuple(hashlib.sha256(data[:at + block_bytes]).hexdigest()
                 for at in range(0, len(data), block_bytes))


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for begin, end in pairwise(edges):
        yield data[begin:end]


@given(st.binary(max_size=100), st.lists(st.integers(0, 100)))
def test_however_a_stream_is_cut_its_blocks_are_the_same_and_it_comes_through(
        data: bytes, cuts: list[int]) -> None:
    tally = Tally(block_bytes=BLOCK)
    assert b"".join(map(bytes, tally.through(pieces(data, cuts)))) == data
    assert tally.prefixes == hashed(data)
    assert (tally.sha256, tally.total_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    with compared_blocks(pieces(data, cuts), tally.prefixes, block_bytes=BLOCK, name="x") as compared:
        assert b"".join(map(bytes, compared)) == data


@given(st.binary(min_size=1, max_size=100), st.lists(st.integers(0, 100)), st.integers(0, 99),
       st.integers(1, 255))
def test_what_is_given_is_what_was_saved_up_to_the_block_that_was_changed(
        data: bytes, cuts: list[int], at: int, flip: int) -> None:
    bad = bytearray(data)
    bad[at % len(data)] ^= flip
    got: list[bytes] = []
    with (compared_blocks(pieces(bytes(bad), cuts), hashed(data), block_bytes=BLOCK, name="x") as compared,
          pytest.raises(DigestMismatch, match="x is damaged between bytes")):
        got.extend(map(bytes, compared))
    assert b"".join(got) == data[:at % len(data) // BLOCK * BLOCK]


@pytest.mark.parametrize(("change", "said"), [
    (lambda data: data[:25], "between bytes 20 and 25"), (lambda data: data[:20], "cut short at or before"),
    (lambda _: b"", "cut short"), (lambda data: data + b"x" * 15, "more than the 30 bytes"),
    (lambda data: data[10:20] + data[:10] + data[20:], "between bytes 0 and 10"),
    (lambda data: data[:10] * 3, "between bytes 10 and 20")])
def test_blocks_that_are_missing_swapped_repeated_or_too_many_are_noticed(
        change: Callable[[bytes], bytes], said: str) -> None:
    data = bytes(range(30))
    with (compared_blocks([change(data)], hashed(data), block_bytes=BLOCK, name="x") as compared,
          pytest.raises(DigestMismatch, match=said)):
        list(compared)


def test_three_blocks_are_in_memory_and_no_more_are_read_ahead() -> None:
    data, asked = bytes(range(100)), 0

    def source() -> Iterator[bytes]:
        nonlocal asked
        for at in range(0, 100, BLOCK):
            asked = at
            yield data[at:at + BLOCK]

    with compared_blocks(source(), hashed(data), block_bytes=BLOCK, name="x") as compared:
        for number, block in enumerate(compared):
            assert asked // BLOCK <= number + 3
            assert bytes(block) == data[number * BLOCK:(number + 1) * BLOCK]  # not written over yet
    assert not [thread for thread in threading.enumerate() if thread.name == "compare"]


def test_an_error_of_the_store_comes_through_as_it_is() -> None:
    def source() -> Iterator[bytes]:
        yield b"x" * BLOCK
        raise OSError("gone")

    with (compared_blocks(source(), hashed(b"x" * 2 * BLOCK), block_bytes=BLOCK, name="x") as compared,
          pytest.raises(OSError, match="gone")):
        list(compared)


def test_a_new_set_has_the_hash_at_the_end_of_each_block(host: Any) -> None:
    manifest = host.system.catalog().get(host.save())
    for artifact in manifest.artifacts:
        stored = host.path(manifest.set_id, artifact.name).read_bytes()
        assert (artifact.block_bytes, artifact.stored_prefixes) == (BLOCK_BYTES, hashed(stored, BLOCK_BYTES))


@pytest.mark.parametrize("recipient", ["", "backup@nightscan.com"])
@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 1.0])
def test_of_a_signed_set_with_one_bad_block_neither_gpg_nor_gunzip_sees_that_block(
        host: Any, where: float, recipient: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.folder / "etc/crontab").write_bytes(bytes(range(256)) * 40)
    set_id = host.save(NIGHTSCAN_GPG_RECIPIENT=recipient)
    system = host.with_settings(NIGHTSCAN_GPG_RECIPIENT=recipient)
    saved = system.catalog().get(set_id)
    # The same set with blocks of 100 bytes, signed as the host would have.
    host.resign(set_id, replace(saved, artifacts=tuple(
        replace(each, block_bytes=100, stored_prefixes=hashed(host.path(set_id, each.name).read_bytes(), 100))
        for each in saved.artifacts)))
    tar = next(each for each in saved.artifacts if ".tar." in each.name)
    path = host.path(set_id, tar.name)
    whole = path.read_bytes()
    bad = bytearray(whole)
    at = min(int(where * len(whole)), len(whole) - 1)
    bad[at] ^= 1
    path.write_bytes(bad)
    streams: list[list[bytes]] = []
    decode = Codec.decode

    def watched(codec: Codec, chunks: Any) -> Any:
        passed: list[bytes] = []
        streams.append(passed)

        def seen() -> Iterator[bytes]:
            for chunk in chunks:
                passed.append(bytes(chunk))
                yield chunk
        return decode(codec, seen())

    monkeypatch.setattr(Codec, "decode", watched)
    with pytest.raises(DigestMismatch, match=r"is damaged between bytes (?s:.*)the copy in offsite is whole"):
        restore(system, Request(Choice(), ("system_config",), Targets(root=host.folder / "unpacked")))
    begin = at // 100 * 100
    assert any(b"".join(passed) == whole[:begin] for passed in streams)
    assert not any(bytes(bad[begin:begin + 100]) in b"".join(passed) for passed in streams)
    assert not (host.folder / "unpacked/system_config").exists()
