from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nightscan_tasks import backup
from nightscan_tasks.backup import Request
from nightscan_tasks.components.files import fingerprint_tree
from nightscan_tasks.components.files_unpacking import unpack_into
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import Days, Json, Manifest, Plan, Tier
from nightscan_tasks.restore.reading import SetSource
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from tests.clock import Clock, wait_for_age

FILES = Plan(Tier.DAILY, ("user_data",), Days(7), builds_on=(Tier.DAILY,))
_BASH = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Site:
    """User data in a folder, a primary store, an offsite one, and nights that a test lets pass."""

    folder: Path
    more: dict[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)

    @property
    def root(self) -> Path:
        return self.folder / "nightscan"

    @property
    def cache(self) -> Path:
        return self.root / ".nightscan_state"

    @property
    def system(self) -> System:
        return System(load({
            "NIGHTSCAN_ROOT": str(self.root), "NIGHTSCAN_BACKUP_DIR": str(self.folder / "backups"),
            "NIGHTSCAN_OFFSITE": str(self.folder / "offsite"), "NIGHTSCAN_RETRIES": "1",
            "NIGHTSCAN_RETRY_SECONDS": "1", **self.more}), self.clock)

    def write(self, **files: bytes) -> None:
        """`a__b` is the file `b` of `uploads/a`."""
        for name, content in files.items():
            path = self.root / "uploads" / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def settle(self) -> None:
        """Wait until what was changed a moment ago is no longer so new that it would be saved again."""
        wait_for_age(self.root)

    def save(self, *, rehash: bool = False, ending: Ending = Ending.GOOD, days: float = 1) -> Manifest:
        """A night's set, a day after the last."""
        self.settle()
        self.clock.forward(days=days)
        outcome = backup.run_local(self.system, Request(FILES, rehash=rehash), sleep=lambda _seconds: None)
        assert outcome.ending is ending, outcome
        return self.system.catalog().get(outcome.set_id)

    def live(self) -> dict[str, Json]:
        """What is there now, as a set would have it."""
        return self.system.component("user_data").fingerprint()  # type: ignore[attr-defined,no-any-return]  # files have it

    def restored(self, manifest: Manifest, *, store: str = "primary") -> dict[str, Json]:
        """What a restore of a set gives."""
        target = self.folder / f"restored-{store}-{manifest.run_id}"
        unpack_into(target, SetSource(self.system, self.system.catalog(store), manifest, "user_data"),
                    "user_data", "test")
        return fingerprint_tree(target)

    def by_hand(self, manifest: Manifest, *, store: str = "backups") -> dict[str, Json]:
        """What the set's own guide gives, its commands run in one shell, in the set's folder."""
        folder = self.folder / store / str(manifest.set_id)
        target = self.folder / f"by-hand-{store}-{manifest.run_id}"
        script = "\n".join(_BASH.findall((folder / "RESTORE.md").read_text()))
        done = subprocess.run(["bash", "-c", script], cwd=folder, text=True, capture_output=True, check=False,  # noqa: S607 - bash
                              env={**os.environ, "RESTORED": str(target)})
        assert done.returncode == 0, script + done.stdout + done.stderr
        return fingerprint_tree(target / "user_data")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    made.write(a=b"a" * 5000, b=b"b" * 3000, deep__c=b"c" * 100, deep__er__d=b"d")
    for name in ("models", "config", "logs"):
        (made.root / name).mkdir()
    (made.root / "models" / "m.pt").write_bytes(os.urandom(300_000))
    return made
