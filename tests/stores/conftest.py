"""Both kinds of store, a way to break the connection to one, and a writer that can be killed."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from nightscan_tasks.stores.base import Store
from nightscan_tasks.stores.directory import DirectoryStore
from nightscan_tasks.stores.parts import Cutter
from nightscan_tasks.stores.s3 import S3Store, Transfer
from nightscan_tasks.stores.s3_bucket import Limits
from nightscan_tasks.world.world import World

PART_BYTES = 5 << 20  # servers take no smaller ones, but for the last
REGION = "us-east-1"


@dataclass(frozen=True)
class S3Place:
    """A bucket on the session's server, and a prefix of one test's own."""

    endpoint: str
    bucket: str
    prefix: str
    client: Any

    def store(self, **changed: Any) -> S3Store:
        """A store here; small parts, and what the test changes."""
        limits = {"attempts": 1, **changed.pop("limits", {})}
        cutter = {"plan": lambda _number: PART_BYTES, **changed.pop("cutter", {})}
        how = {"bucket": self.bucket, "prefix": self.prefix, "endpoint": self.endpoint, **changed}
        return S3Store("offsite", how.pop("bucket"), how.pop("prefix"),
                       transfer=Transfer(Cutter(**cutter), Limits(**limits)), **how)

    def uploads(self) -> list[str]:
        """Keys of the unfinished multipart uploads."""
        found = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=f"{self.prefix}/")
        return [upload["Key"] for upload in found.get("Uploads", [])]


@pytest.fixture(scope="session")
def shared_bucket(s3_server: World) -> Iterator[tuple[str, str, Any]]:
    """One bucket for all of these tests: making one takes the server a while."""
    environ = s3_server.environ()
    client = boto3.session.Session().client(
        "s3", endpoint_url=environ["AWS_ENDPOINT_URL"], region_name=REGION,
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        config=Config(s3={"addressing_style": "path"}))
    name = f"stores-{secrets.token_hex(4)}"
    client.create_bucket(Bucket=name)
    yield environ["AWS_ENDPOINT_URL"], name, client
    client.delete_bucket(Bucket=name)
    client.close()


@pytest.fixture
def s3_credentials(s3_server: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's keys, where boto3 looks for them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, s3_server.environ()[name])


@pytest.fixture
def s3_place(shared_bucket: tuple[str, str, Any], s3_credentials: None) -> S3Place:
    """An empty prefix in a bucket."""
    endpoint, bucket, client = shared_bucket
    return S3Place(endpoint, bucket, f"night scan/{secrets.token_hex(4)}", client)


@pytest.fixture(scope="session")
def versioned_bucket(shared_bucket: tuple[str, str, Any]) -> tuple[str, str, Any]:
    """The same with object lock, and so with versions."""
    endpoint, bucket, client = shared_bucket
    client.create_bucket(Bucket=f"{bucket}-kept", ObjectLockEnabledForBucket=True)
    return endpoint, f"{bucket}-kept", client


@pytest.fixture
def versioned_place(versioned_bucket: tuple[str, str, Any], s3_credentials: None) -> S3Place:
    """An empty prefix in a bucket that keeps versions."""
    endpoint, bucket, client = versioned_bucket
    return S3Place(endpoint, bucket, f"night scan/{secrets.token_hex(4)}", client)


@dataclass(frozen=True)
class Place:
    """A place for a store: `store()` gives one more store on the same objects."""

    kind: str
    make: Callable[[], Store]
    spec: dict[str, str]
    leftovers: Callable[[], list[str]]

    def store(self) -> Store:
        """A store here, that shares nothing in memory with another."""
        return self.make()


@pytest.fixture(params=["directory", "s3", "s3 versioned"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Every kind of store in turn; of buckets one as most are, and one with versions and object lock."""
    if request.param != "directory":
        here: S3Place = request.getfixturevalue("s3_place" if request.param == "s3" else "versioned_place")
        return Place("s3", here.store, {"endpoint": here.endpoint, "bucket": here.bucket,
                                        "prefix": here.prefix}, here.uploads)
    root = tmp_path / "primary store"

    def leftovers() -> list[str]:
        return [str(path) for path in root.rglob("*") if path.is_file() or not any(path.iterdir())]

    return Place("directory", lambda: DirectoryStore("primary", root), {"root": str(root)}, leftovers)


@pytest.fixture
def store(place: Place) -> Store:
    """A store of every kind in turn."""
    return place.store()


_WRITER = """
import json, resource, sys
from pathlib import Path
from nightscan_tasks.stores.directory import DirectoryStore
spec = json.loads(sys.argv[1])
if "root" in spec:
    store = DirectoryStore("primary", Path(spec["root"]))
else:
    from nightscan_tasks.stores.parts import Cutter, plan_part_bytes
    from nightscan_tasks.stores.s3 import S3Store, Transfer
    part_bytes = spec.get("part_bytes")
    cutter = Cutter(plan=(lambda number: part_bytes) if part_bytes else plan_part_bytes)
    store = S3Store("offsite", spec["bucket"], spec["prefix"], endpoint=spec["endpoint"],
                    transfer=Transfer(cutter))
"""


