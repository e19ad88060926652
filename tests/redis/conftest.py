"""A real Valkey and a real Redis for this folder; each test begins with empty ones."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from pydantic import SecretStr
from redis.backoff import NoBackoff
from redis.retry import Retry

from nightscan_tasks import programs
from nightscan_tasks.components.base import Dump, Shared
from nightscan_tasks.components.redis import Redis
from nightscan_tasks.components.redis_fingerprint import fingerprint_redis
from nightscan_tasks.components.redis_restorer import RedisRestorer
from nightscan_tasks.model import Artifact, Chunks, Report
from nightscan_tasks.process import Program
from nightscan_tasks.settings import Settings

PASSWORD = "p@ss:/ w%'\"é#?"


class Server:
    """A server below one folder, on a port and a socket, with a password."""

    def __init__(self, name: str, folder: Path, *lines: str) -> None:
        self.lines = lines
        self.name = name
        self.folder = folder
        self.tool = programs.find(f"{name}-server")
        self.port = free_port()
        self.program: Program | None = None

    def start(self) -> None:
        configuration = self.folder / "conf"
        configuration.write_text(
            f"port {self.port}\nbind 127.0.0.1\nunixsocket {self.folder}/socket\n"
            f'dir {self.folder}\nlogfile {self.folder}/log\nsave ""\n'
            "repl-diskless-sync yes\nrepl-diskless-sync-delay 0\n"
            f'requirepass "{PASSWORD.replace(chr(34), chr(92) + chr(34))}"\n'
            + "".join(f"{line}\n" for line in self.lines))
        self.program = Program([str(self.tool.path), str(configuration)])
        while True:
            try:
                with contextlib.closing(self.client()) as client:
                    client.ping()
            except redis.ConnectionError:
                # Nothing comes until it ends, so that is a short pause, or the end.
                if select.select([self.program.stdout], [], [], 0.02)[0]:
                    self.program.finish()
            else:
                return

    def kill(self) -> None:
        if self.program is not None:
            os.kill(self.program.pid, signal.SIGKILL)
            self.program.stop()
            self.program = None

    def client(self, db: int = 0) -> Any:
        return redis.Redis(port=self.port, db=db, password=PASSWORD, retry=Retry(NoBackoff(), 0))

    def url(self, *, user: str = "", password: str = PASSWORD, port: int = 0) -> str:
        return f"redis://{user}:{quote(password, safe='')}@127.0.0.1:{port or self.port}/0"

    @property
    def secret(self) -> SecretStr:
        return SecretStr(self.url())

    def run(self, *commands: tuple[object, ...], db: int = 0) -> list[Any]:
        with contextlib.closing(self.client(db)) as client:
            return [client.execute_command(*command) for command in commands]

    def empty(self) -> None:
        self.run(("FLUSHALL",), ("CONFIG", "SET", "repl-diskless-sync", "yes"),
                 ("CONFIG", "RESETSTAT"))
        if self.tool.version >= (7,):
            self.run(("FUNCTION", "FLUSH"))
        for line in self.run(("ACL", "LIST"))[0]:
            user = line.decode().split()[1]
            if user != "default":
                self.run(("ACL", "DELUSER", user))

    def component(self, **settings: object) -> Redis:
        return Redis(Settings(**{"REDIS_URL": self.url(), **settings}))  # type: ignore[arg-type]

    def opened(self, **settings: object) -> contextlib.AbstractContextManager[Dump]:
        shared = Shared(announce=refuse, listing=refuse)
        return self.component(**settings).open("redis", shared)

    def source(self, kind: str = "rdb") -> SavedRedis:
        """Save it now, to be restored from."""
        settings = {}
        if kind == "resp":
            self.run(("ACL", "SETUSER", "saver", "on", ">x", "~*", "+@all", "-sync", "-psync"))
            settings = {"REDIS_URL": self.url(user="saver", password="x")}
        streams, report = self.dump(**settings)
        ((name, data),) = streams.items()
        artifact = Artifact(name=f"{name}.gz.gpg", component="redis", part="redis", plain_bytes=len(data),
                            plain_sha256="", stored_bytes=len(data), stored_sha256="")
        return SavedRedis(report, artifact, data)

    def restorer(self, tmp_path: Path, run_id: str = "run", *, db: int = 0, port: int = 0,
                 **options: Any) -> RedisRestorer:
        url = SecretStr(self.url(port=port)[:-1] + str(db))
        return RedisRestorer(url, run_id, temp_dir=tmp_path, **options)

    def content(self, *numbers: int) -> dict[str, Any]:
        """The fingerprint of these databases and of the functions."""
        with contextlib.closing(self.client()) as client:
            found = fingerprint_redis(client)
        databases: Any = found["databases"]
        return {**found, "databases": {name: each for name, each in databases.items()
                                       if int(name) in numbers}}

    def dump(self, **settings: object) -> tuple[dict[str, bytes], Report]:
        with self.opened(**settings) as dump:
            streams = {stream.name: b"".join(map(bytes, stream.chunks)) for stream in dump.streams()}
            return streams, dump.report()


@dataclass(frozen=True)
class SavedRedis:
    """A dump that is held in memory, as what a restorer reads from."""

    report: Report
    artifact: Artifact
    data: bytes

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        return (self.artifact,)

    @contextlib.contextmanager
    def open(self, artifact: Artifact) -> Iterator[Chunks]:
        assert artifact == self.artifact
        yield (self.data[start:start + 1000] for start in range(0, len(self.data), 1000))


def refuse(*_: object) -> Any:
    raise AssertionError("Redis announces no snapshot and lists no files")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start a server of that flavour; it ends with the tests."""
    folder = tmp_path_factory.mktemp("r")  # short, as a socket's path has little room
    started: list[Server] = []

    def start(name: str, *lines: str) -> Server:
        place = folder / str(len(started))
        place.mkdir()
        server = Server(name, place, *lines)
        started.append(server)
        server.start()
        return server

    try:
        yield start
    finally:
        for server in started:
            server.kill()


@pytest.fixture(scope="session")
def both(start_server: Callable[..., Server]) -> dict[str, Server]:
    return {name: start_server(name) for name in ("valkey", "redis")}


@pytest.fixture(params=["valkey", "redis"])
def server(request: pytest.FixtureRequest, both: dict[str, Server]) -> Server:
    found = both[request.param]
    found.empty()
    return found


@pytest.fixture
def valkey(both: dict[str, Server]) -> Server:
    both["valkey"].empty()
    return both["valkey"]


@pytest.fixture
def cluster(start_server: Callable[..., Server]) -> Server:
    return start_server("valkey", "cluster-enabled yes", f"cluster-port {free_port()}")


@pytest.fixture
def mortal(start_server: Callable[..., Server]) -> Server:
    """A server that a test may kill."""
    return start_server("valkey")
