"""How large worker processes get, while they save little and much."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from benchmarks.ask import Ask
from benchmarks.outcome import Found, Sheet
from benchmarks.scratch import Need
from nightscan_tasks.system import utc_now
from nightscan_tasks.wording import size
from nightscan_tasks.world.world import World

AMOUNTS = (100_000_000, 2_000_000_000)
LIMIT_BYTES = 200_000_000
_LOOK_SECONDS = 0.2


def need(ask: Ask) -> Need:
    """A world with its sample, the set, and its copy in S3."""
    return Need(int(5 * AMOUNTS[-1] * ask.scale) + 500_000_000, 60_000)


def memory(folder: Path, console: Console, ask: Ask) -> Found:
    """The largest process of each queue. One round: a peak hardly depends on what else a machine does."""
    peaks = []
    for number, amount in enumerate(AMOUNTS):
        console.print(f"  a weekly set of {size(amount * ask.scale)} …")
        peaks.append(_peaks(folder / f"w{number}", int(amount * ask.scale)))
    small, large = peaks
    rows = tuple((queue, size(small.get(queue, 0)), size(large[queue]),
                  "yes" if max(small.get(queue, 0), large[queue]) < LIMIT_BYTES else "NO")
                 for queue in sorted(large))
    amounts = (f"{size(amount * ask.scale)} of data" for amount in AMOUNTS)
    columns = ("queue", *amounts, f"below {size(LIMIT_BYTES)}")
    return Found(sheets=(Sheet(
        "The largest process of each queue", columns, rows,
        "Peak RSS of each queue's Python processes; what they start (gpg, pg_dump) is not in it."),))


def _peaks(folder: Path, sample_bytes: int) -> dict[str, int]:
    """The largest resident size, in bytes, of any worker process of each queue, during one weekly run."""
    try:
        site = World.up(folder, celery=True).fill(sample_bytes, now=utc_now())
        watcher = _Watcher(site)
        watcher.start()
        nightscan = Path(sys.executable).with_name("nightscan")
        subprocess.run([nightscan, "backup", "weekly", "--wait", "--json"], check=True,
                       env=site.processes_environ(), stdout=subprocess.DEVNULL)
        watcher.ended.set()
        watcher.join()
        return watcher.peaks
    finally:
        World.down(folder, purge=True)


class _Watcher(threading.Thread):
    """Looks at every worker's processes again and again: a child may be replaced before the end."""

    def __init__(self, site: World) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.peaks: dict[str, int] = {}
        self._workers = {each.name: each.pid for each in site.status()
                         if each.name.startswith("nightscan.") and each.pid}

    def run(self) -> None:
        while not self.ended.wait(_LOOK_SECONDS):
            parents = _parents()
            for queue, pid in self._workers.items():
                family = [pid, *(child for child, parent in parents.items() if parent == pid)]
                largest = max(map(_peak_bytes, family), default=0)
                self.peaks[queue] = max(self.peaks.get(queue, 0), largest)


def _parents() -> dict[int, int]:
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            found[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    return found


def _peak_bytes(pid: int) -> int:
    """A Python process's highest resident size so far; what it started (gpg, pg_dump) is not it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        name = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return 0
    if b"celery" not in name:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)
