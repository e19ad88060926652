"""Hosts with a network, a name and a disk of their own, each on one machine: namespaces of Linux.

A host reaches the servers of the test at one address, over a cable that can be pulled. Below `private` every
host sees a disk of its own under the same path, so that one set of settings serves all. Whatever is made here
is gone when its process is, however that ends.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_LOOPBACK = "127.0.0.1"
_PROGRAMS = ("ip", "unshare", "nsenter", "setpriv")
_BUFFER_BYTES = 1 << 18
# As systemd does: whoever lost the broker ends, and is started again.
_ALWAYS_AGAIN = 'while :; do "$@"; sleep 1; done'


class NoHosts(Exception):
    """There can be none here, and why."""


@dataclass(frozen=True)
class Host:
    """One host: the process that keeps it, and the end of its cable that the machine holds."""

    name: str
    pid: int
    cable: str
    address: str
    private: Path

    @property
    def disk(self) -> Path:
        """Its private disk, as it is seen from outside."""
        return Path(f"/proc/{self.pid}/root{self.private}")

    def inside(self, *, again: bool = True) -> tuple[str, ...]:
        """What is written before a command so that it runs there, again and again if that is wanted."""
        enter = ("nsenter", "--target", str(self.pid), "--net", "--mount", "--uts",
                 f"--wdns={self.private}")
        return ("sh", "-c", _ALWAYS_AGAIN, "sh", *enter) if again else enter

    def cut(self) -> None:
        """Pull the cable: no answer comes any more, and no refusal either."""
        _ip("link", "set", self.cable, "down")

    def join(self) -> None:
        """Plug it in again."""
        _ip("link", "set", self.cable, "up")
        _ip("route", "replace", self.address, "dev", self.cable)


@dataclass
class Network:
    """Hosts, and what lets them reach the servers that listen on this machine's loopback."""

    folder: Path
    hosts: dict[str, Host] = field(default_factory=dict)
    _number: int = field(default_factory=lambda: 1 + secrets.randbelow(250))

    @property
    def address(self) -> str:
        """Where every host finds the servers."""
        return f"198.18.{self._number}.1"

    def seen_from_hosts(self, environ: dict[str, str]) -> dict[str, str]:
        """The same settings with the address at which a host finds what is on our loopback."""
        return {name: value.replace(_LOOPBACK, self.address) for name, value in environ.items()}

    @contextmanager
    def host(self, name: str) -> Iterator[Host]:
        """One more host, as long as the block lasts."""
        number = len(self.hosts) + 2
        address, cable = f"198.18.{self._number}.{number}", f"ns{self._number}x{number}"
        private = self.folder / "private"
        private.mkdir(exist_ok=True)
        with _kept() as pid:
            enter = ("nsenter", "--target", str(pid), "--net", "--mount", "--uts")
            _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
            _ip("address", "add", f"{self.address}/32", "dev", cable)
            for words in (("mount", "-t", "tmpfs", "tmpfs", str(private)), ("hostname", name),
                          ("ip", "link", "set", "lo", "up"), ("ip", "link", "set", "eth0", "up"),
                          ("ip", "address", "add", f"{address}/32", "dev", "eth0"),
                          ("ip", "route", "add", self.address, "dev", "eth0")):
                _run(*enter, *words)
            made = Host(name, pid, cable, address, private)
            made.join()
            self.hosts[name] = made
            try:
                yield made
            finally:
                _ip("link", "delete", cable)  # or what it never got out would keep both ends for minutes

    @contextmanager
    def forwarded(self, ports: Sequence[int]) -> Iterator[None]:
        """Let the hosts reach these ports of our loopback, under the same numbers."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="forwarding", daemon=True)
        thread.start()
        try:
            servers = [asyncio.run_coroutine_threadsafe(_listen(self.address, port), loop).result()
                       for port in ports]
            yield
            for server in servers:
                loop.call_soon_threadsafe(server.close)
        finally:
            asyncio.run_coroutine_threadsafe(_end_all(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


@contextmanager
def network(folder: Path) -> Iterator[Network]:
    """A network without hosts; `NoHosts` where this machine or this user can have none."""
    if os.geteuid() != 0:
        raise NoHosts("hosts of their own are network and mount namespaces, which only root can connect")
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        raise NoHosts(f"hosts of their own need {', '.join(missing)}: install iproute2 and util-linux")
    try:
        _run("unshare", "--net", "--mount", "--uts", "ip", "link", "add", "probe0", "type", "veth")
    except subprocess.CalledProcessError as exc:
        raise NoHosts(f"this machine permits no network namespaces: {exc.stderr.decode().strip()}") from exc
    yield Network(folder)


@contextmanager
def _kept() -> Iterator[int]:
    """A process that does nothing in namespaces of its own; they end with it, and it with us."""
    with ExitStack() as stack:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--uts", "sh", "-c",  # noqa: S607 - the machine's own
             "echo ready; exec sleep infinity"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.send_signal, signal.SIGKILL)
        assert process.stdout is not None
        stack.callback(process.stdout.close)
        process.stdout.readline()
        yield process.pid


async def _listen(address: str, port: int) -> asyncio.Server:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            onward, back = await asyncio.open_connection(_LOOPBACK, port)
            ends.append(back)
            await asyncio.gather(_pump(reader, back), _pump(onward, writer))
        except OSError:
            pass  # the server was stopped: so is the connection
        finally:
            for end in ends:
                end.transport.abort()

    return await asyncio.start_server(connected, address, port)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_BUFFER_BYTES):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()


async def _end_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0.1)  # until the loop has closed what was given up


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
