"""Workers and beat, and a supervisor that starts them again as systemd and compose do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from nightscan_tasks.process import dies_with_parent

_LOOK_SECONDS = 0.05
_READY_SECONDS = 60
_WITH_US = dies_with_parent()  # however this program ends, nobody starts them again or looks after them


@dataclass
class Hand:
    """One process that is to run always. Killed with `group`: systemd leaves nothing of a unit behind."""

    name: str
    argv: list[str]
    environ: dict[str, str]
    folder: Path
    restarts: int = 0
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def log(self) -> Path:
        """All that it ever wrote."""
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        """Start it, in a session of its own, with an empty folder for temporary files: `PrivateTmp`."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir()
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*_WITH_US, *self.argv], env={**self.environ, "TMPDIR": str(self.temporary)}, cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)

    @property
    def temporary(self) -> Path:
        """Its folder for temporary files."""
        return self.folder / f"{self.name}-tmp"

    @property
    def pid(self) -> int:
        """The process that is supervised."""
        return self.process.pid

    def children(self) -> list[int]:
        """The processes of a worker's pool."""
        with suppress(OSError):
            listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
            return [int(pid) for pid in listed.split()]
        return []

    def gone(self) -> bool:
        """Whether it ended; what is left of its group ends then too, as in a unit's control group."""
        if self.process.poll() is None:
            return False
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return True

    def send(self, number: int, *, group: bool = False) -> None:
        """Send it a signal, or all of its group."""
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def end(self) -> None:
        """End it now, whatever it does."""
        self.send(signal.SIGCONT, group=True)
        self.send(signal.SIGKILL, group=True)
        self.process.wait()
        shutil.rmtree(self.temporary, ignore_errors=True)


@dataclass
class Crew:
    """All that runs, and a thread that looks after it. `restart_seconds` is the unit's `RestartSec`."""

    folder: Path
    environ: Mapping[str, str]
    restart_seconds: float = 0.3
    hands: dict[str, Hand] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)

    def worker(self, name: str, *queues: str, concurrency: int = 1, prefix: tuple[str, ...] = (),
               **more: str) -> Hand:
        """A worker for some queues. `prefix` is a program that it runs under."""
        argv = [*prefix, sys.executable, "-m", "celery", "-A", "worker", "worker", "-n", f"{name}@chaos",
                "-Q", ",".join(f"nightscan.{queue}" for queue in queues), "-c", str(concurrency),
                "--without-gossip", "--without-mingle", "--loglevel", "INFO"]
        return self._start(Hand(name, argv, {**self.environ, **more}, self.folder))

    def beat(self, name: str = "beat") -> Hand:
        """A beat with a memory of its own."""
        argv = [sys.executable, "-m", "celery", "-A", "chaos.timetable", "beat", "--schedule",
                str(self.folder / f"{name}.schedule"), "--pidfile=", "--loglevel", "INFO"]
        return self._start(Hand(name, argv, dict(self.environ), self.folder))

    def dismiss(self, name: str) -> None:
        """End one, and let it be."""
        self.hands.pop(name).end()

    def ready(self, name: str, *, before: int = 0) -> None:
        """Wait until a worker has said so once more than `before` times."""
        deadline = time.monotonic() + _READY_SECONDS
        while self.said(name) <= before:
            if time.monotonic() > deadline:
                wrote = self.hands[name].log.read_text(errors="replace")
                raise TimeoutError(f"{name} is not ready:\n{wrote}")
            time.sleep(_LOOK_SECONDS)

    def said(self, name: str) -> int:
        """How many times a worker has said that it is ready."""
        return self.hands[name].log.read_text(errors="replace").count(" ready.")

    def _start(self, hand: Hand) -> Hand:
        hand.start()
        self.hands[hand.name] = hand
        return hand

    def _supervise(self) -> None:
        fallen: dict[str, float] = {}
        while not self._ended.wait(_LOOK_SECONDS):
            for name, hand in list(self.hands.items()):
                if name not in fallen and hand.gone():
                    fallen[name] = time.monotonic()
                if name in fallen and time.monotonic() - fallen[name] >= self.restart_seconds:
                    del fallen[name]
                    hand.restarts += 1
                    hand.start()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Supervise until the end, and leave no process behind."""
        thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            for hand in self.hands.values():
                hand.end()
