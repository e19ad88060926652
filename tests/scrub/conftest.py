"""A small NightScan with a set in each of its stores, and ways to damage them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks import backup
from nightscan_tasks.backup import Request
from nightscan_tasks.ledger import Verified
from nightscan_tasks.ledger.reads import Scrubbed
from nightscan_tasks.model import Chunks, Days, Plan, SetId, Tier
from nightscan_tasks.scrub import Wish, scrub
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.workflows import RETENTION
from tests.clock import Clock

FILES = Plan(Tier.DAILY, ("user_data", "system_config"), Days(7))
EVERYTHING = Wish(everything=True, keep=RETENTION)


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

    def scrub(self, name: str = "primary", wish: Wish = EVERYTHING, **more: str) -> Scrubbed:
        return scrub(self.system(**more), name, wish)

    def verified(self, store: str, set_id: SetId) -> Verified | None:
        """What the ledger says of a set in a store."""
        return self.system().ledger.verified(str(set_id).replace("/", "-"), store)

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

    def at(self, store: str, key: str, *places: int) -> None:
        """One bit each, at so many bytes from the beginning."""
        def change(data: bytes) -> bytes:
            changed = bytearray(data)
            for place in places:
                changed[place] ^= 8
            return bytes(changed)
        self.change(store, key, change)

    def delete(self, store: str, key: str) -> None:
        self.site.system().store(store).delete(key)

    def flip(self, store: str, key: str) -> None:
        self.change(store, key)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    root, etc = tmp_path / "nightscan", tmp_path / "etc"
    sound = random.Random(1).randbytes(60_000)  # nothing shrinks it
    for name, content in {"uploads/a.wav": sound, "uploads/b.jpg": b"b" * 3000,
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


@dataclass
class Faulty:
    """A store that does something else before it opens or looks. Everything else is the real one's."""

    real: Any
    before: Callable[[str], None] = lambda _key: None
    through: Callable[[str, Chunks], Chunks] = lambda _key, chunks: chunks

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def stat(self, key: str) -> Any:
        self.before(key)
        return self.real.stat(key)

    @contextmanager
    def open(self, key: str) -> Iterator[Chunks]:
        self.before(key)
        with self.real.open(key) as chunks:
            yield self.through(key, chunks)


@pytest.fixture
def faulty(site: Site) -> Callable[..., System]:
    """`faulty("primary", before=…)`: the site's system, with one store that does as it is told."""

    def make(name: str, **what: Any) -> System:
        system = site.system()
        if name == "primary":
            system.__dict__["primary"] = Faulty(system.primary, **what)
        else:
            system.__dict__["offsites"] = (Faulty(system.offsites[0], **what),)
        return system

    return make


@pytest.fixture
def damage(site: Site) -> Damage:
    return Damage(site)
