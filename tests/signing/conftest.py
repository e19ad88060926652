"""A key ring with keys of every kind, and small sets in two directories that a host signs."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks import wire
from nightscan_tasks.backup import Request, run_local
from nightscan_tasks.catalog import Catalog, signature_name
from nightscan_tasks.codec import end_agent
from nightscan_tasks.ledger import Ending, Outcome
from nightscan_tasks.model import FOREVER, GUIDE_NAME, MANIFEST_NAME, Manifest, Plan, SetId, Tier
from nightscan_tasks.restore import Choice, Targets, restore
from nightscan_tasks.restore import Request as RestoreRequest
from nightscan_tasks.settings import load
from nightscan_tasks.system import System

HOST, OTHER = "host@nightscan.example.org", "other@nightscan.example.org"
CONFIG = Plan(Tier.DAILY, ("system_config",), FOREVER)
THEN = "20240101T000000"


@dataclass(frozen=True)
class Keys:
    """A key ring of its own."""

    home: Path

    def gpg(self, *words: str, feed: bytes = b"") -> bytes:
        return subprocess.run(
            [shutil.which("gpg") or "gpg", "--homedir", str(self.home), "--batch", "--no-tty", "--quiet",
             "--pinentry-mode", "loopback", *words], input=feed, capture_output=True, check=True).stdout

    def make(self, name: str, *words: str, passphrase: str = "", use: str = "sign",
             expires: str = "never") -> None:
        self.gpg(*words, "--passphrase", passphrase, "--quick-gen-key", name, "ed25519", use, expires)

    def fingerprint(self, name: str, row: int = 0) -> str:
        listed = self.gpg("--with-colons", "--list-keys", f"<{name}>").decode().splitlines()
        return [line for line in listed if line.startswith("fpr")][row].split(":")[9]

    def sign(self, name: str, data: bytes, *words: str) -> bytes:
        return self.gpg(*words, "--local-user", f"<{name}>", "--armor", "--detach-sign", feed=data)

    def revoke(self, name: str) -> None:
        certificate = self.home / "openpgp-revocs.d" / f"{self.fingerprint(name)}.rev"
        self.gpg("--import", feed=certificate.read_bytes().replace(b":-----BEGIN", b"-----BEGIN"))


@pytest.fixture(scope="session")
def new_ring() -> Iterator[Callable[[], Keys]]:
    """Makes key rings; in short paths, since the agent's socket has to fit into 107 bytes."""
    made: list[tempfile.TemporaryDirectory[str]] = []

    def make() -> Keys:
        folder = tempfile.TemporaryDirectory(prefix="g")
        made.append(folder)
        Path(folder.name).chmod(0o700)
        return Keys(Path(folder.name))

    yield make
    for folder in made:
        end_agent(Path(folder.name))
        folder.cleanup()


@pytest.fixture(scope="session")
def keys(new_ring: Callable[[], Keys]) -> Keys:
    """A key of this host, one of somebody else's, one with a passphrase, one that expired, one revoked."""
    keys = new_ring()
    for name in (HOST, OTHER, "revoked@nightscan.example.org"):
        keys.make(name)
    keys.make("locked@nightscan.example.org", passphrase="open sesame")
    keys.make("expired@nightscan.example.org", "--faked-system-time", THEN, expires="30d")
    keys.make("backup@nightscan.com", use="cert")
    keys.gpg("--passphrase", "", "--quick-add-key", keys.fingerprint("backup@nightscan.com"), "cv25519")
    (keys.home / "secret").write_text("open sesame")
    return keys


@dataclass
class Host:
    """A host that backs up its configuration into two directories, and what an attacker does to them."""

    folder: Path
    keys: Keys
    environ: dict[str, str]
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    @property
    def system(self) -> System:
        return System(load(self.environ), self.clock)

    def with_settings(self, **more: str) -> System:
        return System(load({**self.environ, **more}), self.clock)

    def save(self, *, days_ago: int = 0, tier: Tier = Tier.DAILY, **settings: str) -> SetId:
        outcome = self.run(days_ago=days_ago, tier=tier, **settings)
        assert outcome.ending is Ending.GOOD, outcome
        return outcome.set_id

    def run(self, *, days_ago: int = 0, tier: Tier = Tier.DAILY, **settings: str) -> Outcome:
        system = System(load({**self.environ, **settings}), lambda: self.clock() - timedelta(days=days_ago))
        return run_local(system, Request(Plan(tier, CONFIG.components, FOREVER)))

    def path(self, set_id: SetId, name: str = MANIFEST_NAME, store: str = "backups") -> Path:
        return self.folder / store / str(set_id) / name

    def signature(self, set_id: SetId, name: str = MANIFEST_NAME, store: str = "backups") -> Path:
        data = self.path(set_id, name, store).read_bytes()
        return self.path(set_id, signature_name(name, data), store)

    def artifact(self, set_id: SetId, store: str = "backups") -> Path:
        return next(path for path in self.path(set_id, "", store).iterdir() if ".tar.gz" in path.name)

    def edit(self, set_id: SetId, change: Callable[[dict[str, Any]], None], store: str = "backups") -> None:
        """What anybody can do who can write to the store."""
        path = self.path(set_id, store=store)
        facts = json.loads(path.read_text())
        change(facts)
        path.write_text(json.dumps(facts))

    def resign(self, set_id: SetId, manifest: Manifest | None = None, by: str = HOST, *words: str,
               store: str = "backups") -> None:
        """What only somebody with a key can do: write a manifest, or keep the one there is, and sign it."""
        path = self.path(set_id, store=store)
        if manifest is not None:
            path.write_bytes(wire.encode(manifest))
        self.signature(set_id, store=store).write_bytes(self.keys.sign(by, path.read_bytes(), *words))

    def unpack(self, system: System, **choice: Any) -> Any:
        """A restore of the configuration into a folder."""
        targets = Targets(root=self.folder / "unpacked")
        return restore(system, RestoreRequest(Choice(**choice), ("system_config",), targets))

    def unsign(self, set_id: SetId, store: str = "backups") -> None:
        self.signature(set_id, store=store).unlink()
        self.signature(set_id, GUIDE_NAME, store).unlink()


@pytest.fixture
def host(tmp_path: Path, keys: Keys) -> Host:
    """A host that signs, with a little configuration, not encrypted."""
    root, etc = tmp_path / "nightscan", tmp_path / "etc"
    root.mkdir()
    etc.mkdir()
    (etc / "crontab").write_text("0 2 * * * root true\n" * 50)
    (tmp_path / "scratch").mkdir()
    return Host(tmp_path, keys, {
        "NIGHTSCAN_ROOT": str(root), "NIGHTSCAN_ETC": str(etc),
        "NIGHTSCAN_TEMP_DIR": str(tmp_path / "scratch"),
        "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), "NIGHTSCAN_OFFSITE": str(tmp_path / "offsite"),
        "NIGHTSCAN_GPG_HOME": str(keys.home), "NIGHTSCAN_SIGNING_KEY": HOST})


@pytest.fixture
def catalog(host: Host) -> Catalog:
    return host.system.catalog()
