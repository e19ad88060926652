"""One command, measured: how long, how much of the processor, how much memory."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_LOOK_SECONDS = 0.15
_TOLD_BYTES = 2_000
_NEVER_TOLD = ("PASS", "SECRET", "URI", "_URL", "KEY")


class CommandFailed(Exception):
    """What was run, how it ended, and the end of what it printed."""


@dataclass(frozen=True)
class Measured:
    """One command's needs.

    `cpu_seconds` is user and system time of all processes it started and waited for. `tree_bytes` is the
    most that all of them had in memory at one moment, each page counted once (the sum of PSS);
    `process_bytes` is the most that one of them ever had (peak RSS). Both as seen several times a second.
    """

    seconds: float
    cpu_seconds: float
    tree_bytes: int
    process_bytes: int

    def __add__(self, after: Measured) -> Measured:
        """This one, and then the other."""
        return Measured(self.seconds + after.seconds, self.cpu_seconds + after.cpu_seconds,
                        max(self.tree_bytes, after.tree_bytes), max(self.process_bytes, after.process_bytes))


@dataclass(frozen=True)
class Command:
    """A shell pipeline, every part of which has to succeed. What it prints goes to the file `log`."""

    script: str
    env: Mapping[str, str]
    folder: Path
    log: Path

    def run(self) -> Measured:
        """To its end; `CommandFailed` with what it printed last. Nothing of it is left when this raises."""
        bash = shutil.which("bash") or "/bin/bash"
        with self.log.open("wb") as log:
            began = time.perf_counter()
            process = subprocess.Popen([bash, "-o", "pipefail", "-c", self.script], cwd=self.folder,
                                       env=dict(self.env), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       start_new_session=True)
            with _ended_with(process), _Watcher(process.pid) as watcher:
                _, status, usage = os.wait4(process.pid, 0)
                seconds = time.perf_counter() - began
                process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise CommandFailed(f"status {process.returncode}: {self.script}\n{self._printed()}")
        return Measured(seconds, usage.ru_utime + usage.ru_stime, watcher.tree_bytes, watcher.process_bytes)

    def _printed(self) -> str:
        """The end of what it printed, without what the environment keeps secret."""
        text = self.log.read_text(errors="replace")[-_TOLD_BYTES:]
        for name, value in self.env.items():
            if value and any(word in name for word in _NEVER_TOLD):
                text = text.replace(value, "***")
        return text


@contextlib.contextmanager
def _ended_with(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Whoever is interrupted here leaves no process behind."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


class _Watcher(threading.Thread):
    """Looks at a process and all that come of it, again and again, until the block ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._over = threading.Event()
        self.tree_bytes = 0
        self.process_bytes = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            family = list(_family(self._pid))
            self.tree_bytes = max(self.tree_bytes, sum(_kilobytes(pid, "smaps_rollup", "Pss:")
                                                       for pid in family) * 1024)
            self.process_bytes = max(self.process_bytes, *(1024 * _kilobytes(pid, "status", "VmHWM:")
                                                           for pid in family), 0)


def _family(pid: int) -> Iterator[int]:
    """A process and its descendants, as far as they are there."""
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in path.read_text().split():
                yield from _family(int(child))


def _kilobytes(pid: int, file: str, name: str) -> int:
    try:
        text = Path(f"/proc/{pid}/{file}").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(name)), 0)
