"""Celery as it runs on servers: a worker for each queue, beat, and Flower, each a process of its own."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from nightscan_tasks.errors import WorldError
from nightscan_tasks.programs import Tool
from nightscan_tasks.world import daemon
from nightscan_tasks.world.service import HOST, NotReady, Ports, Tidy

QUEUES = ("nightscan.fast", "nightscan.heavy", "nightscan.restore", "nightscan.control")
FLOWER_USER = "nightscan"
_NODE_HOST = "nightscan"
_APP = ("-m", "celery", "-A", "worker")
_ASK_SECONDS = 5
_ANSWER_SECONDS = 60


@dataclass(frozen=True)
class Worker(Tidy):
    """The worker of one queue."""

    home: Path
    queue: str
    concurrency: int = 1

    port_names = ()
    stop_signal = signal.SIGTERM  # warm: what it is doing may end
    patience_seconds = 20.0

    @property
    def name(self) -> str:
        """The queue's name."""
        return self.queue

    @property
    def node(self) -> str:
        """What Celery calls it: `fast@nightscan`."""
        return f"{self.queue.rpartition('.')[2]}@{_NODE_HOST}"

    @property
    def tool(self) -> Tool:
        """Celery."""
        return _python("celery")

    def prepare(self) -> None:
        """It needs nothing but its folder."""

    def argv(self, _ports: Ports, /) -> list[str]:
        """A worker that takes from one queue only."""
        return [sys.executable, *_APP, "worker", "-Q", self.queue, "-n", self.node,
                "--pool", "prefork", "--concurrency", str(self.concurrency), "--loglevel", "INFO"]

    def check(self, _ports: Ports, /) -> None:
        """It says that it is ready; whether it answers too is asked of all at once: `answer`."""
        _says(self.home, " ready.")


@dataclass(frozen=True)
class Beat(Tidy):
    """What sends each task when it is due."""

    home: Path

    name = "beat"
    port_names = ()
    stop_signal = signal.SIGTERM
    patience_seconds = 10.0

    @property
    def tool(self) -> Tool:
        """Celery."""
        return _python("celery")

    def prepare(self) -> None:
        """It needs nothing but its folder."""

    def argv(self, _ports: Ports, /) -> list[str]:
        """Its memory of what it sent lies in its folder."""
        return [sys.executable, *_APP, "beat", "--schedule", str(self.home / "schedule"),
                "--pidfile", "", "--loglevel", "INFO"]

    def check(self, _ports: Ports, /) -> None:
        """It says that it started; there is no way to ask it."""
        _says(self.home, "beat: Starting")


@dataclass(frozen=True)
class Flower(Tidy):
    """The web page that shows workers and tasks, behind a password."""

    home: Path
    password: str

    name = "flower"
    port_names = ("flower",)
    stop_signal = signal.SIGTERM
    patience_seconds = 5.0

    @property
    def tool(self) -> Tool:
        """Flower."""
        return _python("flower")

    def prepare(self) -> None:
        """It needs nothing but its folder."""

    def argv(self, ports: Ports, /) -> list[str]:
        """On loopback; the password is in its environment."""
        return [sys.executable, *_APP, "flower", f"--address={HOST}", f"--port={ports['flower']}"]

    def environ(self) -> Mapping[str, str]:
        """The user and password that it asks for."""
        return {"FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{self.password}"}

    def url(self, ports: Ports) -> str:
        """Where people look."""
        return f"http://{HOST}:{ports['flower']}"

    def check(self, ports: Ports, /) -> None:
        """The page is shown to whoever knows the password."""
        secret = base64.b64encode(f"{FLOWER_USER}:{self.password}".encode()).decode()
        request = urllib.request.Request(self.url(ports),  # noqa: S310 - http on loopback, by `url`
                                         headers={"Authorization": f"Basic {secret}"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            opener.open(request, timeout=_ASK_SECONDS).close()
        except OSError as exc:
            raise NotReady(str(exc)) from exc


def answer(workers: Sequence[Worker], *, env: Mapping[str, str]) -> None:
    """Wait until every worker replies and takes from its queue; `WorldError` names those that do not."""
    missing = {worker.node: worker.queue for worker in workers}

    def asked() -> bool:
        for node, queues in _consumed(list(missing), env).items():
            if missing.get(node) in queues:
                del missing[node]
        return not missing

    try:
        daemon.wait_until(asked, _ANSWER_SECONDS, "the workers to reply")
    except WorldError as exc:
        raise WorldError(f"{', '.join(sorted(missing))}: no reply, or not from its queue; see "
                         f"output.log in the folder of each") from exc


def _consumed(nodes: Sequence[str], env: Mapping[str, str]) -> dict[str, list[str]]:
    """The queues that each node takes from, for those that reply. Asked as an operator would."""
    asked = subprocess.run(
        [sys.executable, *_APP, "inspect", "active_queues", "--json",
         "--timeout", str(_ASK_SECONDS), "--destination", ",".join(nodes)],
        capture_output=True, text=True, errors="replace", check=False, env=dict(env),
        cwd=env["HOME"])
    if asked.returncode:
        return {}
    replies = json.loads(asked.stdout[asked.stdout.index("{"):])
    return {node: [queue["name"] for queue in queues] for node, queues in replies.items()}


def _says(home: Path, words: str) -> None:
    if words not in (home / "output.log").read_text(errors="replace"):
        raise NotReady(f"it has not said {words.strip()!r} yet")


def _python(package: str) -> Tool:
    numbers = tuple(int(part) for part in version(package).split(".") if part.isdigit())
    return Tool(package, Path(sys.executable), numbers, "embedded")