@dataclass
class Child:
    """A Python program that has `store`, and talks in lines."""

    process: subprocess.Popen[str]

    def line(self) -> str:
        """What it says next."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        """End it where it is, as the kernel would."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Start programs that use a store of their own; all end with the test."""
    with running() as start:
        yield start


@contextmanager
def running() -> Iterator[Callable[..., Child]]:
    children: list[Child] = []

    def start(spec: dict[str, Any], code: str) -> Child:
        process = subprocess.Popen([sys.executable, "-c", _WRITER + code, json.dumps(spec)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   start_new_session=True)
        children.append(Child(process))
        return children[-1]

    try:
        yield start
    finally:
        for each in children:
            with suppress(ProcessLookupError):
                os.killpg(each.process.pid, signal.SIGKILL)
            each.process.wait()
            for pipe in (each.process.stdin, each.process.stdout):
                if pipe is not None:
                    pipe.close()


@dataclass(frozen=True)
class Asked:
    """One HTTP request that came by."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Fault:
    """What happens to the next `times` requests that `when` picks."""

    when: Callable[[Asked], bool]
    times: int
    status: int = 0
    code: str = ""
    cut_request_at: int = -1
    cut_answer_at: int = -1
    silent: bool = False
    slow: bool = False
    damage: bool = False


@dataclass
class Proxy:
    """Stands between a client and the real server, passes requests on, and breaks what it is told to."""

    upstream: tuple[str, int]
    asked: list[Asked] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    endpoint: str = ""

    def breaks(self, when: Callable[[Asked], bool] = lambda _asked: True, *, times: int = 10**6,
               **what: Any) -> None:
        """Break the next requests that `when` picks."""
        self.faults.append(Fault(when, times, **what))

    def mend(self) -> None:
        """Break nothing more."""
        self.faults.clear()

    def _fault(self, asked: Asked) -> Fault | None:
        self.asked.append(asked)
        for fault in self.faults:
            if fault.times > 0 and fault.when(asked):
                fault.times -= 1
                return fault
        return None

    def serve(self, client: socket.socket) -> None:
        """One client's connection, request by request."""
        reader = client.makefile("rb")
        with reader, socket.create_connection(self.upstream) as server:
            answers = server.makefile("rb")
            with answers:
                while head := _head(reader):
                    asked = _parsed(head)
                    if not self._pass(asked, head, (client, reader), (server, answers)):
                        return

    def _pass(self, asked: Asked, head: bytes, near: tuple[socket.socket, Any],
              far: tuple[socket.socket, Any]) -> bool:
        """Pass one request on and its answer back; False ends the connection."""
        (client, reader), (server, answers) = near, far
        fault = self._fault(asked) or Fault(lambda _asked: True, 1)
        if asked.headers.get("expect"):
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = head.replace(b"Expect: 100-continue\r\n", b"")
        body = reader.read(int(asked.headers.get("content-length", 0)))
        if fault.silent:
            self.ended.wait(20)
            return False
        if fault.status:
            client.sendall(_answer(asked, fault))
            return True
        if fault.cut_request_at >= 0:
            server.sendall(head + body[:fault.cut_request_at])
            return False
        if fault.damage and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        server.sendall(head + body)
        head = _head(answers)
        status = int(head.split(b" ", 2)[1])
        bodyless = asked.method == "HEAD" or status in {204, 304}
        length = 0 if bodyless else int(_parsed(head).headers.get("content-length", 0))
        whole = head + answers.read(length)
        if fault.cut_answer_at >= 0:
            client.sendall(whole[:fault.cut_answer_at])
            return False
        step = 20_000 if fault.slow else len(whole)
        for start in range(0, len(whole), step):
            client.sendall(whole[start:start + step])
            if fault.slow:
                self.ended.wait(0.02)
        return True


def _head(reader: Any) -> bytes:
    lines = []
    with suppress(OSError):
        while line := reader.readline():
            lines.append(line)
            if line == b"\r\n":
                return b"".join(lines)
    return b""


def _parsed(head: bytes) -> Asked:
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.lower()] = value.strip()
    method, path, *_ = first.split(" ")
    return Asked(method, path, headers)


def _answer(asked: Asked, fault: Fault) -> bytes:
    text = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>no</Message></Error>"
    body = b"" if asked.method == "HEAD" else text.encode()
    return (f"HTTP/1.1 {fault.status} No\r\nContent-Type: application/xml\r\n"
            f"Content-Length: {len(text)}\r\n\r\n").encode() + body


@pytest.fixture
def proxy(s3_place: S3Place) -> Iterator[Proxy]:
    """A proxy before the real server."""
    host, _, port = s3_place.endpoint.rpartition("//")[2].partition(":")
    standing = Proxy((host, int(port)))

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                standing.serve(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        standing.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield standing
        finally:
            standing.ended.set()
            server.shutdown()
            thread.join()
