"""Plain bytes to stored bytes and back, as streams whose steps overlap.

    source → blocks → members → gpg → caller        each arrow is a thread or a process boundary
                └───→ hash

Reading, hashing, compressing, writing to gpg and reading from it run side by side; what waits between
them is bounded, to about 20 MiB.
"""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from gzip import BadGzipFile
from pathlib import Path
from typing import Any

from isal import igzip, isal_zlib

from nightscan_tasks.codec.keys import RecipientKey, home_options, inspect_recipient
from nightscan_tasks.codec.members import blocks, compressed, shrinks, stored
from nightscan_tasks.errors import DigestMismatch, EncryptionFailed, ProcessFailed, ProcessKilled
from nightscan_tasks.model import Buffer, Chunks
from nightscan_tasks.process import CHUNK_BYTES, Feed, Program
from nightscan_tasks.streams import ReadAhead, Tally

_AHEAD = 4  # blocks that are compressed or hashed before the slowest step takes them
_COMPRESSORS = 2


@dataclass(frozen=True)
class Codec:
    """gzip, and GPG for `recipient`; without one, gzip alone.

    `home` is the key ring (None: gpg's own default). Decoding needs the private key in it, and for one
    that has a passphrase `passphrase_file`, or an agent that knows it. What would not shrink by
    `squeeze_percent` is stored as it is.
    """

    recipient: str = ""
    home: Path | None = None
    passphrase_file: Path | None = None
    squeeze_percent: int = 25

    @property
    def suffix(self) -> str:
        """What an artifact's name ends with."""
        return ".gz.gpg" if self.recipient else ".gz"

    @contextmanager
    def encode(self, chunks: Iterable[Buffer], *, plain: Tally | None = None) -> Iterator[Chunks]:
        """Stored bytes from plain ones, which are counted and hashed in `plain`.

        `plain` is complete when the stored bytes are. An error from `chunks`, which are read in another
        thread, passes through; `EncryptionFailed` is raised before any is read when the key cannot be
        used, and later when gpg fails. Leaving the context ends every thread and process of it.
        """
        with ExitStack() as stack:
            program = stack.enter_context(self._encryption()) if self.recipient else None
            hasher = stack.enter_context(_pool(1, "hash"))
            compressors = stack.enter_context(_pool(_COMPRESSORS, "gzip"))
            submitted = _submit(chunks, self._pack(compressors), hasher, plain or Tally())
            pending = stack.enter_context(ReadAhead(submitted, depth=_AHEAD, name="read"))
            if program is None:
                yield map(b"".join, _members(pending))
            else:
                feed = stack.enter_context(Feed(program, _members(pending)))
                yield _encrypted(program, feed)

    @contextmanager
    def decode(self, chunks: Iterable[Buffer]) -> Iterator[Chunks]:
        """Plain bytes from stored ones.

        A stream that ends without an error is whole: its checksums and its encryption held.
        `EncryptionFailed` when gpg cannot decrypt it, `DigestMismatch` when it is damaged or cut short.
        """
        if not self.recipient:
            yield _gunzip(_Pulled(chunks))
            return
        with (self._decryption() as program,
              Feed(program, ([chunk] for chunk in chunks)) as feed):
            yield _decrypted(program, feed)

    def _pack(self, compressors: Executor) -> _Pack:
        def pack(block: Buffer) -> Future[list[Buffer]]:
            if shrinks(block, self.squeeze_percent):
                return compressors.submit(compressed, block)
            return _done(stored(block))

        return pack

    def _encryption(self) -> Program:
        return Program(["gpg", *home_options(self.home), "--batch", "--no-tty", "--quiet",
                        "--no-random-seed-file", "--no-auto-check-trustdb", "--trust-model", "always",
                        "--compress-algo", "none", "--encrypt", "-r", self._key.fingerprint], stdin=True)

    @cached_property
    def _key(self) -> RecipientKey:
        """The key to encrypt for, looked for once; an error where it cannot be used, and then again."""
        key = inspect_recipient(self.recipient, self.home)
        if not key.usable:
            raise EncryptionFailed(key.problem)
        return key

    def _decryption(self) -> Program:
        # Without a passphrase file an agent may know it; nobody is there to be asked.
        secret = (["--pinentry-mode", "error"] if self.passphrase_file is None else
                  ["--pinentry-mode", "loopback", "--passphrase-file", str(self.passphrase_file)])
        return Program(["gpg", *home_options(self.home), "--batch", "--no-tty", "--quiet", *secret,
                        "--no-auto-check-trustdb", "--decrypt"], stdin=True)


