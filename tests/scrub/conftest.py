"""A small NightScan with a set in each of its stores, and ways to damage them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks import backup
from nightscan_tasks.backup import Request
from nightscan_tasks.ledger.reads import Scrubbed
from nightscan_tasks.model import Days, Plan, SetId, Tier
from nightscan_tasks.scrub import Wish, scrub
from nightscan_tasks.settings import load
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import System
from nightscan_tasks.workflows import RETENTION

FILES = Plan(Tier.DAILY, ("user_data", "system_config"), Days(7))
EVERYTHING = Wish(everything=True, keep=RETENTION)


@dataclass
class Clock:
    """A clock that a test moves, and that moves by a millisecond whenever it is read."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class Site:
    """A small NightScan in a folder, with a primary store and an offsite one."""

    environ: dict[str, str]
    clock: Clock = field(default_factory=Clock)

    def system(self, **more: str) -> System:
        return System(load({**self.environ, **more}), self.clock)

    def take(self) -> SetId:
        """Take a set; it is in every store, read back and verified."""
        return backup.run_local(self.system(), Request(FILES)).set_id

    def scrub(self, name: str = "primary", wish: Wish = EVERYTHING) -> Scrubbed:
        return scrub(self.system(), name, wish)

    def data(self, store: str, key: str) -> bytes:
        with self.system().store(store).open(key) as chunks:
            return b"".join(map(bytes, chunks))

    def names(self, store: str, set_id: SetId) -> list[str]:
        return [entry.key.rpartition("/")[2] for entry in self.system().store(store).list(f"{set_id}/")]


def flip(data: bytes) -> bytes:
    """One bit in the middle is the other way round."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:]


@dataclass(frozen=True)
class Damage:
    """What happens to an object, whatever the store is."""

    site: Site

    def change(self, store: str, key: str, how: Callable[[bytes], bytes] = flip) -> None:
        self.site.system().store(store).put(key, [how(self.site.data(store, key))])

    def truncate(self, store: str, key: str) -> None:
        self.change(store, key, lambda data: data[:len(data) * 2 // 3])

    def delete(self, store: str, key: str) -> None:
        self.site.system().store(store).delete(key)

    def flip(self, store: str, key: str) -> None:
        self.change(store, key)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    root, etc = tmp_path / "nightscan", tmp_path / "etc"
    for name, content in {"uploads/a.wav": bytes(range(256)) * 40, "uploads/b.jpg": b"b" * 3000,
                          "models/m.pt": b"m" * 9000, "config/app.yaml": b"key: value\n"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    etc.mkdir()
    (etc / "crontab").write_text("0 2 * * * root true\n")
    return {"NIGHTSCAN_ROOT": str(root), "NIGHTSCAN_ETC": str(etc),
            "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), "NIGHTSCAN_OFFSITE": str(tmp_path / "offsite"),
            "NIGHTSCAN_AUDIT_FILE": str(tmp_path / "audit.log"),
            "NIGHTSCAN_USER_DATA_ARCHIVES": "1", "NIGHTSCAN_RETRIES": "0", "NIGHTSCAN_RETRY_SECONDS": "1"}


@pytest.fixture
def site(environ: dict[str, str]) -> Site:
    """Two directories."""
    return Site(environ)


@pytest.fixture
def damage(site: Site) -> Damage:
    return Damage(site)
