"""Servers on loopback that are told: for mail, and for whatever speaks HTTP."""

from __future__ import annotations

import gzip
import ipaddress
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nightscan_tasks import notify
from nightscan_tasks.notify import Channel, Message
from nightscan_tasks.settings import load
from tests import mail
from tests.mail import PostOffice

_UNTIL_SECONDS = 180


@dataclass(frozen=True)
class Post:
    """One request, as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Listener:
    """An HTTP server that keeps what it is told. `answers` are statuses by a piece of the path; 0 hangs."""

    answers: dict[str, int] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    posts: list[Post] = field(default_factory=list)
    hanging: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def at(self, piece: str) -> list[Post]:
        return [post for post in self.posts if piece in post.path]

    def status(self, path: str) -> int:
        return next((status for piece, status in self.answers.items() if piece in path), 200)


@pytest.fixture(scope="module")
def listening() -> Iterator[Callable[[], Listener]]:
    """Start listeners: `listening()`; they end with the module."""
    servers = []

    def listen() -> Listener:
        heard = Listener()
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(heard))
        heard.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append((server, heard))
        return heard

    yield listen
    for server, heard in servers:
        heard.released.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def listener(listening: Callable[[], Listener]) -> Listener:
    return listening()


def _handler(heard: Listener) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            parts = urlsplit(self.path)
            status = heard.status(self.path)
            if not status:
                heard.hanging.append(parts.path)
                heard.released.wait()
                return
            heard.posts.append(Post(self.command, parts.path, parse_qs(parts.query), dict(self.headers),
                                    body))
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{heard.url}/elsewhere")
            said = next((each for piece, each in heard.bodies.items() if piece in self.path), b"OK")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_PUT = do_POST  # noqa: N815 - the names of their methods

        def log_message(self, *_args: object) -> None:
            """Nobody needs to know."""

    return Handler


@dataclass
class Drip:
    """A server that takes connections, and says a letter now and then, for as long as anybody listens."""

    port: int = 0
    left: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def serve(self, server: socket.socket) -> None:
        taken = []
        while not self.ended.is_set():
            connection, _ = server.accept()
            taken.append(threading.Thread(target=self._drip, args=(connection,), daemon=True))
            taken[-1].start()
        for thread in taken:
            thread.join()

    def _drip(self, connection: socket.socket) -> None:
        with connection:
            while not self.ended.wait(0.05):
                try:
                    connection.sendall(b"2")
                except OSError:
                    self.left += 1
                    return


@pytest.fixture
def drip() -> Iterator[Drip]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = Drip(server.getsockname()[1])
        thread = threading.Thread(target=found.serve, args=(server,), daemon=True)
        thread.start()
        yield found
        found.ended.set()
        with socket.create_connection(server.getsockname()):
            thread.join()


@dataclass(frozen=True)
class Certificate:
    """What a server shows, and what a client has to trust for it."""

    context: ssl.SSLContext
    path: Path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=test")
    now = datetime.now(UTC)
    signed = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
              .serial_number(1).not_valid_before(now - timedelta(days=1))
              .not_valid_after(now + timedelta(days=1))
              .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                             critical=False)
              .sign(key, hashes.SHA256()))
    path = tmp_path_factory.mktemp("certificate") / "server.pem"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return Certificate(context, path)


@pytest.fixture
def post_office() -> Iterator[Callable[..., PostOffice]]:
    """Start mail servers: `post_office(tls_context=…, auth_required=True)`."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(mail.post_office(**options))


@pytest.fixture
def mail_to() -> Callable[..., tuple[Channel, ...]]:
    """The channels of mail that goes through a port here."""

    def channels(port: int, email: str = "admin@nightscan.com", **more: str) -> tuple[Channel, ...]:
        return notify.channels(load({"BACKUP_EMAIL": email, "NIGHTSCAN_SMTP_HOST": "127.0.0.1",
                                     "NIGHTSCAN_SMTP_PORT": str(port), **more}))

    return channels


@pytest.fixture
def everything_logged() -> Iterator[Callable[[], str]]:
    """All that any library logs, at its most talkative."""
    said: list[str] = []

    class Hearing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    root, hearing = logging.getLogger(), Hearing(level=1)
    before = root.level
    root.addHandler(hearing)
    root.setLevel(1)
    yield lambda: "\n".join(said)
    root.removeHandler(hearing)
    root.setLevel(before)


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], Any], str], Any]:
    """`until(seen, "what for")`: wait for a condition, and return what it answered."""

    def wait(seen: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + _UNTIL_SECONDS
        while not (found := seen()):
            assert time.monotonic() < deadline, f"waited {_UNTIL_SECONDS} s in vain for {what}"
            time.sleep(0.05)
        return found

    return wait


@pytest.fixture
def message() -> Message:
    """Words that any careless step on the way would spoil."""
    return Message("Sauvegarde « quotidienne » 🚨 en échec",
                   f"  Depuis hier, 02:00.\n\n.\nÀ faire : nightscan status\n{'x' * 1200} <b>&amp;</b>\n\n")
