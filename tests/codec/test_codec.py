"""Encoding and decoding, checked with gunzip and gpg themselves; and what goes wrong on the way."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import threading
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.codec import Codec, RecipientKey, end_agent, inspect_recipient
from nightscan_tasks.codec import codec as codec_module
from nightscan_tasks.errors import DigestMismatch, EncryptionFailed, ProcessFailed, ProcessKilled
from nightscan_tasks.process import Program
from nightscan_tasks.streams import Tally

RECIPIENT = "backup@nightscan.com"
_MIB = 1 << 20
RANDOM = random.Random(7).randbytes(5 * _MIB + 4321)
TEXT = b"".join(b"%d\tuser%d@example.com\t2026-11-23\n" % (number, number * 7919)
                for number in range(90_000))
SAMPLES = {"nothing": b"", "one byte": b"x", "sound": RANDOM, "text": TEXT,
           "both": RANDOM[:_MIB] + TEXT + RANDOM[:77], "zeros": bytes(9 * _MIB),
           "exactly 1 MiB": RANDOM[:_MIB], "one stored block": RANDOM[:65535]}


def pieces(data: bytes, size: int = 700_001) -> Iterator[bytes]:
    return (data[start:start + size] for start in range(0, len(data), size))


def encode(codec: Codec, data: bytes, size: int = 700_001) -> bytes:
    with codec.encode(pieces(data, size)) as stored:
        return b"".join(bytes(chunk) for chunk in stored)


def decode(codec: Codec, stored: bytes) -> bytes:
    with codec.decode(pieces(stored, 100_003)) as plain:
        return b"".join(bytes(chunk) for chunk in plain)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("size", [1000, 700_001, 3 * _MIB])
def test_gunzip_reads_what_was_encoded(
        gunzip: Callable[[bytes], bytes], name: str, size: int) -> None:
    stored = encode(Codec(), SAMPLES[name], size)
    assert gunzip(stored) == SAMPLES[name]
    assert decode(Codec(), stored) == SAMPLES[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_gpg_and_gunzip_read_what_was_encoded(
        ring: Any, gunzip: Callable[[bytes], bytes], name: str) -> None:
    codec = Codec(RECIPIENT, ring.home)
    stored = encode(codec, SAMPLES[name])
    assert gunzip(ring.gpg("--decrypt", stored=stored)) == SAMPLES[name]
    assert decode(codec, stored) == SAMPLES[name]


def test_what_gzip_and_gpg_made_is_decoded(ring: Any) -> None:
    import gzip
    stored = gzip.compress(TEXT) + gzip.compress(RANDOM)
    assert decode(Codec(), stored) == TEXT + RANDOM
    sealed = ring.gpg("--trust-model", "always", "-e", "-r", RECIPIENT, stored=stored)
    assert decode(Codec(RECIPIENT, ring.home), sealed) == TEXT + RANDOM


def test_the_suffix_says_what_it_is() -> None:
    assert (Codec().suffix, Codec(RECIPIENT).suffix) == (".gz", ".gz.gpg")


@pytest.mark.parametrize("recipient", ["", RECIPIENT])
def test_plain_bytes_are_counted_and_hashed(ring: Any, recipient: str) -> None:
    seen: list[int] = []
    plain = Tally(seen=seen.append)
    with Codec(recipient, ring.home).encode(pieces(RANDOM), plain=plain) as stored:
        for _ in stored:
            pass
    assert plain.total_bytes == len(RANDOM)
    assert plain.sha256 == hashlib.sha256(RANDOM).hexdigest()
    assert seen == sorted(seen)
    assert seen[-1] == len(RANDOM)


def test_text_shrinks_and_sound_hardly_grows() -> None:
    assert len(encode(Codec(), TEXT)) < len(TEXT) / 2
    assert len(encode(Codec(), RANDOM)) < len(RANDOM) * 1.001


def recording(sigma: float) -> bytes:
    """A mebibyte of 16-bit sound as microphones give it: its high bytes say little, its low ones much."""
    chance = random.Random(11)
    heard = array("h", (int(chance.gauss(0, sigma)) for _ in range(48_000)))
    return (heard.tobytes() * 12)[:_MIB]  # repeated farther away than deflate looks back


def deflated(block: bytes, percent: int = 25) -> bool:
    """Whether an encoded block was squeezed; by the type of its first deflate block (RFC 1951, 3.2.3)."""
    stored = encode(Codec(squeeze_percent=percent), block, _MIB)
    assert stored[3] == 0  # no name stands before the data
    return bool(stored[10] >> 1 & 0b11)


@pytest.mark.parametrize(("sigma", "percent", "squeezed"), [
    (40, 25, True), (400, 25, False), (400, 10, True), (1200, 10, True), (40, 100, False), (1200, 0, True)])
def test_recordings_are_squeezed_where_that_is_worth_its_time(
        sigma: float, percent: int, squeezed: bool) -> None:
    sound = recording(sigma)
    assert deflated(sound, percent) is squeezed
    stored_bytes = len(encode(Codec(squeeze_percent=percent), sound))
    assert (stored_bytes < (100 - percent) / 100 * len(sound)) is squeezed


def test_what_does_not_shrink_is_not_squeezed() -> None:
    packed = RANDOM[:_MIB]
    assert not deflated(packed)
    assert packed[:65535] in encode(Codec(), packed, _MIB)  # it lies there as it came


def test_each_block_is_squeezed_or_not_by_itself() -> None:
    stored = encode(Codec(), TEXT[:_MIB] + RANDOM[:_MIB], _MIB)
    assert RANDOM[:65535] in stored
    assert TEXT[:1000] not in stored


def test_buffers_that_the_source_uses_again_are_copied() -> None:
    def source() -> Iterator[memoryview]:
        buffer = bytearray(300_000)
        for number in range(40):
            buffer[:] = bytes([number]) * len(buffer)
            yield memoryview(buffer)
    with Codec().encode(source()) as stored:
        encoded = b"".join(bytes(chunk) for chunk in stored)
    assert decode(Codec(), encoded) == b"".join(bytes([n]) * 300_000 for n in range(40))


def test_the_key_is_looked_for_once_and_again_only_while_it_cannot_be_used(
        ring: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real, usable = inspect_recipient, [False, True]

    def inspect(recipient: str, home: Path | None) -> RecipientKey:
        asked.append(recipient)
        return replace(real(recipient, home), usable=usable.pop(0), problem="not now")

    monkeypatch.setattr(codec_module, "inspect_recipient", inspect)
    codec = Codec(RECIPIENT, ring.home)
    with pytest.raises(EncryptionFailed, match="not now"):
        encode(codec, b"x")
    assert decode(codec, encode(codec, b"x")) == decode(codec, encode(codec, b"x")) == b"x"
    assert asked == [RECIPIENT, RECIPIENT]


def test_the_public_key_alone_encrypts_and_starts_no_agent(ring: Any, public_home: Path) -> None:
    stored = encode(Codec(RECIPIENT, public_home), TEXT)
    assert not (public_home / "S.gpg-agent").exists()
    assert decode(Codec(RECIPIENT, ring.home), stored) == TEXT


def test_encrypting_changes_nothing_in_the_key_ring(public_home: Path) -> None:
    before = {path.name: path.read_bytes() for path in public_home.iterdir() if path.is_file()}
    encode(Codec(RECIPIENT, public_home), TEXT)
    assert {path.name: path.read_bytes() for path in public_home.iterdir()
            if path.is_file()} == before


def test_without_the_private_key_nothing_is_decoded(public_home: Path) -> None:
    codec = Codec(RECIPIENT, public_home)
    stored = encode(codec, TEXT)
    with pytest.raises(EncryptionFailed, match=r"No secret key.*NIGHTSCAN_GPG_HOME"):
        decode(codec, stored)


def test_a_passphrase_comes_from_a_file(ring: Any) -> None:
    end_agent(ring.home)  # it may know the passphrase from making the key
    name = "locked@nightscan.com"
    stored = encode(Codec(name, ring.home), TEXT)
    with pytest.raises(EncryptionFailed, match="passphrase"):
        decode(Codec(name, ring.home), stored)
    assert decode(Codec(name, ring.home, ring.secret), stored) == TEXT


@pytest.mark.parametrize("name", ["nobody", "expired", "revoked", "signing"])
def test_a_key_that_cannot_be_used_is_refused_before_anything_is_read(ring: Any, name: str) -> None:
    def source() -> Iterator[bytes]:
        read.append(name)
        yield b""
    read: list[str] = []
    with (pytest.raises(EncryptionFailed, match=rf"{name}@nightscan.com.*--import KEY.asc"),
          Codec(f"{name}@nightscan.com", ring.home).encode(source())):
        pass
    assert read == []


class SourceError(Exception):
    """What a source raised."""


@pytest.mark.parametrize("recipient", ["", RECIPIENT])
@pytest.mark.parametrize("after", [0, 1, 30])
def test_an_error_of_the_source_passes_through(ring: Any, recipient: str, after: int) -> None:
    def source() -> Iterator[bytes]:
        for _ in range(after):
            yield RANDOM[:_MIB]
        raise SourceError
    with (pytest.raises(SourceError),
          Codec(recipient, ring.home).encode(source()) as stored):
        for _ in stored:
            pass


def test_a_program_that_fails_as_the_source_is_not_taken_for_gpg(ring: Any) -> None:
    with (Program(["sh", "-c", "echo partial; exit 3"]) as program,
          pytest.raises(ProcessFailed, match="exit status 3"),
          Codec(RECIPIENT, ring.home).encode(program.chunks()) as stored):
        for _ in stored:
            pass


def test_an_error_while_hashing_passes_through() -> None:
    def fail(_total: int) -> None:
        raise SourceError
    with (pytest.raises(SourceError),
          Codec().encode(pieces(RANDOM), plain=Tally(seen=fail)) as stored):
        for _ in stored:
            pass


@pytest.mark.parametrize("recipient", ["", RECIPIENT])
def test_leaving_early_ends_everything(ring: Any, recipient: str) -> None:
    closed = threading.Event()

    def source() -> Iterator[bytes]:
        try:
            while True:
                yield RANDOM[:_MIB]
        finally:
            closed.set()
    with Codec(recipient, ring.home).encode(source()) as stored:
        assert next(stored)
    assert closed.is_set()


def test_leaving_decoding_early_ends_everything(ring: Any) -> None:
    codec = Codec(RECIPIENT, ring.home)
    stored = encode(codec, RANDOM)
    with codec.decode(pieces(stored)) as plain:
        assert next(plain)


def _gpg_child() -> int:
    """The gpg that is encrypting."""
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread that has just ended
            for child in (task / "children").read_text().split():
                if b"--encrypt" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
    raise AssertionError("no gpg runs")


def test_gpg_that_is_killed_fails_the_stream(ring: Any) -> None:
    def source() -> Iterator[bytes]:
        yield RANDOM
        os.kill(_gpg_child(), signal.SIGKILL)
        while True:
            yield RANDOM
    with (pytest.raises(ProcessKilled, match="gpg was ended by signal SIGKILL") as killed,
          Codec(RECIPIENT, ring.home).encode(source()) as stored):
        for _ in stored:
            pass
    assert killed.value.transient  # memory was short: once more


@pytest.mark.parametrize("keep", [0, 0.001, 0.5, 0.99, -1])
def test_stored_bytes_that_are_cut_short_are_noticed(ring: Any, keep: float) -> None:
    for codec in (Codec(), Codec(RECIPIENT, ring.home)):
        stored = encode(codec, RANDOM)
        cut = stored[:-1] if keep == -1 else stored[:int(len(stored) * keep)]
        with pytest.raises((DigestMismatch, EncryptionFailed)):
            decode(codec, cut)


@pytest.mark.parametrize("at", [0, 0.3, 0.6, 0.999])
@pytest.mark.parametrize("data", [RANDOM, TEXT])
def test_one_flipped_bit_is_noticed(ring: Any, at: float, data: bytes) -> None:
    for codec in (Codec(), Codec(RECIPIENT, ring.home)):
        stored = bytearray(encode(codec, data))
        stored[int(len(stored) * at)] ^= 0x10
        with pytest.raises((DigestMismatch, EncryptionFailed)):
            decode(codec, bytes(stored))


def test_something_else_behind_the_end_is_noticed() -> None:
    with pytest.raises(DigestMismatch):
        decode(Codec(), encode(Codec(), TEXT) + b"something else")


def test_an_error_of_the_store_while_decoding_passes_through(ring: Any) -> None:
    stored = encode(Codec(RECIPIENT, ring.home), RANDOM)

    def source() -> Iterator[bytes]:
        yield stored[:_MIB]
        raise SourceError
    for codec in (Codec(RECIPIENT, ring.home), Codec()):
        with pytest.raises((SourceError, DigestMismatch)), codec.decode(source()) as plain:
            for _ in plain:
                pass


def test_a_missing_gpg_is_said_with_what_installs_it(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EncryptionFailed, match="apt-get install gnupg"):
        encode(Codec(RECIPIENT), TEXT)