@contextmanager
def _pool(threads: int, name: str) -> Iterator[Executor]:
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_Pack = Callable[[Buffer], "Future[list[Buffer]]"]
_Pending = tuple["Future[list[Buffer]]", "Future[None]"]


def _submit(chunks: Iterable[Buffer], pack: _Pack, hasher: Executor, plain: Tally) -> Iterator[_Pending]:
    """Each block's member and its hashing, as work that is under way."""
    empty = True
    for block in blocks(chunks, in_use=_AHEAD + 2):
        empty = False
        yield pack(block), hasher.submit(plain.add, block)
    if empty:
        yield _done(stored(b"")), hasher.submit(plain.add, b"")


def _done(pieces: list[Buffer]) -> Future[list[Buffer]]:
    future: Future[list[Buffer]] = Future()
    future.set_result(pieces)
    return future


def _members(pending: Iterable[_Pending]) -> Iterator[list[Buffer]]:
    for packed, hashed in pending:
        yield packed.result()
        hashed.result()  # so that no more than a few blocks wait for the hash


def _encrypted(program: Program, feed: Feed) -> Chunks:
    yield from program.output()
    feed.check()
    try:
        program.finish()
    except ProcessKilled as exc:
        raise ProcessKilled(f"encrypting failed: {exc}") from exc
    except ProcessFailed as exc:
        raise EncryptionFailed(f"encrypting failed: {exc}") from exc


def _decrypted(program: Program, feed: Feed) -> Chunks:
    output = _Piped(program)
    try:
        yield from _gunzip(output)
    except DigestMismatch:
        if output.ended:  # because gpg gave up: it, or what it was fed with, knows why
            feed.check()
            _finish_decryption(program)
        raise
    feed.check()
    _finish_decryption(program)


def _finish_decryption(program: Program) -> None:
    try:
        program.finish()
    except ProcessFailed as exc:
        raise EncryptionFailed(
            f"decrypting failed: {exc}; the private key has to be in the key ring that "
            f"NIGHTSCAN_GPG_HOME names, and its passphrase in a file or with its agent") from exc


class _Readable(io.RawIOBase):
    """A file to read from; whether it was `empty`, and has `ended`."""

    empty, ended = True, False

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill some of `buffer`; 0 at the end."""
        count = self._fill(memoryview(buffer))
        self.ended = not count
        self.empty = self.empty and self.ended
        return count

    @abstractmethod
    def _fill(self, buffer: memoryview) -> int:
        """The same."""


class _Pulled(_Readable):
    """Chunks as a file."""

    def __init__(self, chunks: Iterable[Buffer]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def _fill(self, buffer: memoryview) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


class _Piped(_Readable):
    """A program's output as a file: what is unpacked comes from the pipe without a copy between."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def _fill(self, buffer: memoryview) -> int:
        return self._program.readinto(buffer)


def _gunzip(stored: _Readable) -> Chunks:
    reader = igzip.IGzipFile(fileobj=stored, mode="rb")
    try:
        while chunk := reader.read(CHUNK_BYTES):
            yield chunk
    except EOFError as exc:
        raise DigestMismatch("the stored bytes are cut short: a gzip member is not whole") from exc
    except (BadGzipFile, isal_zlib.error) as exc:  # type: ignore[misc]  # its stub is wrong
        raise DigestMismatch(f"the stored bytes are damaged: {exc}") from exc
    if stored.empty:
        raise DigestMismatch("the stored bytes are cut short: there are none")
