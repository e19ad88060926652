"""A Redis of our own for a moment, in which a backup is looked at before anything live is touched.

It listens on a socket in a private folder, and writes nothing to disk. An RDB reaches it through
replication, with us as its master: so there is no plain copy of the dump in any file.
"""

from __future__ import annotations

import secrets
import select
import socket
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from redis import exceptions

from nightscan_tasks import programs
from nightscan_tasks.components.private_folder import private_folder
from nightscan_tasks.components.redis_server import Client, Flavour, connect, connected
from nightscan_tasks.errors import ProcessFailed, RestoreRefused
from nightscan_tasks.model import Buffer
from nightscan_tasks.process import Program

_START_SECONDS = 20
_LOAD_SECONDS = 600
_POLL_SECONDS = 0.02
_BATCH_COMMANDS = 100
_LOG_LINES = 5
_LONGEST_PARENT = 70
_ALLOWED = (b"SELECT", b"RESTORE", b"FUNCTION")

_CONFIGURATION = """
port 0
unixsocket {socket}
unixsocketperm 600
dir {folder}
logfile {folder}/log
save ""
appendonly no
databases 1024
repl-diskless-load on-empty-db
repl-timeout 600
masterauth {token}
"""


class _HungUp(Exception):
    """The replica closed the connection."""


class _Lines:
    """Commands as a replica sends them."""

    def __init__(self, link: socket.socket) -> None:
        self._file = link.makefile("rb")

    def commands(self) -> Iterator[list[bytes]]:
        while line := self._file.readline():
            if line.startswith(b"*"):
                yield [self._text() for _ in range(int(line[1:]))]
            elif line.strip():
                yield line.split()
        raise _HungUp

    def close(self) -> None:
        """Let go of the connection."""
        self._file.close()

    def _text(self) -> bytes:
        length = int(self._file.readline()[1:])
        return self._file.read(length + 2)[:length]


@dataclass(frozen=True)
class Scratch:
    """The running scratch server."""

    url: SecretStr
    tool: programs.Tool
    flavour: Flavour
    folder: Path
    token: str

    def load_rdb(self, chunks: Iterable[Buffer]) -> None:
        """Load an RDB as a replica of ours; `RestoreRefused` if the server will not have it."""
        with _listening() as listener:
            with connected(self.url) as client:
                client.replicaof("127.0.0.1", listener.getsockname()[1])
            with _accepted(listener) as link:
                try:
                    with closing(_Lines(link)) as lines:
                        self._serve(lines, link, chunks)
                except (OSError, _HungUp) as exc:
                    raise RestoreRefused(f"{self.flavour} cannot load this RDB; nothing live was "
                                         f"touched: {self.log_tail()}") from exc
            with connected(self.url) as client:
                client.replicaof("NO", "ONE")

    def _serve(self, lines: _Lines, link: socket.socket, chunks: Iterable[Buffer]) -> None:
        """Speak as a master does, just enough: greet, send the RDB, hear that it was loaded."""
        known = False
        for words in lines.commands():
            verb = words[0].upper()
            if verb == b"AUTH" and secrets.compare_digest(words[-1], self.token.encode()):
                known = True
            elif not known:  # somebody else on this machine
                link.sendall(b"-NOAUTH\r\n")
                continue
            elif verb in (b"PSYNC", b"SYNC"):
                _send_rdb(link, chunks, full=verb == b"PSYNC")
                continue
            elif verb == b"REPLCONF" and words[1].upper() == b"ACK":
                return
            link.sendall(b"+PONG\r\n" if verb == b"PING" else b"+OK\r\n")

    def load_commands(self, commands: Iterable[list[bytes]]) -> None:
        """Load the commands of a `redis.resp`, which holds nothing but keys and functions."""
        client = connect(self.url)
        try:
            batch: list[list[bytes]] = []
            for words in commands:
                if words[0].upper() not in _ALLOWED:
                    raise RestoreRefused(f"redis.resp holds {words[0][:20]!r}, which is no part of a "
                                         f"backup; nothing live was touched")
                if words[0].upper() == b"SELECT" or len(batch) >= _BATCH_COMMANDS:
                    _execute(client, batch)
                    batch = []
                if words[0].upper() == b"SELECT":
                    client.close()
                    client = connect(self.url, database=int(words[1]))
                else:
                    batch.append(words)
            _execute(client, batch)
        except exceptions.ResponseError as exc:
            raise RestoreRefused(f"{self.flavour} cannot load a key of this backup; nothing live was "
                                 f"touched: {exc}") from exc
        finally:
            client.close()

    def log_tail(self) -> str:
        """The last lines of the server's log."""
        lines = (self.folder / "log").read_text(errors="replace").splitlines()
        return " | ".join(lines[-_LOG_LINES:])


