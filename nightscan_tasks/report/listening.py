"""Where the server listens, and whom it has to ask for a password."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from nightscan_tasks.errors import SettingsError
from nightscan_tasks.settings import Settings


@dataclass(frozen=True)
class Listening:
    """Where to listen, and what is asked for; without a password only loopback is allowed."""

    host: str
    port: int
    password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """What to open."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"


def plan_listening(settings: Settings, *, host: str | None = None, port: int | None = None) -> Listening:
    """As the settings say, unless it is said here; `SettingsError` beyond loopback without a password."""
    listening = Listening(host or settings.serve_host, settings.serve_port if port is None else port,
                          settings.serve_password.get_secret_value())
    if not listening.password and not is_loopback(listening.host):
        raise SettingsError(
            f"{listening.host} is not loopback, and NIGHTSCAN_SERVE_PASSWORD is not set: anybody who reaches "
            f"it would read the state of all backups\nset NIGHTSCAN_SERVE_PASSWORD, or listen on 127.0.0.1 "
            f"and let a server with TLS pass requests on")
    return listening


def is_loopback(host: str) -> bool:
    """Whether nobody from another host can ask there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
