"""Stands between clients and a server, and passes bytes on, slowly, or in part, or answers itself."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

_CHUNK_BYTES = 65536
_CUT_AFTER_BYTES = 40_000
_SLOW_BYTES, _SLOW_SECONDS = 20_000, 0.05
_LOOK_SECONDS = 0.1


class Mood(StrEnum):
    """What happens to the bytes that arrive."""

    WELL = "well"        # they pass
    DOWN = "down"        # nobody accepts
    SLOW = "slow"
    CUT = "cut"          # each connection ends in the middle of something
    SILENT = "silent"    # accepted, and then nothing
    ERROR_500 = "500"
    ERROR_403 = "403"


@dataclass
class Proxy:
    """A way to one server. `mood` holds for every connection, also for those that are open already.

    `sent` is what becomes of the bytes that a client sends.
    """

    upstream: tuple[str, int]
    mood: Mood = Mood.WELL
    sent: Callable[[bytes], bytes] = bytes
    address: tuple[str, int] = ("", 0)
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def turn(self, mood: Mood) -> None:
        """Change the mood. What is open is cut off, unless it only gets slower or faster."""
        before, self.mood = self.mood, mood
        if {before, mood} - {Mood.WELL, Mood.SLOW}:
            with self._lock:
                for each in self._open:
                    with suppress(OSError):
                        each.shutdown(socket.SHUT_RDWR)

    def serve(self, client: socket.socket) -> None:
        """One connection, to its end."""
        if self.mood is Mood.DOWN:
            return
        with self._counted(client):
            if self.mood in {Mood.ERROR_500, Mood.ERROR_403}:
                _refuse(client, self.mood.value)
            elif self.mood is Mood.SILENT:
                while self.mood is Mood.SILENT:
                    time.sleep(_LOOK_SECONDS)
            else:
                with socket.create_connection(self.upstream) as server, self._counted(server):
                    self._join(client, server)

    def _join(self, client: socket.socket, server: socket.socket) -> None:
        back = threading.Thread(target=self._pump, args=(server, client, bytes), daemon=True)
        back.start()
        self._pump(client, server, self.sent)
        back.join()

    def _pump(self, source: socket.socket, target: socket.socket, passing: Callable[[bytes], bytes]) -> None:
        passed = 0
        with suppress(OSError):
            while chunk := source.recv(_SLOW_BYTES if self.mood is Mood.SLOW else _CHUNK_BYTES):
                passed, chunk = passed + len(chunk), passing(chunk)
                if self.mood is Mood.CUT and passed > _CUT_AFTER_BYTES:
                    target.sendall(chunk[:len(chunk) // 2])
                    break
                target.sendall(chunk)
                if self.mood is Mood.SLOW:
                    time.sleep(_SLOW_SECONDS)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def _counted(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)


def _refuse(client: socket.socket, status: str) -> None:
    """Read the head of a request, and answer that it failed."""
    with suppress(OSError), client.makefile("rb") as reader:
        first = reader.readline()
        while first and reader.readline().strip():
            pass
        body = f"<?xml version='1.0'?><Error><Code>Chaos</Code><Message>{status}</Message></Error>".encode()
        shown = b"" if first.startswith(b"HEAD ") else body
        client.sendall(f"HTTP/1.1 {status} Chaos\r\nContent-Type: application/xml\r\nConnection: close\r\n"
                       f"Content-Length: {len(body)}\r\n\r\n".encode() + shown)


@contextmanager
def standing(upstream: tuple[str, int], host: str = "127.0.0.1", *,
             sent: Callable[[bytes], bytes] = bytes) -> Iterator[Proxy]:
    """A proxy before `upstream` on a free port of `host`."""
    proxy = Proxy(upstream, sent=sent)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                proxy.serve(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server((host, 0), Handler) as server:
        proxy.address = (host, server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.turn(Mood.DOWN)
            server.shutdown()
            thread.join()
