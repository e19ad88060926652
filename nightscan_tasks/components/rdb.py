"""An RDB through replication: asked for as a replica does, and nothing of the stream after it.

The server forks and sends; nothing is written to a disk here, and with diskless replication nothing
on the server either. `REPLCONF rdb-only` tells newer servers not to gather changes for us meanwhile.
"""

from __future__ import annotations

import itertools
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr
from redis import exceptions

from nightscan_tasks.components.redis_server import connect, explain, explained, is_refusal, where
from nightscan_tasks.errors import DumpIncomplete, SourceUnavailable
from nightscan_tasks.model import Chunks

CHUNK_BYTES = 1 << 20
_MARK_BYTES = 40
_TRAILER_BYTES = 9  # the end code, and eight bytes of checksum
_END_CODE = 0xFF
_HEAD_BYTES = 9
_LONGEST_LINE = 1024
_MAGIC = re.compile(rb"(?:REDIS(\d{4})|VALKEY(\d{3}))")


class ReplicationForbidden(Exception):
    """The server does not let this user replicate; keys can still be read one by one."""


def rdb_version(head: bytes) -> int | None:
    """The version that an RDB's first bytes name; None if it is no RDB."""
    match = _MAGIC.match(head)
    return int(match[1] or match[2]) if match else None


@dataclass
class Replication:
    """An RDB that the server has begun to send; `version` is known after the first chunk."""

    url: SecretStr
    version: int = 0
    _socket: socket.socket | None = None
    _ahead: bytearray = field(default_factory=bytearray)
    _length: int | None = None
    _mark: bytes = b""

    def chunks(self) -> Chunks:
        """The RDB to its end.

        `SourceUnavailable` if the server went away before it, `DumpIncomplete` if what was sent is
        no whole RDB.
        """
        payload, head = self._payload(), b""
        for chunk in payload:
            head += chunk
            if len(head) >= _HEAD_BYTES:
                break
        self._check_head(head)
        total_bytes, tail = 0, b""
        for chunk in itertools.chain([head], payload):
            total_bytes += len(chunk)
            tail = (tail + chunk[-_TRAILER_BYTES:])[-_TRAILER_BYTES:]
            yield chunk
        if len(tail) < _TRAILER_BYTES or tail[0] != _END_CODE:
            raise DumpIncomplete(f"Redis at {where(self.url)}: the RDB has no end mark after "
                                 f"{total_bytes} bytes")

    def begin(self, raw: socket.socket, *, reads_version: str) -> None:
        """Ask for the RDB, and wait until the server announces it.

        Valkey writes an older RDB, which cannot hold all that it has, unless told what we read.
        """
        self._socket = raw
        for option in (("capa", "eof"), ("rdb-only", "1"), ("version", reads_version)):
            self._send("REPLCONF", *option)
            self._line()  # an older server does not know the option, and needs not
        for command in (("PSYNC", "?", "-1"), ("SYNC",)):
            self._send(*command)
            answer = self._line()
            if not answer.startswith(b"-"):
                break
            self._refuse(answer)
        else:
            raise ReplicationForbidden(answer[1:].decode(errors="replace"))
        self._announced(self._line() if answer.startswith(b"+") else answer)

    def _refuse(self, answer: bytes) -> None:
        error = exceptions.ResponseError(answer[1:].decode(errors="replace"))
        if not is_refusal(error):
            raise explain(error, self.url)

    def _announced(self, line: bytes) -> None:
        if line.startswith(b"$EOF:") and len(line) == len(b"$EOF:") + _MARK_BYTES:
            self._mark = line.removeprefix(b"$EOF:")
        elif line.startswith(b"$") and line[1:].isdigit():
            self._length = int(line[1:])
        else:
            raise explain(exceptions.ResponseError(line.decode(errors="replace")), self.url)

    def _check_head(self, chunk: bytes) -> None:
        version = rdb_version(chunk)
        if version is None:
            raise DumpIncomplete(f"Redis at {where(self.url)} sent no RDB: it begins with "
                                 f"{chunk[:_HEAD_BYTES]!r}")
        self.version = version

    def _payload(self) -> Iterator[bytes]:
        return self._marked() if self._mark else self._counted(self._length or 0)

    def _counted(self, left_bytes: int) -> Iterator[bytes]:
        while left_bytes:
            chunk = self._receive(min(left_bytes, CHUNK_BYTES))
            left_bytes -= len(chunk)
            yield chunk

    def _marked(self) -> Iterator[bytes]:
        """Up to the mark, after which the server sends nothing before it hears from us.

        The last bytes are held back until more come, or they prove to be the mark.
        """
        held = b""
        while True:
            held += self._receive(CHUNK_BYTES)
            if held.endswith(self._mark):
                if rest := held[:-_MARK_BYTES]:
                    yield rest
                return
            if len(held) > _MARK_BYTES:
                yield held[:-_MARK_BYTES]
                held = held[-_MARK_BYTES:]

    def _send(self, *words: str) -> None:
        parts = [f"*{len(words)}\r\n", *(f"${len(word)}\r\n{word}\r\n" for word in words)]
        with explained(self.url):
            self._raw.sendall("".join(parts).encode())

    def _line(self) -> bytes:
        """One line; empty ones are the server's sign of life while it prepares."""
        while True:
            end = self._ahead.find(b"\n")
            if end >= 0:
                line = bytes(self._ahead[:end]).rstrip(b"\r")
                del self._ahead[: end + 1]
                if line:
                    return line
            elif len(self._ahead) > _LONGEST_LINE:
                raise DumpIncomplete(f"Redis at {where(self.url)} does not speak its own protocol")
            else:
                self._ahead += self._read(CHUNK_BYTES)

    def _receive(self, most_bytes: int) -> bytes:
        if self._ahead:
            chunk = bytes(self._ahead[:most_bytes])
            del self._ahead[:most_bytes]
            return chunk
        return self._read(most_bytes)

    def _read(self, most_bytes: int) -> bytes:
        with explained(self.url):
            chunk = self._raw.recv(most_bytes)
        if not chunk:
            raise SourceUnavailable(f"Redis at {where(self.url)} closed the connection before the RDB "
                                    f"was whole; its log says why")
        return chunk

    @property
    def _raw(self) -> socket.socket:
        if self._socket is None:
            raise ValueError("replication has not begun")
        return self._socket


@contextmanager
def replicate(url: SecretStr, *, reads_version: str = "0.0.0") -> Iterator[Replication]:
    """Begin to replicate, as what reads all that a server of `reads_version` writes.

    `ReplicationForbidden` where the server does not permit it.
    """
    client = connect(url)
    connection: Any = client.connection_pool.get_connection()
    try:
        with explained(url):
            connection.connect()
            result = Replication(url)
            # redis-py did what it does well: TLS, sockets, passwords, timeouts. It holds no bytes
            # back now, as each of its questions was answered; what follows is no Redis answer.
            result.begin(connection._sock, reads_version=reads_version)  # noqa: SLF001 - there is no public way to the socket
        yield result
    finally:
        with suppress(OSError):
            connection.disconnect()
        client.close()