def _send_rdb(link: socket.socket, chunks: Iterable[Buffer], *, full: bool) -> None:
    mark = secrets.token_hex(20).encode()
    if full:
        link.sendall(b"+FULLRESYNC " + secrets.token_hex(20).encode() + b" 0\r\n")
    link.sendall(b"$EOF:" + mark + b"\r\n")
    for chunk in chunks:
        link.sendall(chunk)
    link.sendall(mark)
    # Whoever still waits for more has a damaged RDB, and is not to wait for ever.
    link.shutdown(socket.SHUT_WR)


@contextmanager
def _listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_START_SECONDS)
        yield listener


@contextmanager
def _accepted(listener: socket.socket) -> Iterator[socket.socket]:
    link, _ = listener.accept()
    with link:
        link.settimeout(_LOAD_SECONDS)
        try:
            yield link
        finally:
            with suppress(OSError):  # whoever still reads from it holds it open
                link.shutdown(socket.SHUT_RDWR)


def _execute(client: Client, commands: Iterable[list[bytes]]) -> None:
    with client.pipeline(transaction=False) as pipe:
        for words in commands:
            pipe.execute_command(*words)
        pipe.execute()


@contextmanager
def scratch_server(version: int, *, live: Flavour, temp_dir: Path) -> Iterator[Scratch]:
    """A server that reads RDB `version` and writes keys that `live` reads.

    `RestoreRefused` says what to install where there is none. Leaving it removes all of it.
    """
    with started(*choose_scratch(version, live), temp_dir=temp_dir) as scratch:
        yield scratch


@contextmanager
def started(tool: programs.Tool, flavour: Flavour, *, temp_dir: Path) -> Iterator[Scratch]:
    """That server, empty, on a socket in a private folder. Leaving it removes all of it."""
    # The path of a socket has little room; apart from it the folder holds a log.
    parent = temp_dir if len(str(temp_dir)) <= _LONGEST_PARENT else None
    with private_folder(parent, "nightscan-redis-") as folder:
        token = secrets.token_hex(16)
        path = folder / "socket"
        with Program([str(tool.path), "-"], stdin=True, cwd=folder) as program:
            program.stdin.write(_CONFIGURATION.format(socket=path, folder=folder,
                                                      token=token).encode())
            program.stdin.close()
            scratch = Scratch(SecretStr(f"unix://{path}"), tool, flavour, folder, token)
            _wait(program, scratch)
            yield scratch


def choose_scratch(version: int, live: Flavour) -> tuple[programs.Tool, Flavour]:
    """The server that will be started: it reads RDB `version` and writes keys that `live` reads.

    `RestoreRefused` says what to do where there is none.
    """
    if not live.reads(version):
        raise RestoreRefused(
            f"the backup has RDB version {version}, which {live} cannot read (it writes {live.rdb_version}): "
            f"upgrade that server to the version that was saved, or restore into another one "
            f"(--target-redis); nothing live was touched")
    seen = []
    for name in ("valkey-server", "redis-server"):
        for tool in programs.candidates(name):
            flavour = Flavour(name.removesuffix("-server"), tool.version)
            if flavour.reads(version) and live.reads(flavour.rdb_version):
                return tool, flavour
            seen.append(str(flavour))
    raise RestoreRefused(
        f"the backup has RDB version {version} and is to go into {live}; no server here reads the one "
        f"and writes for the other (found {', '.join(seen) or 'none'}): install {live.name}-server "
        f"{live.dotted} on this host, for example `apt-get install {live.name}-server`; nothing live "
        f"was touched")


def _wait(program: Program, scratch: Scratch) -> None:
    """Until the server answers, or has ended."""
    for _ in range(int(_START_SECONDS / _POLL_SECONDS)):
        client = connect(scratch.url)
        try:
            if client.ping():
                return
        except exceptions.ConnectionError:
            if select.select([program.stdout], [], [], _POLL_SECONDS)[0] and not program.stdout.read(1):
                program.finish()
        finally:
            client.close()
    raise ProcessFailed(f"{program.name} did not answer in {_START_SECONDS} s: {program.stderr_tail}")
