"""Servers that know the users of docs/privileges, and no others but the test's own."""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from nightscan_tasks import programs

PRIVILEGES = Path(__file__).resolve().parents[2] / "docs" / "privileges"
_START_SECONDS = 120


class AclServer:
    """A Redis or Valkey that has loaded the files; `default` may everything, for the test's own use."""

    def __init__(self, program: str, folder: Path, *files: str) -> None:
        folder.mkdir()
        lines = "".join((PRIVILEGES / "redis" / file).read_text() for file in files)
        names = [*re.findall(r"^user (\w+)", lines, re.MULTILINE), "default"]
        self.passwords = {name: secrets.token_hex(8) for name in names}
        for name, password in self.passwords.items():
            lines = lines.replace(f"#SHA256-OF-{name} ", f"#{hashlib.sha256(password.encode()).hexdigest()} ")
        acl = folder / "users.acl"
        acl.write_text(f"{lines}user default on >{self.passwords['default']} ~* &* +@all\n")
        with contextlib.closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.tool = programs.find(program)
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [str(self.tool.path), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder),
                 "--aclfile", str(acl), "--save", "", "--appendonly", "no", "--repl-diskless-sync", "yes",
                 "--repl-diskless-sync-delay", "0"], stdout=log, stderr=log)
        self._wait(folder / "log")

    def _wait(self, log: Path) -> None:
        deadline = time.monotonic() + _START_SECONDS
        with contextlib.closing(self.client()) as client:
            while True:
                assert self.process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                with contextlib.suppress(redis.ConnectionError):
                    client.ping()
                    return
                time.sleep(0.02)

    def url(self, user: str = "default", database: int = 0) -> str:
        return f"redis://{user}:{self.passwords[user]}@127.0.0.1:{self.port}/{database}"

    def client(self, user: str = "default", database: int = 0) -> Any:
        return redis.Redis.from_url(self.url(user, database))

    def may(self, user: str, *command: object) -> bool:
        """Whether the user may do that: it is done."""
        with contextlib.closing(self.client(user)) as client:
            try:
                client.execute_command(*command)
            except redis.exceptions.NoPermissionError:
                return False
            except redis.ResponseError as exc:  # a server may word it in another way inside a script
                return "permission" not in str(exc).lower()
            return True

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def acl_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., AclServer]]:
    """`acl_server("valkey-server", "backup.acl", …)`: a server that has loaded these files."""
    started: dict[tuple[str, ...], AclServer] = {}

    def start(program: str, *files: str) -> AclServer:
        if (program, *files) not in started:
            folder = tmp_path_factory.mktemp("acl") / "server"
            started[program, *files] = AclServer(program, folder, *files)
        return started[program, *files]

    try:
        yield start
    finally:
        for server in started.values():
            server.close()
