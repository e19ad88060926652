"""A run from opening to its manifest: whatever is repeated, lost or broken on the way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks import backup
from nightscan_tasks.backup import Request
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import Busy, LeaseLost, NightscanError, NotFound
from nightscan_tasks.ledger import Ending, Run
from nightscan_tasks.model import Days, Plan, Tier
from nightscan_tasks.replication import missing, replicate_set
from nightscan_tasks.restore import Choice, choose
from nightscan_tasks.system import System
from nightscan_tasks.verification import verify_set

FILES = Plan(Tier.DAILY, ("user_data", "system_config"), Days(7))
WEEKLY = Plan(Tier.WEEKLY, ("system_config",), Days(28))
MONTHLY = Plan(Tier.MONTHLY, ("system_config",), Days(365))


def opened(system: System, plan: Plan = FILES) -> Run:
    run = backup.open_run(system, Request(plan)).run
    backup.start(system, run)
    return run


def done(system: System, run: Run) -> None:
    for part in run.parts:
        backup.dump(system, run.run_id, part)
        for store in run.offsites:
            backup.upload(system, run.run_id, part, store)


def test_a_run_ends_as_a_verified_set_in_every_store(system: System) -> None:
    outcome = backup.run_local(system, Request(FILES))
    assert outcome.ending == Ending.GOOD
    assert outcome.stores == ("primary", "offsite")
    for store in system.stores:
        manifest = Catalog(store).pick(tier=Tier.DAILY)
        assert manifest.complete
        assert {a.part for a in manifest.artifacts} == {"user_data.00", "user_data.01", "system_config"}
        assert verify_set(Catalog(store), manifest, clock=system.clock).problems == ()
        assert system.ledger.verified(outcome.run_id, store.name) is not None


def test_a_set_says_what_it_holds_and_that_it_is_not_encrypted(system: System, site: Any) -> None:
    outcome = backup.run_local(system, Request(FILES))
    manifest = json.loads((site.primary / str(outcome.set_id) / "manifest.json").read_text())
    assert manifest["encrypted_for"] is None
    assert manifest["components"]["user_data"]["fingerprint"]["files"] == 4
    assert manifest["format_version"] == 1
    guide = (site.primary / str(outcome.set_id) / "RESTORE.md").read_text()
    assert "not encrypted" in guide
    for artifact in manifest["artifacts"]:
        assert artifact["stored_sha256"] in guide


def test_no_reader_sees_a_set_before_its_manifest(system: System) -> None:
    run = opened(system)
    done(system, run)
    assert all(Catalog(store).sets() == [] for store in system.stores)
    backup.settle(system, run.run_id)
    assert all(len(Catalog(store).sets()) == 1 for store in system.stores)


def test_the_newest_set_is_linked(system: System, site: Any) -> None:
    outcome = backup.run_local(system, Request(FILES))
    link = site.primary / "latest_system_config.tar.gz"
    assert link.is_symlink()
    assert str(outcome.set_id) in str(link.resolve())


def test_a_second_request_joins_the_run_that_is_there(system: System) -> None:
    first = backup.open_run(system, Request(FILES))
    second = backup.open_run(system, Request(FILES))
    assert not first.joined
    assert second.joined
    assert second.run == first.run
    assert not backup.open_run(system, Request(FILES, tag="v1")).joined


def test_of_many_requests_at_once_one_opens_a_run(site: Any) -> None:
    def ask(_number: int) -> str:
        system = site.system()
        while True:
            try:
                return backup.open_run(system, Request(FILES)).run.run_id
            except Busy:
                continue

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1


def test_sunday_the_first_three_tiers_queue_and_none_is_lost(system: System) -> None:
    runs = [backup.open_run(system, Request(plan)).run for plan in (FILES, WEEKLY, MONTHLY)]
    backup.start(system, runs[0])
    for waiting in runs[1:]:
        with pytest.raises(Busy):
            backup.start(system, waiting)
    for run in runs:
        assert run.run_id in [todo.run_id for todo in backup.reap(system) if todo.start] or run == runs[0]
        backup.start(system, run)
        done(system, run)
        outcome = backup.settle(system, run.run_id)
        assert outcome is not None
        assert outcome.ending == Ending.GOOD
    assert {each.set_id.tier for each in system.catalog().sets()} == {"daily", "weekly", "monthly"}


def test_who_came_later_waits_behind_who_came_earlier(system: System) -> None:
    first, second, third = (backup.open_run(system, Request(plan)).run for plan in (FILES, WEEKLY, MONTHLY))
    backup.start(system, first)
    done(system, first)
    backup.settle(system, first.run_id)
    with pytest.raises(Busy, match=second.run_id):
        backup.start(system, third)
    backup.start(system, second)


def test_doing_a_part_again_changes_nothing(system: System, site: Any) -> None:
    run = opened(system)
    record = backup.dump(system, run.run_id, "system_config")
    path = site.primary / str(run.set_id) / record.artifacts[0].name
    before = path.stat()
    assert backup.dump(system, run.run_id, "system_config") == record
    assert path.stat().st_ino == before.st_ino


def test_an_artifact_without_a_record_is_dumped_again(system: System, site: Any) -> None:
    run = opened(system)
    backup.dump(system, run.run_id, "system_config")
    (site.primary / "runs" / run.run_id / "part.system_config.json").unlink()  # killed just before it
    record = backup.dump(system, run.run_id, "system_config")
    assert backup.settle(system, run.run_id) is None
    assert record.artifacts


@pytest.mark.parametrize("damage", ["delete", "replace"])
def test_a_record_whose_artifact_is_not_the_one_it_was_written_for_counts_for_nothing(
        system: System, site: Any, damage: str) -> None:
    run = opened(system, WEEKLY)
    done(system, run)
    (path,) = (site.primary / str(run.set_id)).glob("system_config.tar.gz")
    data = path.read_bytes()
    path.unlink()
    if damage == "replace":  # a try that was thought dead came back to life, and wrote its own
        path.write_bytes(data)
    assert backup.settle(system, run.run_id) is None
    done(system, run)
    outcome = backup.settle(system, run.run_id)
    assert outcome is not None
    assert outcome.ending == Ending.GOOD


def test_a_part_that_is_dumped_again_is_copied_again(system: System, site: Any) -> None:
    run = opened(system, WEEKLY)
    done(system, run)
    (path,) = (site.primary / str(run.set_id)).glob("system_config.tar.gz")
    content = site.root.parent / "etc" / "crontab"
    content.write_bytes(bytes(reversed(content.read_bytes())))  # as long as it was, and not the same
    path.unlink()
    backup.dump(system, run.run_id, "system_config")
    assert backup.settle(system, run.run_id) is None
    done(system, run)
    outcome = backup.settle(system, run.run_id)
    assert outcome is not None
    assert outcome.ending == Ending.GOOD
    for store in system.stores:
        catalog = Catalog(store)
        assert verify_set(catalog, catalog.get(run.set_id), clock=system.clock).problems == ()


def test_two_that_dump_the_same_part_at_once_leave_one_whole_part(system: System, site: Any) -> None:
    run = opened(system)

    def attempt(_number: int) -> str:
        try:
            backup.dump(site.system(), run.run_id, "user_data.00")
        except Busy:
            return "busy"
        return "saved"

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(attempt, range(4)))
    assert "saved" in results
    record = system.ledger.part(run.run_id, "user_data.00")
    assert record is not None
    backup.dump(system, run.run_id, "user_data.01")
    backup.dump(system, run.run_id, "system_config")
    assert not [w for w in backup.reap(system) if w.settle]  # the copies are missing yet


def test_settling_twice_at_once_writes_one_manifest_and_one_outcome(system: System, site: Any) -> None:
    run = opened(system)
    done(system, run)
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _n: backup.settle(site.system(), run.run_id), range(4)))
    assert all(outcome == outcomes[0] for outcome in outcomes)


def test_a_settle_that_died_after_the_manifest_is_finished_by_the_next(system: System, site: Any) -> None:
    run = opened(system)
    done(system, run)
    backup.settle(system, run.run_id)
    (site.primary / "runs" / run.run_id / "settled.json").unlink()
    (site.primary / "open" / run.run_id).parent.mkdir(exist_ok=True)
    (site.primary / "open" / run.run_id).write_text("\n")
    assert [todo.settle for todo in backup.reap(system)] == [True]
    outcome = backup.settle(system, run.run_id)
    assert outcome is not None
    assert outcome.ending == Ending.GOOD
    assert backup.reap(system) == []


def test_a_run_that_lost_its_lease_publishes_nothing(system: System, site: Any) -> None:
    run = opened(system)
    done(system, run)
    site.clock.forward(hours=1)
    system.leases.acquire("backup", "somebody else")
    assert backup.settle(system, run.run_id) is None
    assert system.catalog().sets() == []
    outcome = backup.settle(system, run.run_id, final=True)
    assert outcome is not None
    assert outcome.ending == Ending.FAILED
    assert outcome.failures[0].error == "LeaseLost"
    assert system.catalog().sets() == []


def test_a_run_that_lost_its_lease_waits_for_it_and_ends_with_what_it_saved(
        system: System, site: Any) -> None:
    run = opened(system)
    done(system, run)
    site.clock.forward(hours=1)  # nothing was heard of it: the broker was away
    other = backup.open_run(system, Request(WEEKLY)).run
    held = system.leases.acquire("backup", other.run_id)
    assert [todo.start for todo in backup.reap(system) if todo.run_id == run.run_id] == [True]
    with pytest.raises(Busy):
        backup.start(system, run)
    system.leases.release(held)
    backup.start(system, run)
    outcome = backup.settle(system, run.run_id)
    assert outcome is not None
    assert outcome.ending == Ending.GOOD


def test_a_part_of_a_run_that_is_over_is_not_dumped(system: System) -> None:
    run = opened(system, WEEKLY)
    done(system, run)
    backup.settle(system, run.run_id)
    with pytest.raises(LeaseLost, match="has ended"):
        backup.dump(system, run.run_id, "system_config")


def test_a_failed_component_leaves_the_others_and_no_good_set(
        site: Any, no_sleep: Callable[[float], None]) -> None:
    site.environ["NIGHTSCAN_ETC"] = str(site.root / "config" / "app.yaml")  # a file where a folder should be
    system = site.system()
    outcome = backup.run_local(system, Request(FILES), sleep=no_sleep)
    assert outcome.ending == Ending.INCOMPLETE
    assert [failure.part for failure in outcome.failures if "@" not in failure.part] == ["system_config"]
    (manifest,) = system.catalog().sets()
    assert not manifest.complete
    assert {artifact.component for artifact in manifest.artifacts} == {"user_data"}
    with pytest.raises(NotFound, match="0 complete"):
        system.catalog().pick(tier=Tier.DAILY)
    with pytest.raises(NightscanError):
        choose(system, Choice(set_id=manifest.set_id), ("system_config",))


def test_when_nothing_could_be_saved_there_is_no_set_and_the_run_failed(
        site: Any, no_sleep: Callable[[float], None]) -> None:
    shutil.rmtree(site.root)
    site.environ["NIGHTSCAN_ETC"] = str(site.root)
    outcome = backup.run_local(site.system(), Request(FILES), sleep=no_sleep)
    assert outcome.ending == Ending.FAILED
    assert {failure.part for failure in outcome.failures} >= {"user_data.00", "user_data.01", "system_config"}
    assert site.system().catalog().sets() == []


def test_an_offsite_store_that_is_down_degrades_the_run_and_gets_its_copy_later(
        site: Any, no_sleep: Callable[[float], None]) -> None:
    site.offsite.write_text("not a folder")
    system = site.system()
    outcome = backup.run_local(system, Request(FILES), sleep=no_sleep)
    assert outcome.ending == Ending.DEGRADED
    assert outcome.stores == ("primary",)
    assert any("@offsite" in failure.part for failure in outcome.failures)
    site.offsite.unlink()
    (behind,) = missing(system, system.offsites[0])
    replicate_set(system, behind, system.offsites[0])
    assert missing(system, system.offsites[0]) == []
    copied = Catalog(system.offsites[0])
    assert verify_set(copied, copied.pick(), clock=system.clock).problems == ()


def test_a_damaged_primary_is_not_copied(system: System, site: Any) -> None:
    run = opened(system, WEEKLY)
    record = backup.dump(system, run.run_id, "system_config")
    path = site.primary / str(run.set_id) / record.artifacts[0].name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(NightscanError, match=r"primary .* is damaged"):
        backup.upload(system, run.run_id, "system_config", "offsite")
    assert not list(system.offsites[0].list("weekly/"))


def test_no_files_at_all_are_a_good_backup(site: Any) -> None:
    shutil.rmtree(site.root)
    site.root.mkdir()
    (Path(site.environ["NIGHTSCAN_ETC"]) / "crontab").unlink()
    outcome = backup.run_local(site.system(), Request(FILES))
    assert outcome.ending == Ending.GOOD
