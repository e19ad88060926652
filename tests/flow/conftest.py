from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nightscan_tasks import backup
from nightscan_tasks.backup import Request
from nightscan_tasks.ledger import Run
from nightscan_tasks.model import Days, Plan, Tier
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from tests.clock import Clock

FILES = Plan(Tier.DAILY, ("user_data", "system_config"), Days(7))


@dataclass
class Site:
    """A small NightScan in a folder, and the systems of the hosts that save it."""

    environ: dict[str, str]
    clock: Clock = field(default_factory=Clock)

    @property
    def root(self) -> Path:
        return Path(self.environ["NIGHTSCAN_ROOT"])

    @property
    def primary(self) -> Path:
        return Path(self.environ["NIGHTSCAN_BACKUP_DIR"])

    @property
    def offsite(self) -> Path:
        return Path(self.environ["NIGHTSCAN_OFFSITE"])

    def system(self, **more: str) -> System:
        return System(load({**self.environ, **more}), self.clock)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    root, etc = tmp_path / "nightscan", tmp_path / "etc"
    for name, content in {"uploads/a.wav": b"a" * 5000, "uploads/b.jpg": b"b" * 3000,
                          "models/m.pt": b"m" * 9000, "config/app.yaml": b"key: value\n"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    etc.mkdir()
    (etc / "crontab").write_text("0 2 * * * root true\n")
    return Site({
        "NIGHTSCAN_ROOT": str(root), "NIGHTSCAN_ETC": str(etc),
        "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), "NIGHTSCAN_OFFSITE": str(tmp_path / "offsite"),
        "NIGHTSCAN_RETRIES": "1", "NIGHTSCAN_RETRY_SECONDS": "1"})


@pytest.fixture
def system(site: Site) -> System:
    return site.system()


@pytest.fixture
def no_sleep() -> Callable[[float], None]:
    return lambda _seconds: None


@pytest.fixture
def opened() -> Callable[[System, Plan], Run]:
    """Open a run of a plan, and start it."""

    def begin(system: System, plan: Plan) -> Run:
        run = backup.open_run(system, Request(plan)).run
        backup.start(system, run)
        return run

    return begin
