"""What a second one is worth: of processes in one command, and of workers behind a broker."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from benchmarks.ask import Ask
from benchmarks.contest import Contender, Step, Task, contest
from benchmarks.data.plan import FILES, TOTAL_BYTES
from benchmarks.data.tree import Tree
from benchmarks.measuring import CommandFailed
from benchmarks.outcome import Found
from benchmarks.scratch import Need, bytes_below, empty
from benchmarks.site import Site, site

_ARCHIVES = 2
_READY_SECONDS = 120
_END_SECONDS = 60
TASKS = {
    "local": Task("In one command: nightscan backup --local", "one part at a time",
                  "NIGHTSCAN_JOBS, with as many archives in the set."),
    "workers": Task("By workers of the queue nightscan.heavy, one process each", "one worker",
                    f"{_ARCHIVES} archives in the set; from the message to the end of the run, as `--wait` "
                    f"sees it. Both workers are on this machine: they share its cores and its disk. "
                    f"Processor time and memory are those of the command that waits."),
}


def need(ask: Ask) -> Need:
    """The data and one set of it; sets of workers are removed after each round."""
    return Need(int(2.5 * TOTAL_BYTES * ask.scale) + 200_000_000, int(2 * FILES * ask.scale) + 5_000)


def workers(folder: Path, console: Console, ask: Ask) -> Found:
    """User data in full, by one and by two, in both ways."""
    more = {"NIGHTSCAN_FULL_INTERVAL_DAYS": "0", "NIGHTSCAN_STATE_DIR": str(folder / "state"),
            "AWS_BACKUP_BUCKET": ""}
    celery = ("nightscan.control",)
    with site(folder, ("gpg", "files", "broker", "redis"), celery=celery,
              settings={**more, "NIGHTSCAN_USER_DATA_ARCHIVES": str(_ARCHIVES)}) as place:
        console.print("writing user data …")
        Tree(place.root, int(TOTAL_BYTES * ask.scale), int(FILES * ask.scale), ask.seed).write()
        return Found(contest([*_by_jobs(place), *_by_workers(place)], TASKS, ask,
                             console=console, shared=place.reading().run))


def _by_jobs(place: Site) -> Iterator[Contender]:
    for name, number in (("one part at a time", 1), ("two parts side by side", 2)):
        save = place.nightscan("backup manual --component user_data --local --json",
                               NIGHTSCAN_JOBS=str(number), NIGHTSCAN_USER_DATA_ARCHIVES=str(number))
        yield Contender(name, (Step("local", save, stored=lambda: bytes_below(place.backups)),),
                        gone=lambda: _forget(place))


def _by_workers(place: Site) -> Iterator[Contender]:
    for name, number in (("one worker", 1), ("two workers", 2)):
        team = _Team(place, number)
        save = place.nightscan("backup manual --component user_data --wait --json")
        yield Contender(name, (Step("workers", save, stored=lambda: bytes_below(place.backups)),),
                        team.begin, team.end)


def _forget(place: Site) -> None:
    """The sets only: runs and leases are in use by who works here."""
    empty(place.backups / "manual")


@dataclass
class _Team:
    """Workers of the heavy queue, each of one process; they end with `end`."""

    place: Site
    size: int
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def begin(self) -> None:
        """Start them, and return when all are ready; `CommandFailed` when one is not after a while."""
        env = self.place.command("").env
        logs = [self.place.folder / f"heavy{number}.log" for number in range(self.size)]
        for number, log in enumerate(logs):
            with log.open("wb") as output:
                self._running.append(subprocess.Popen(
                    [sys.executable, "-m", "celery", "-A", "worker", "worker", "-Q", "nightscan.heavy",
                     "-n", f"heavy{number}@bench", "--concurrency", "1", "--loglevel", "INFO"],
                    env=dict(env), stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                    cwd=self.place.folder, start_new_session=True))
        try:
            for log in logs:
                _wait_for(log)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Stop them, and remove what they saved."""
        for process in self._running:
            process.terminate()
        for process in self._running:
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._running.clear()
        _forget(self.place)


def _wait_for(log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while b" ready." not in log.read_bytes():
        if time.monotonic() > deadline:
            raise CommandFailed(f"a worker was not ready after {_READY_SECONDS} s:\n"
                                f"{log.read_text()[-2000:]}")
        time.sleep(0.1)
