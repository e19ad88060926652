"""A world full of secrets: its folder, its processes, and the commands that are typed in it."""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from nightscan_tasks.world import environment
from nightscan_tasks.world.world import World
from tests.secrets.evidence import Evidence

UNTIL_SECONDS = 180
# The words of commands come on standard input, so that they are on no argument list.
_CLI = "import json, sys\nfrom nightscan_tasks.cli import nightscan\nnightscan(json.load(sys.stdin))"
_MANY = """
import json, os, sys, traceback
from nightscan_tasks.cli import nightscan

for words, more in json.load(sys.stdin):
    before = dict(os.environ)
    os.environ.update(more)
    print("$", *words[:3], flush=True)
    try:
        nightscan(["--debug", *words], standalone_mode=False)
    except BaseException:
        traceback.print_exc()
    os.environ.clear()
    os.environ.update(before)
"""


class Place:
    """One such world while it runs."""

    def __init__(self, folder: Path, world: World, evidence: Evidence) -> None:
        self.folder, self.world, self.evidence = folder, world, evidence
        self.name = f"secret_{secrets.token_hex(4)}"
        self.environ: dict[str, str] = {}
        self.processes: list[subprocess.Popen[bytes]] = []
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.flower_port = found.getsockname()[1]

    def write(self, name: str, content: str) -> str:
        path = self.folder / "secret" / name
        path.parent.mkdir(exist_ok=True, mode=0o700)
        path.write_text(content)
        return str(path)

    def processes_environ(self, more: Mapping[str, str]) -> dict[str, str]:
        env = {**environment.of_processes(self.folder), **self.environ, **more}
        return {**env, "PYTHONPATH": f"{self.folder / 'site'}{os.pathsep}{env['PYTHONPATH']}",
                "PROGRAMS_TOLD": str(self.folder / "programs.jsonl"), "COLUMNS": "200"}

    def start(self, log: str, *words: str, **more: str) -> Path:
        """A process of Celery's, whose output is kept."""
        path = self.folder / "logs" / log
        with path.open("wb") as output:
            self.processes.append(subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "worker", *words], env=self.processes_environ(more),
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True))
        return path

    def celery(self, *words: str) -> str:
        done = subprocess.run([sys.executable, "-m", "celery", "-A", "worker", *words], check=False,
                              env=self.processes_environ({}), cwd=self.folder, capture_output=True, text=True)
        return done.stdout + done.stderr

    def typed(self, *words: str, status: int, more: Mapping[str, str] | None = None) -> None:
        """A command in a process of its own."""
        self.ended(self.begun(*words, more=more), status)

    def begun(self, *words: str, more: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        return self._fed(_CLI, list(words), more or {})

    def ended(self, process: subprocess.Popen[str], status: int) -> None:
        out, err = process.communicate(timeout=UNTIL_SECONDS)
        self.evidence.add("cli", out, err)
        assert process.returncode == status, f"{out}{err}"

    def here(self, *commands: tuple[tuple[str, ...], Mapping[str, str]]) -> str:
        """Commands that need no worker, one after the other in one process, with their tracebacks."""
        out, err = self._fed(_MANY, commands, {}).communicate(timeout=UNTIL_SECONDS)
        self.evidence.add("cli", out, err)
        return out

    def _fed(self, code: str, given: object, more: Mapping[str, str]) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder,
                                   env=self.processes_environ(more))
        assert process.stdin
        process.stdin.write(json.dumps(given))
        process.stdin.close()
        process.stdin = None
        return process

    def fetched(self, path: str) -> str:
        """A page of Flower's."""
        password = self.evidence.needles.core["flower"]
        secret = base64.b64encode(f"nightscan:{password}".encode()).decode()
        asked = urllib.request.Request(f"http://127.0.0.1:{self.flower_port}{path}",
                                       headers={"Authorization": f"Basic {secret}"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=120) as answer:
            return str(answer.read().decode())

    def close(self) -> None:
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
