"""A dump that was tampered with never reaches a server; a drill, a recovery and every command refuse it."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from nightscan_tasks import drill as drills
from nightscan_tasks.backup import Request as BackupRequest
from nightscan_tasks.backup import run_local
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.cli import nightscan as main
from nightscan_tasks.errors import NightscanError, Untrusted
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import FOREVER, Manifest, Plan, SetId, Tier
from nightscan_tasks.restore import Choice, Request, plan_restore, restore
from nightscan_tasks.settings import load
from nightscan_tasks.stores.directory import DirectoryStore
from nightscan_tasks.system import System
from nightscan_tasks.world.keyring import SIGNER

EVIL = b"""CREATE TABLE prediction (id int);
\\! touch {marker}
COPY prediction TO PROGRAM 'touch {marker}';
DROP TABLE IF EXISTS prediction;
-- PostgreSQL database dump complete
"""


class Site:
    """An application with one table, signed sets of it that are not encrypted, and an attacker's store."""

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self.environ = {**environ, "NIGHTSCAN_SIGNING_KEY": SIGNER, "NIGHTSCAN_GPG_RECIPIENT": "",
                        "NIGHTSCAN_OFFSITE": str(folder / "offsite"), "AWS_BACKUP_BUCKET": ""}
        self.folder = folder
        self.marker = folder / "marker"
        self.system = System(load(self.environ))

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.environ["NIGHTSCAN_DATABASE_URI"], autocommit=True) as connection:
            done = connection.execute(statement.encode())
            return list(done.fetchall()) if done.description else []

    def save(self, *components: str) -> SetId:
        plan = Plan(Tier.DAILY, components or ("database", "redis", "user_data"), FOREVER)
        outcome = run_local(self.system, BackupRequest(plan))
        assert outcome.ending is Ending.GOOD, outcome
        return outcome.set_id

    def databases(self) -> list[tuple[object, ...]]:
        return self.sql("SELECT datname FROM pg_database WHERE datname LIKE 'nightscan_%' OR "
                        "datname = current_database() ORDER BY 1")

    def rewrite(self, set_id: SetId, store: str, *, honest: bool) -> None:
        """Exchange the dump; `honest`: leave the manifest as it was signed."""
        folder = self.folder / store / str(set_id)
        evil = gzip.compress(EVIL.replace(b"{marker}", os.fsencode(self.marker)))
        (folder / "database.sql.gz").write_bytes(evil)
        if honest:
            return
        path, plain = folder / "manifest.json", gzip.decompress(evil)
        signature = next(folder.glob("manifest.json.*.asc")).read_bytes()
        facts = json.loads(path.read_text())
        artifact = next(each for each in facts["artifacts"] if each["name"] == "database.sql.gz")
        digest = hashlib.sha256(evil).hexdigest()
        artifact.update(stored_bytes=len(evil), stored_sha256=digest, stored_prefixes=[digest],
                        plain_bytes=len(plain), plain_sha256=hashlib.sha256(plain).hexdigest())
        path.write_text(json.dumps(facts))
        name = f"manifest.json.{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}.asc"
        (folder / name).write_bytes(signature)
        assert isinstance(Catalog(DirectoryStore("x", folder.parents[1])).entries()[0], Manifest)


@pytest.fixture
def site(environ: dict[str, str]) -> Site:
    made = Site(environ, Path(environ["NIGHTSCAN_BACKUP_DIR"]).parent)
    made.sql("CREATE TABLE prediction (id serial PRIMARY KEY, filename text NOT NULL)")
    made.sql("INSERT INTO prediction (filename) VALUES ('a.wav')")
    return made


@pytest.mark.parametrize("honest", [True, False])
def test_a_dump_that_was_exchanged_never_reaches_the_server(site: Site, honest: bool) -> None:
    set_id = site.save("database")
    site.rewrite(set_id, "backups", honest=honest)
    before = site.databases()
    seen: list[str] = []
    with pytest.raises(NightscanError) as told:
        restore(site.system, Request(Choice(), ("database",)), step=seen.append)
    assert ("is damaged between bytes" in str(told.value)) is honest
    assert isinstance(told.value, Untrusted) is not honest
    assert "swapping" not in seen
    assert ("opened" in seen) is honest  # of the other not even the target was looked at
    assert not site.marker.exists()
    assert site.sql("SELECT filename FROM prediction") == [("a.wav",)]
    assert site.databases() == before


def test_a_drill_refuses_it_before_it_starts_a_server(site: Site) -> None:
    set_id = site.save()
    site.rewrite(set_id, "offsite", honest=False)
    held = drills.drill(site.system, store="offsite")
    assert "must not be used" in held.problems[0]
    assert held.components == ()
    assert held.elapsed_seconds < 60
    lost = drills.drill(site.system, simulate_loss=True)
    assert "must not be used" in lost.problems[0]
    assert not site.marker.exists()


def nightscan(site: Site, *words: str) -> tuple[int, str]:
    """The exit status, and what was said, as one line."""
    done = CliRunner().invoke(main, words, env=site.environ)
    return done.exit_code, " ".join(done.output.split())


def test_every_command_that_would_use_it_refuses_and_says_what_to_do(site: Site) -> None:
    set_id = site.save()
    for store in ("backups", "offsite"):
        site.rewrite(set_id, store, honest=False)
    for words in (("restore", "full", "--local"), ("restore", "database", "--dry-run", "--local"),
                  ("recover", "--from", site.environ["NIGHTSCAN_OFFSITE"]), ("files",),
                  ("validate", "--local")):
        status, said = nightscan(site, *words)
        assert status == 1, words
        assert "its signature is not of this manifest" in said, words
        assert "nothing was changed" in said, words
    assert not site.marker.exists()
    assert site.sql("SELECT filename FROM prediction") == [("a.wav",)]
    for status, words in ((0, ("list",)), (3, ("list", "--signatures")), (1, ("verify", "--local")),
                          (3, ("list",))):
        found, said = nightscan(site, *words)
        assert (found, "BAD signature" in said) == (status, status != 0), said


def test_reconciliation_takes_no_file_out_of_it(site: Site) -> None:
    root = Path(site.environ["NIGHTSCAN_ROOT"])
    site.sql("CREATE TABLE detection (id serial PRIMARY KEY, image_url text)")
    (root / "uploads").mkdir(exist_ok=True)
    (root / "uploads/a.wav").write_bytes(b"sound")
    set_id = site.save()
    for store in ("backups", "offsite"):
        site.rewrite(set_id, store, honest=False)
    (root / "uploads/a.wav").unlink()
    _, said = nightscan(site, "reconcile", "--apply", "--local")
    assert "must not be used" in said
    assert not (root / "uploads/a.wav").exists()


def test_a_dry_run_says_who_signed_it_and_how_old_it_is(site: Site) -> None:
    site.save("database")
    (told,) = plan_restore(site.system, Request(Choice(), ("database",))).notes
    assert "was taken" in told
    assert "signed by key" in told


