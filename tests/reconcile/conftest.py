from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psycopg
import pytest

from nightscan_tasks import settings
from nightscan_tasks.backup.local import run_local
from nightscan_tasks.backup.opening import Request
from nightscan_tasks.model import FOREVER, Plan, SetId, Tier
from nightscan_tasks.reconcile import Reconciled, reconcile_live
from nightscan_tasks.restore.reading import plain
from nightscan_tasks.system import System
from tests.clock import wait_for_age

_NAMES = ("2026/a.wav", "2026/b.wav", "c.jpg")
_TABLES = """
CREATE TABLE prediction (id serial PRIMARY KEY, filename text);
CREATE TABLE detection (id serial PRIMARY KEY, image_url text);
"""


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system; it is gone afterwards."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        if Path(folder).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is but one file system")
        yield Path(folder)


@pytest.fixture
def opened() -> Callable[[Path], AbstractContextManager[int]]:
    """A folder as a descriptor, for as long as the context lasts."""
    @contextmanager
    def open_folder(path: Path) -> Iterator[int]:
        descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    return open_folder


@dataclass
class Application:
    """Rows, files and sets that a test changes. Its clock is two hours on: no file is fresh."""

    environ: dict[str, str]
    now: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(hours=2))

    @property
    def in_order_files(self) -> dict[str, str]:
        """What `files` answers where nothing was lost."""
        return {path: f"content of {path}" for path in _NAMES}

    @property
    def root(self) -> Path:
        return Path(self.environ["NIGHTSCAN_ROOT"])

    @property
    def quarantine(self) -> Path:
        return self.root / ".nightscan_quarantine" / f"{self.now:%Y-%m-%d}"

    def system(self) -> System:
        def clock() -> datetime:
            self.now += timedelta(milliseconds=1)
            return self.now

        return System(settings.load(self.environ), clock)

    def execute(self, statement: str, *values: object) -> None:
        with psycopg.connect(self.environ["NIGHTSCAN_DATABASE_URI"]) as connection:
            connection.execute(statement.encode(), values or None)

    def name(self, *values: str, table: str = "prediction", column: str = "filename") -> None:
        """Rows that name files."""
        for value in values:
            self.execute(f"INSERT INTO {table} ({column}) VALUES (%s)", value)  # noqa: S608 - a test's own

    def write(self, path: str, content: str = "") -> Path:
        """A file below uploads."""
        file = self.root / "uploads" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content or f"content of {path}")
        return file

    def save(self, tier: Tier = Tier.DAILY) -> SetId:
        """Take a set of the files."""
        self.now += timedelta(seconds=2)
        wait_for_age(self.root / "uploads")
        plan = Plan(tier, ("user_data",), FOREVER, builds_on=(Tier.DAILY,) if tier is Tier.DAILY else ())
        return run_local(self.system(), Request(plan)).set_id

    def reconcile(self, *, apply: bool = False) -> Reconciled:
        system = self.system()
        return reconcile_live(system, partial(plain, system), apply=apply)

    def files(self) -> dict[str, str]:
        """Every file below uploads and in the quarantine, by path, with its content."""
        found = {}
        for base in (self.root / "uploads", self.quarantine):
            for folder, _, names in os.walk(base):
                for name in names:
                    path = Path(folder, name)
                    prefix = "quarantine/" if base == self.quarantine else ""
                    found[f"{prefix}{path.relative_to(base)}"] = path.read_text()
        return found


@pytest.fixture
def application(database: str, tmp_path: Path) -> Application:
    """An application with three files and their rows, two stores, and no set."""
    root = tmp_path / "nightscan"
    (tmp_path / "scratch").mkdir()
    made = Application({
        "NIGHTSCAN_DATABASE_URI": database, "NIGHTSCAN_ROOT": str(root),
        "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), "NIGHTSCAN_OFFSITE": str(tmp_path / "offsite"),
        "NIGHTSCAN_TEMP_DIR": str(tmp_path / "scratch"), "NIGHTSCAN_USER_DATA": "uploads",
        "NIGHTSCAN_RUNTIME_DIR": str(tmp_path / "run"), "NIGHTSCAN_RETRIES": "0"})
    made.execute(_TABLES)
    for path in _NAMES:
        made.write(path)
    made.name("2026/a.wav", "uploads/2026/b.wav")
    made.name("/uploads/c.jpg?v=2", table="detection", column="image_url")
    return made


@pytest.fixture
def application_of() -> Callable[[dict[str, str]], Application]:
    """The application that settings speak of."""
    return Application
