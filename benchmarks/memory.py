"""How large worker processes get, while they save little and much."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from benchmarks.site import world
from nightscan_tasks.world.world import World


def peaks(sample_bytes: int) -> dict[str, int]:
    """The largest resident size, in bytes, of any worker process of each queue, during one weekly run."""
    with world(sample_bytes, celery=True) as site:
        watcher = _Watcher(site)
        watcher.start()
        nightscan = Path(sys.executable).with_name("nightscan")
        subprocess.run([nightscan, "backup", "weekly", "--wait", "--json"], check=True,
                       env=site.environ() | {"PATH": "/usr/bin:/bin"}, stdout=subprocess.DEVNULL)
        watcher.ended.set()
        watcher.join()
        return watcher.peaks


class _Watcher(threading.Thread):
    """Looks at every worker's processes again and again: a child may be replaced before the end."""

    def __init__(self, site: World) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.peaks: dict[str, int] = {}
        self._workers = {each.name: each.pid for each in site.status()
                         if each.name.startswith("nightscan.") and each.pid}

    def run(self) -> None:
        while not self.ended.wait(0.2):
            parents = _parents()
            for queue, pid in self._workers.items():
                family = [pid, *(child for child, parent in parents.items() if parent == pid)]
                largest = max(map(_peak_bytes, family), default=0)
                self.peaks[queue] = max(self.peaks.get(queue, 0), largest)


def _parents() -> dict[int, int]:
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[int(path.parent.name)] = int(fields[1])
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
