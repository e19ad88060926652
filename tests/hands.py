"""Processes of Celery's that a test starts, waits for, and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightscan_tasks.world import environment

_UNTIL_SECONDS = 180  # what is waited for comes soon, unless others have the processors


def wait_until(seen: Callable[[], Any], what: str, *, meanwhile: Callable[[], object] = lambda: None,
               every: float = 1.0, seconds: float = _UNTIL_SECONDS) -> Any:
    """Wait until `seen` answers something true, and return that; call `meanwhile` now and then."""
    deadline, due = time.monotonic() + seconds, 0.0
    while True:
        if found := seen():
            return found
        now = time.monotonic()
        if now > deadline:
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
        if now >= due:
            meanwhile()
            due = time.monotonic() + every
        time.sleep(0.05)


@dataclass
class Hand:
    """One process, in a session of its own, and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def node(self) -> str:
        return f"{self.name}@test"

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def ready(self) -> Hand:
        """Wait until it is a worker that takes tasks."""
        wait_until(lambda: " ready." in self.said() or self.process.poll() is not None,
                   f"{self.name} to be ready")
        assert self.process.poll() is None, self.said()
        return self

    def children(self) -> list[int]:
        """The processes of its pool."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def killed(self) -> None:
        """Kill -9 the worker and its pool, and nothing that they started: that has to end by itself."""
        for pid in [self.process.pid, *self.children()]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def started(folder: Path, name: str, environ: Mapping[str, str], *words: str,
            prefix: Sequence[str] = ()) -> Hand:
    """A process of this Python's in a folder, with just that environment and the world's own.

    `prefix` is a program that becomes it, elsewhere: `nsenter …`.
    """
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*prefix, sys.executable, *words], env=environ_in(folder, environ), cwd=folder,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    return Hand(name, process, log)


def worker(folder: Path, name: str, environ: Mapping[str, str], queues: Sequence[str], *,
           concurrency: int = 1, loglevel: str = "INFO", prefix: Sequence[str] = ()) -> Hand:
    """A worker that takes from these queues; it is not waited for. With DEBUG its log tells each task too."""
    return started(folder, name, environ, "-m", "celery", "-A", "worker", "worker", "-n", f"{name}@test",
                   "-Q", ",".join(f"nightscan.{queue}" for queue in queues), "-c", str(concurrency),
                   "--without-gossip", "--without-mingle", "--loglevel", loglevel, prefix=prefix)


def environ_in(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that lives in a folder: its home and its temporary files are there."""
    for below in ("home", "tmp"):
        (folder / below).mkdir(exist_ok=True)
    return {**environment.of_processes(folder), **environ}
