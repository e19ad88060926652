"""A Redis: the application's, whose data is backed up, or the broker's, which must not lose a message."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import redis

from nightscan_tasks.programs import Tool
from nightscan_tasks.world.service import HOST, NotReady, Ports, Tidy, embedded

_BOTH = f"""\
bind {HOST}
daemonize no
dir .
logfile ""
repl-diskless-sync yes
# A replica that reads a dump would otherwise be kept waiting for others that may come.
repl-diskless-sync-delay 0
"""
# The cache is saved now and then, and when it ends; the broker keeps every message it took.
_APPLICATION = "save 3600 1 300 100\n"
_BROKER = 'save ""\nappendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction\n'
_ASK_SECONDS = 1


@dataclass(frozen=True)
class RedisServer(Tidy):
    """One Redis with a password, in `home`."""

    name: str
    home: Path
    password: str
    broker: bool = False

    port_names = ("redis",)
    stop_signal = signal.SIGTERM
    patience_seconds = 20.0

    @property
    def tool(self) -> Tool:
        """Valkey, or a Redis where there is none."""
        return embedded("valkey-server", "redis-server")

    def prepare(self) -> None:
        """Write the configuration, which holds the password, for nobody else to read."""
        (self.home / "data").mkdir(exist_ok=True)
        config = self.home / "redis.conf"
        config.touch(mode=0o600)
        config.write_text(f"{_BOTH}{_BROKER if self.broker else _APPLICATION}"
                          f"requirepass {self.password}\n")

    def argv(self, ports: Ports) -> list[str]:
        """The server, its port beside the configuration file."""
        return [str(self.tool.path), str(self.home / "redis.conf"),
                "--dir", str(self.home / "data"), "--port", str(ports["redis"])]

    def url(self, ports: Ports, database: int = 0) -> str:
        """How clients reach a database of it, password included."""
        return f"redis://:{self.password}@{HOST}:{ports['redis']}/{database}"

    def check(self, ports: Ports) -> None:
        """It took its data in, and answers to the password."""
        client = redis.Redis.from_url(self.url(ports), socket_timeout=_ASK_SECONDS,
                                      socket_connect_timeout=_ASK_SECONDS)
        try:
            client.ping()
        except redis.RedisError as exc:
            raise NotReady(str(exc)) from exc
        finally:
            client.close()
