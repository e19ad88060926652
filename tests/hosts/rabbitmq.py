"""A RabbitMQ of the tests' own: its ports, data, logs and cookie are in a folder, and it ends with them."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tools.rabbitmq import found, missing

CONSUMER_SECONDS = 4
"""After so long what is not acknowledged is taken back: in an hour nobody would see it."""
_START_SECONDS = 120
_END_SECONDS = 20
_UP = "Server startup complete"
_CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{port}
distribution.listener.interface = 127.0.0.1
consumer_timeout = {consumer_milliseconds}
default_user = nightscan
default_pass = {password}
default_vhost = nightscan
log.console = true
log.file = false
disk_free_limit.absolute = 10MB
vm_memory_high_watermark.absolute = 1GB
"""


class NoRabbitMQ(Exception):
    """There is none that can be started, why, and what to do about it."""


@dataclass(frozen=True)
class RabbitMQ:
    """One that answers."""

    folder: Path
    port: int
    url: str

    def said(self) -> str:
        """Its log."""
        return (self.folder / "output.log").read_text(errors="replace")


@contextmanager
def rabbitmq(folder: Path) -> Iterator[RabbitMQ]:
    """One that runs as long as the block does; `NoRabbitMQ` where there is none."""
    program = found()
    if program is None:
        raise NoRabbitMQ(missing())
    names, port, between = _free_ports(3)
    password = secrets.token_hex(12)
    (folder / "rabbitmq.conf").write_text(_CONFIG.format(
        port=port, password=password, consumer_milliseconds=CONSUMER_SECONDS * 1000))
    (folder / "plugins").write_text("[].\n")
    environ = _environ(folder, names, between)
    server = RabbitMQ(folder, port, f"amqp://nightscan:{password}@127.0.0.1:{port}/nightscan")
    with ExitStack() as stack:
        # Erlang's own directory of names: one that it starts by itself would outlive it.
        stack.enter_context(_running(folder, "names", environ, ["epmd", "-port", str(names)]))
        process = stack.enter_context(_running(folder, "output", environ, [str(program), "-noinput"]))
        deadline = time.monotonic() + _START_SECONDS
        while _UP not in server.said():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"RabbitMQ did not start:\n{server.said()[-3000:]}")
            time.sleep(0.1)
        yield server


def _environ(folder: Path, names: int, between: int) -> dict[str, str]:
    paths = {"MNESIA_BASE": "data", "LOG_BASE": "log", "CONFIG_FILE": "rabbitmq.conf",
             "ENABLED_PLUGINS_FILE": "plugins", "PID_FILE": "pid", "FEATURE_FLAGS_FILE": "flags",
             "CONF_ENV_FILE": "none", "ADVANCED_CONFIG_FILE": "none"}
    return {**os.environ, **{f"RABBITMQ_{name}": str(folder / path) for name, path in paths.items()},
            "HOME": str(folder), "ERL_EPMD_PORT": str(names), "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "test@localhost", "RABBITMQ_DIST_PORT": str(between),
            "RABBITMQ_ALLOW_INPUT": "1",  # or a shell would stand between it and its signals
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1 -rabbit channel_tick_interval 1000"}


@contextmanager
def _running(folder: Path, name: str, environ: dict[str, str],
             argv: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(argv, env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        for word in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, word)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in held]
