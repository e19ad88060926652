"""Keys one by one: `DUMP` with the time of expiry, from one server to another, or to a file.

The file is plain Redis protocol, so that `redis-cli --pipe` can load it by hand. It is no snapshot of
one moment: each key is as it was when it was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nightscan_tasks.components.redis_server import Client
from nightscan_tasks.errors import DumpIncomplete
from nightscan_tasks.model import Buffer, Chunks

END_MARK = b"nightscan-end"
_SCAN_COUNT = 500
_BATCH_BYTES = 4 << 20
_NO_EXPIRY = (-1, -2)  # it has none; it is gone
_OLDEST_WITH_EXPIRETIME = (7, 0)


@dataclass(frozen=True)
class Key:
    """One key as `RESTORE … ABSTTL` takes it; `expires_at_ms` is 0 where it never expires."""

    name: bytes
    expires_at_ms: int
    payload: bytes

    def restoring(self) -> tuple[bytes | int, ...]:
        """The command that makes it so, whatever was there."""
        return (b"RESTORE", self.name, self.expires_at_ms, self.payload, b"REPLACE", b"ABSTTL")


def read_keys(client: Client, *, version: tuple[int, ...]) -> Iterator[list[Key]]:
    """Every key of the client's database, in batches of about 4 MiB.

    Keys that vanish meanwhile are left out; one may come twice. Servers older than 7 give no time of
    expiry, only what is left until then: it can be off by a few milliseconds.
    """
    batch_size = _SCAN_COUNT // 10
    waiting: list[bytes] = []
    for name in client.scan_iter(count=_SCAN_COUNT):
        waiting.append(bytes(name))
        if len(waiting) >= batch_size:
            batch = _read(client, waiting, version)
            yield batch
            held_bytes = sum(len(key.payload) for key in batch) or 1
            batch_size = max(1, min(_SCAN_COUNT, _BATCH_BYTES * len(waiting) // held_bytes))
            waiting = []
    if waiting:
        yield _read(client, waiting, version)


def _read(client: Client, names: list[bytes], version: tuple[int, ...]) -> list[Key]:
    is_exact = version >= _OLDEST_WITH_EXPIRETIME
    with client.pipeline(transaction=False) as pipe:
        pipe.execute_command("TIME")
        for name in names:
            pipe.execute_command("DUMP", name)
            pipe.execute_command("PEXPIRETIME" if is_exact else "PTTL", name)
        (seconds, microseconds), *answers = pipe.execute()
    now_ms = 0 if is_exact else int(seconds) * 1000 + int(microseconds) // 1000
    return [Key(name, 0 if expiry in _NO_EXPIRY else now_ms + expiry, bytes(payload))
            for name, payload, expiry in zip(names, answers[::2], answers[1::2], strict=True)
            if payload is not None and expiry != _NO_EXPIRY[1]]


def command(*words: bytes | int) -> bytes:
    """One command in Redis protocol."""
    texts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"".join([b"*%d\r\n" % len(texts), *(b"$%d\r\n%b\r\n" % (len(text), text)
                                                for text in texts)])


def parse_commands(chunks: Iterable[Buffer]) -> Iterator[list[bytes]]:
    """The commands of a file of Redis protocol; `DumpIncomplete` if it ends without its end mark."""
    reader = _Reader(chunks)
    words: list[bytes] = []
    while (count := reader.number(b"*")) is not None:
        words = [reader.text() for _ in range(count)]
        if words != [b"PING", END_MARK]:
            yield words
    if words != [b"PING", END_MARK]:
        raise DumpIncomplete("redis.resp ends without its end mark")


class _Reader:
    """Redis protocol out of a stream."""

    def __init__(self, chunks: Iterable[Buffer]) -> None:
        self._source = iter(chunks)
        self._held = bytearray()

    def number(self, sign: bytes) -> int | None:
        """The number of a line that starts with `sign`; None at the end of the stream."""
        while (end := self._held.find(b"\r\n")) < 0:
            if not self._more():
                if self._held:
                    raise DumpIncomplete("redis.resp is cut off")
                return None
        line = bytes(self._held[:end])
        del self._held[: end + 2]
        if not line.startswith(sign) or not line[1:].isdigit():
            raise DumpIncomplete(f"redis.resp is not Redis protocol at {line[:20]!r}")
        return int(line[1:])

    def text(self) -> bytes:
        """One string of a command."""
        length = self.number(b"$")
        while length is not None and len(self._held) < length + 2 and self._more():
            pass
        if length is None or len(self._held) < length + 2:
            raise DumpIncomplete("redis.resp is cut off")
        text = bytes(self._held[:length])
        del self._held[: length + 2]
        return text

    def _more(self) -> bool:
        chunk = next(self._source, None)
        if chunk is None:
            return False
        self._held += chunk
        return True


def written(batches: Iterable[list[Key]]) -> Chunks:
    """Batches of keys as Redis protocol."""
    for batch in batches:
        if text := b"".join(command(*key.restoring()) for key in batch):
            yield text
