from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from nightscan_tasks import backup
from nightscan_tasks.backup import Request
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.ledger import Outcome, Verified
from nightscan_tasks.model import GUIDE_NAME, Artifact, Days, Failure, Manifest, Plan, Report, SetId, Tier
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from tests.clock import Clock

ARTIFACT = "system_config.tar.gz"



@dataclass
class Site:
    """A small NightScan whose configuration and files are saved, into two directory stores."""

    environ: dict[str, str]
    clock: Clock = field(default_factory=Clock)

    def system(self, **more: str) -> System:
        return System(load({**self.environ, **more}), self.clock)

    def forward(self, **by: float) -> None:
        self.clock.now += timedelta(**by)

    def write(self, files: int, each_bytes: int = 100) -> None:
        """Let the application have so many files."""
        uploads = Path(self.environ["NIGHTSCAN_ROOT"], "uploads")
        for path in uploads.iterdir():
            path.unlink()
        for number in range(files):
            (uploads / f"{number}.wav").write_bytes(b"x" * each_bytes)

    def save(self, *components: str, tier: Tier = Tier.DAILY, tag: str | None = None) -> Outcome:
        plan = Plan(tier, components or ("user_data", "system_config"), Days(7))
        return backup.run_local(self.system(), Request(plan, tag))

    def put(self, *, complete: bool = True, offsite: bool = True, damaged: bool = False) -> SetId:
        """A small daily set in every store, as a backup would leave it, and verified."""
        system = self.system()
        now, data = self.clock(), b"a small artifact"
        set_id, digest = SetId.at(Tier.DAILY, now), hashlib.sha256(data).hexdigest()
        artifact = Artifact(ARTIFACT, "system_config", "system_config", 100, digest, len(data), digest)
        manifest = Manifest(
            set_id, str(set_id).replace("/", "-"), complete=complete, opened_at=now, settled_at=now,
            encrypted_for=None, host="h", tag=None, artifacts=(artifact,),
            components={"system_config": Report({"files": 1, "bytes": 100})},
            failures=() if complete else (Failure("redis", "SourceUnavailable", "down", now),))
        for store in system.stores if offsite else (system.primary,):
            store.put(set_id.key(ARTIFACT), [data])
            store.put(set_id.key(GUIDE_NAME), [b"by hand"])
            Catalog(store).publish(manifest)
            problems = ("one bit",) if damaged and store.name == "primary" else ()
            system.ledger.verify(manifest.run_id, Verified(set_id, store.name, now, 16, problems, store.url))
        return set_id

    def days(self, count: int) -> list[SetId]:
        """Such sets of so many days, the newest of now."""
        sets = [self.put()]
        for _ in range(count - 1):
            self.forward(days=1)
            sets.append(self.put())
        return sets


@pytest.fixture
def site(tmp_path: Path) -> Site:
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "crontab").write_text("0 2 * * * root true\n")
    site = Site({
        "NIGHTSCAN_ROOT": str(tmp_path / "nightscan"), "NIGHTSCAN_ETC": str(etc),
        "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), "NIGHTSCAN_OFFSITE": str(tmp_path / "offsite"),
        "NIGHTSCAN_AUDIT_FILE": str(tmp_path / "audit.jsonl")})
    for folder in ("uploads", "models", "config"):
        Path(site.environ["NIGHTSCAN_ROOT"], folder).mkdir(parents=True)
    site.write(20)
    return site
