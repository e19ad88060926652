"""What stands in a restore's way leaves what is live as it was, and is named with its remedy."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from nightscan_tasks import rotation
from nightscan_tasks.codec.keys import end_agent
from nightscan_tasks.errors import EncryptionFailed, NightscanError, RestoreRefused
from nightscan_tasks.model import Days, Tier
from nightscan_tasks.process import run
from nightscan_tasks.restore import Choice, Request, restore, rollback
from nightscan_tasks.restore.putting_right import put_right
from nightscan_tasks.system import System, utc_now
from nightscan_tasks.workflows.restore import wanted

States = tuple[dict[str, str], dict[str, str]]


@pytest.fixture
def guarded(site: Any, tmp_path: Path) -> Iterator[Any]:
    """A site whose key has a passphrase, which no agent knows; changed since it was saved."""
    home = tmp_path / "guarded"
    home.mkdir(mode=0o700)
    run(["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback",
         "--passphrase", "hoot", "--quick-generate-key", "backup@nightscan.com", "rsa2048", "encr", "never"])
    end_agent(home)
    site.environ |= {"NIGHTSCAN_GPG_HOME": str(home)}
    site.system = site.with_settings()
    site.save()
    site.change()
    yield site
    end_agent(home)


def test_a_wrong_passphrase_is_named_and_the_right_one_restores(guarded: Any, states: States,
                                                                tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("wrong\n")
    system = guarded.with_settings(NIGHTSCAN_GPG_PASSPHRASE_FILE=str(secret))
    with pytest.raises(NightscanError, match="passphrase"):
        restore(system, Request(Choice()))
    assert guarded.state() == states[1]
    secret.write_text("hoot\n")
    restore(system, Request(Choice()))
    assert guarded.state() == states[0]


def test_without_the_private_key_nothing_is_changed(saved: Any, states: States, tmp_path: Path) -> None:
    home = tmp_path / "empty-ring"
    home.mkdir(mode=0o700)
    with pytest.raises(EncryptionFailed, match="private key has to be in the key ring"):
        restore(saved.with_settings(NIGHTSCAN_GPG_HOME=str(home)), Request(Choice()))
    end_agent(home)
    assert saved.state() == states[1]


def test_a_missing_archive_of_several_is_named_and_the_whole_copy_is_offered(saved: Any,
                                                                             states: States) -> None:
    (manifest,) = saved.system.catalog().sets()
    Path(saved.environ["NIGHTSCAN_BACKUP_DIR"], str(manifest.set_id), "user_data.01.tar.gz.gpg").unlink()
    with pytest.raises(NightscanError, match=r"user_data\.01") as caught:
        restore(saved.system, Request(Choice()))
    assert f"--set {manifest.set_id} --from offsite" in str(caught.value)
    assert saved.state() == states[1]


def test_a_full_disk_leaves_the_old_files_and_no_rubbish(saved: Any, states: States, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    made = subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(small)],
                          capture_output=True, check=False)
    if made.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        system = saved.with_settings(NIGHTSCAN_ROOT=str(small))
        with pytest.raises(NightscanError, match="free"):
            restore(system, Request(Choice(), ("user_data",)))
        assert {path.name for path in small.iterdir()} <= {".nightscan_audit"}  # the try is on record
    finally:
        subprocess.run(["/bin/umount", str(small)], check=True)
    assert saved.state() == states[1]


def test_a_database_that_is_in_use_is_swapped_and_its_sessions_end(saved: Any, states: States) -> None:
    with psycopg.connect(saved.environ["NIGHTSCAN_DATABASE_URI"]) as session:
        session.execute("SELECT * FROM prediction FOR UPDATE")
        restore(saved.system, Request(Choice(), ("database",)))
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert saved.state()["database"] == "saved"


def test_a_role_without_rights_is_told_what_it_needs(saved: Any, postgres_server: Any,
                                                     states: States) -> None:
    with psycopg.connect(postgres_server.superuser_dsn(), autocommit=True) as admin:
        admin.execute("ALTER ROLE nightscan NOCREATEDB")
        try:
            with pytest.raises(RestoreRefused, match=r"ALTER ROLE .*CREATEDB"):
                restore(saved.system, Request(Choice(), ("database",)))
        finally:
            admin.execute("ALTER ROLE nightscan CREATEDB")
    assert saved.state() == states[1]


def test_retention_leaves_a_set_alone_while_it_is_restored(saved: Any) -> None:
    settings = saved.system.settings.model_copy(update={"minimum_good": 1})
    later = System(settings, clock=lambda: utc_now() + timedelta(days=1))
    saved.save("system_config")  # newer, and kept: the older one is due
    keep = dict.fromkeys(Tier, Days(0)) | {Tier.MANUAL: Days(1)}

    def due() -> list[str]:
        return [str(each) for each in rotation.plan(later, later.primary, keep).remove]

    during: list[list[str]] = []
    before = due()
    done = restore(later, Request(Choice()), step=lambda _done: during.append(due()))
    assert before == due() == [done.set_id]
    assert during[1] == []


def test_two_restores_at_once_are_one_too_many(saved: Any, states: States) -> None:
    refused: list[str] = []

    def second(done: str) -> None:
        if done == "staged database":
            with pytest.raises(RestoreRefused) as caught:
                restore(saved.system, Request(Choice()))
            refused.append(str(caught.value))

    first = restore(saved.system, Request(Choice()), step=second)
    assert first.run_id in refused[0]
    assert saved.state() == states[0]


def test_two_that_begin_in_the_same_moment_are_one_restore(saved: Any, states: States) -> None:
    ended: list[str] = []

    def begin() -> None:
        try:
            ended.append(restore(saved.system, Request(Choice(), ("redis",))).ending.value)
        except RestoreRefused:
            ended.append("refused")

    threads = [threading.Thread(target=begin) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "restored" in ended
    assert saved.state()["redis"] == states[0]["redis"]


def test_a_primary_store_that_is_gone_is_no_reason_not_to_restore_from_another(saved: Any,
                                                                               states: States) -> None:
    backups = Path(saved.environ["NIGHTSCAN_BACKUP_DIR"])
    backups.rename(backups.with_name("lost"))
    backups.write_text("a disk that is no folder any more")
    system = saved.with_settings()
    done = restore(system, wanted(store="offsite", safety=False))
    assert saved.state() == states[0]
    assert any("is recorded in" in note for note in done.notes)
    rollback(system, done.run_id)
    assert saved.state() == states[1]


def test_what_rows_name_is_not_put_right_while_a_restore_exchanges_folders(saved: Any) -> None:
    def second(done: str) -> None:
        if done == "staged database":
            put_right(saved.system)  # looking is allowed
            with pytest.raises(RestoreRefused, match="is restoring to the same place"):
                put_right(saved.system, apply=True)

    restore(saved.system, Request(Choice()), step=second)
    assert put_right(saved.system, apply=True).in_order
