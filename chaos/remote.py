"""A host of its own: a network namespace whose only way to the servers is a wire that can be cut."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from chaos.proxy import standing

_IP = shutil.which("ip") or shutil.which("ip", path="/usr/sbin:/sbin")
_URLS = ("NIGHTSCAN_BROKER_URL", "NIGHTSCAN_RESULT_BACKEND", "AWS_ENDPOINT_URL")


@dataclass(frozen=True)
class Remote:
    """The host: what a program runs under to be there, and the settings that are different there."""

    prefix: tuple[str, ...]
    environ: Mapping[str, str]
    wire: str

    def cut(self) -> None:
        """Every packet is lost; no connection is told."""
        _ip("link", "set", self.wire, "down")

    def mend(self) -> None:
        """The wire carries again."""
        _ip("link", "set", self.wire, "up")


@contextmanager
def host(environ: Mapping[str, str]) -> Iterator[Remote | None]:
    """A host that reaches the servers of `environ`; None where namespaces need another user."""
    name = f"chaos-{secrets.token_hex(3)}"
    if os.geteuid() or _IP is None or not _possible("netns", "add", name):
        yield None
        return
    near, far = f"{name[-6:]}-a", f"{name[-6:]}-b"
    network = f"10.{secrets.randbelow(100) + 100}.{secrets.randbelow(250)}"
    with ExitStack() as stack:
        stack.callback(_ip, "netns", "delete", name)
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        _ip("address", "add", f"{network}.1/24", "dev", near)
        _ip("link", "set", near, "up")
        for arguments in (("address", "add", f"{network}.2/24", "dev", far), ("link", "set", far, "up"),
                          ("link", "set", "lo", "up")):
            _ip("-n", name, *arguments)
        there = {}
        for variable in _URLS:
            parts = urlsplit(environ[variable])
            way = stack.enter_context(standing((str(parts.hostname), int(parts.port or 80)), f"{network}.1"))
            user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
            there[variable] = urlunsplit(parts._replace(netloc=f"{user}{way.address[0]}:{way.address[1]}"))
        yield Remote((_IP, "netns", "exec", name), there, near)


def _possible(*arguments: str) -> bool:
    return subprocess.run([str(_IP), *arguments], capture_output=True, check=False).returncode == 0


def _ip(*arguments: str) -> None:
    subprocess.run([str(_IP), *arguments], capture_output=True, check=True)
