"""A small NightScan with servers of its own, a proxy before its S3, a clock that can be moved, its crew."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit

import psycopg
from celery import Celery

from chaos.crew import Crew
from chaos.proxy import Proxy, standing
from chaos.remote import Remote, host
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.world.world import World

_SAMPLE_BYTES = 400_000
_SMALL_DISK = "size=256m"  # a hundred sets, and then some
_SHORT = {
    "NIGHTSCAN_LEASE_SECONDS": "6", "NIGHTSCAN_RETRY_SECONDS": "1", "NIGHTSCAN_RETRIES": "3",
    "NIGHTSCAN_DEADLINE_SECONDS": "120", "NIGHTSCAN_VISIBILITY_SECONDS": "130",
    "NIGHTSCAN_USER_DATA_ARCHIVES": "2",
}


@dataclass
class Site:
    """What faults are done to, and what the model looks at."""

    folder: Path
    world: World
    environ: dict[str, str]
    s3: Proxy
    crew: Crew
    clock: Path | None
    disk: Path | None
    remote: Remote | None
    app: Celery
    marks: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def system(self) -> System:
        """The system as the workers see it, by the true clock."""
        return System(load(self.environ))

    def mark(self) -> int:
        """Leave a mark in the database and among the files, so that each set differs from the last."""
        self.marks += 1
        with psycopg.connect(self.world.dsn(), autocommit=True) as connection:
            connection.execute("INSERT INTO chaos_marks VALUES (%s)", (self.marks,))
        uploads = Path(self.environ["NIGHTSCAN_ROOT"]) / "uploads"
        (uploads / f"mark-{self.marks:05d}.wav").write_bytes(secrets.token_bytes(20_000))
        return self.marks

    def send(self, task: str, *args: object) -> None:
        """Send a task to whom it may concern."""
        self.app.send_task(f"nightscan.{task}", args=args)

    def move_clock(self, offset: str) -> None:
        """Move the clock of every worker and of beat: `+1d`, `-1d`, `+0`."""
        if self.clock is not None:
            self.clock.write_text(offset + "\n", encoding="ascii")


def clock_library() -> Path | None:
    """What moves the clock of a process that it is loaded into, where there is such a thing."""
    spec = find_spec("libfaketime")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for library in Path(place).rglob("libfaketime.so.1"):
            tried = subprocess.run(["/bin/true"], env={"LD_PRELOAD": str(library)}, capture_output=True,
                                   check=False)
            if tried.returncode == 0 and not tried.stderr:
                return library
    return None


@contextmanager
def opened(folder: Path, *, primary: str = "directory") -> Iterator[Site]:
    """A site that is up, its crew ready; when it is left, all of it is gone.

    `primary`: in a `directory`, with a copy in S3; or in `s3`, with the ledger and all, and a copy in a
    directory.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.callback(World.down, folder / "world", purge=True)
        world = World.up(folder / "world", celery=False).fill(_SAMPLE_BYTES, now=datetime.now(UTC))
        given = world.environ()
        s3 = stack.enter_context(standing(_address(given["AWS_ENDPOINT_URL"])))
        clock, moved = _clock(folder)
        disk = stack.enter_context(_small_disk(folder / "disk"))
        environ = {**given, **_SHORT, **_stores(given, (disk or folder) / "backups", primary),
                   "AWS_ENDPOINT_URL": f"http://{s3.address[0]}:{s3.address[1]}"}
        stack.enter_context(patch.dict(os.environ, environ))
        with psycopg.connect(world.dsn(), autocommit=True) as connection:
            connection.execute("CREATE TABLE chaos_marks (number int PRIMARY KEY)")
        (folder / "crew").mkdir()
        crew = Crew(folder / "crew", {**world.processes_environ(), **environ, **moved})
        remote = stack.enter_context(host(environ))
        app = _client(environ)
        stack.callback(_dismiss, app)
        stack.enter_context(crew.at_work())
        _hire(crew, remote)
        yield Site(folder, world, environ, s3, crew, clock, disk, remote, app)


def _hire(crew: Crew, remote: Remote | None) -> None:
    """Everything on one host but the heavy work, which is on another where there can be one."""
    crew.worker("fast", "fast")
    crew.worker("heavy", "heavy", concurrency=2, prefix=remote.prefix if remote else (),
                **(remote.environ if remote else {}))
    crew.worker("control", "control", "restore", concurrency=2)
    crew.beat()
    for name in ("fast", "heavy", "control"):
        crew.ready(name)


def _stores(given: Mapping[str, str], folder: Path, primary: str) -> dict[str, str]:
    """Which store is the primary one, and which gets the copies."""
    if primary == "directory":
        return {"NIGHTSCAN_BACKUP_DIR": str(folder)}
    return {"NIGHTSCAN_BACKUP_DIR": str(folder), "NIGHTSCAN_OFFSITE": str(folder), "AWS_BACKUP_BUCKET": "",
            "NIGHTSCAN_PRIMARY": f"s3://{given['AWS_BACKUP_BUCKET']}/primary"}


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 80)


def _clock(folder: Path) -> tuple[Path | None, dict[str, str]]:
    """The file that says how far the clocks are off, and what makes a process read it."""
    library = clock_library()
    if library is None:
        return None, {}
    path = folder / "clock"
    path.write_text("+0\n", encoding="ascii")
    # Only what time of day it is moves: how long something takes stays true, and so do times of files.
    return path, {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(path), "FAKETIME_NO_CACHE": "1",
                  "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}


@contextmanager
def _small_disk(place: Path) -> Iterator[Path | None]:
    """A file system of a few megabytes, which can be filled; None where that needs another user."""
    place.mkdir()
    made = subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", _SMALL_DISK, "tmpfs", str(place)],
                          capture_output=True, check=False)
    if made.returncode:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["/bin/umount", "--lazy", str(place)], check=True)


def _client(environ: Mapping[str, str]) -> Celery:
    from worker import configuration  # late: it builds its settings from the environment

    app = Celery("chaos", set_as_current=False)
    app.conf.update(configuration.configure(load(environ)))
    app.conf.broker_transport_options["client"] = secrets.token_hex(4)  # a pool of its own, which it closes
    return app


def _dismiss(app: Celery) -> None:
    with suppress(OSError):
        app.backend.result_consumer.stop()
        app.backend.client.close()
        app.pool.force_close_all()
        app.close()
