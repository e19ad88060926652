"""What becomes of signatures on their way: into copies, through settling, into listings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nightscan_tasks import backup, wire
from nightscan_tasks.backup.sealing import unsealed
from nightscan_tasks.catalog import Catalog, signature_name
from nightscan_tasks.errors import Untrusted
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import FOREVER, GUIDE_NAME, MANIFEST_NAME, Plan, Tier
from nightscan_tasks.replication import copy_set
from nightscan_tasks.restore.recovering import recover
from nightscan_tasks.signatures import Seal
from nightscan_tasks.verification import verify_set

HOST, OTHER = "host@nightscan.example.org", "other@nightscan.example.org"


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
    assert host.unpack(system, store="offsite").store == "offsite"


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
        host.unpack(host.system)


def test_settling_again_signs_nothing_that_others_wrote(host: Any) -> None:
    set_id = host.save()
    host.edit(set_id, lambda facts: facts.update(host="evil"))
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
    run = backup.open_run(system, backup.Request(Plan(Tier.DAILY, ("system_config",), FOREVER))).run
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
