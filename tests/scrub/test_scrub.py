"""One scrub: what it reads, how it is cut off and goes on, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import Busy, StoreError
from nightscan_tasks.ledger import Verified
from nightscan_tasks.ledger.reads import Kind, Reads, Scrubbed
from nightscan_tasks.model import Chunks, SetId
from nightscan_tasks.scrub import Wish, preview, scrub
from nightscan_tasks.system import System

DATA, CONFIG = "user_data.00.tar.gz", "system_config.tar.gz"
EVERYTHING, NIGHTLY = Wish(everything=True), Wish()
Broken = Callable[..., System]


def kinds(found: Scrubbed) -> list[tuple[Kind, str]]:
    return [(each.kind, each.key) for each in found.findings]


@pytest.fixture
def s3(site: Any, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same site, whose offsite store is a bucket."""
    site.environ.pop("NIGHTSCAN_OFFSITE")
    site.environ |= bucket.environ
    for name, value in bucket.environ.items():
        monkeypatch.setenv(name, value)
    return site


def test_a_bucket_and_a_directory_mend_each_other(s3: Any, damage: Any) -> None:
    set_id = s3.take()
    names = (DATA, "user_data.00.index.jsonl.gz", CONFIG, "manifest.json", "RESTORE.md")
    before = {(store, name): s3.data(store, set_id.key(name)) for store in ("primary", "offsite")
              for name in names}
    for store, hows in (("offsite", ("flip", "truncate", "delete", "flip", "delete")),
                        ("primary", ("truncate", "delete", "flip", "truncate", "flip"))):
        for how, name in zip(hows, names, strict=True):
            getattr(damage, how)(store, set_id.key(name))
        found = s3.scrub(store)
        assert sorted(kinds(found)) == sorted((Kind.MENDED, set_id.key(name)) for name in names)
        assert {name: s3.data(store, set_id.key(name)) for name in names} == {
            name: before[store, name] for name in names}
        assert s3.scrub(store).unsettled == ()


def test_a_bucket_that_refuses_is_not_damaged_and_is_reported(s3: Any, damage: Any) -> None:
    set_id = s3.take()
    s3.environ["AWS_BACKUP_BUCKET"] = "no-such-bucket-2"
    found = s3.scrub("offsite")
    assert "no-such-bucket-2" in found.problem
    assert (found.findings, found.read_files) == ((), 0)
    assert s3.scrub("primary").problem == ""  # and keeps no other from its scrub
    assert s3.system().catalog().ids() == [set_id]


def test_each_store_is_scrubbed_by_one_at_a_time(site: Any) -> None:
    site.take()
    system = site.system()
    with system.leases.hold("scrub/primary", "another"):
        with pytest.raises(Busy, match="held by another"):
            site.scrub("primary")
        assert site.scrub("offsite").read_files == 4


def test_a_store_that_goes_down_in_the_middle_keeps_what_was_read(site: Any, faulty: Broken) -> None:
    set_id = site.take()
    down: list[str] = []

    def before(key: str) -> None:
        if down:
            raise StoreError("connection refused")

    def through(key: str, chunks: Chunks) -> Chunks:
        if key.endswith(DATA):
            down.append(key)
            raise StoreError("connection reset")
        yield from chunks

    system = faulty("offsite", before=before, through=through)
    found = scrub(system, "offsite", EVERYTHING)
    assert "connection refused" in found.problem
    assert found.findings == ()
    assert found.read_files == 3
    plan = preview(site.system(), "offsite", EVERYTHING)
    assert plan.turns[0].copy.key == set_id.key(DATA)  # the next begins with what was not read


def test_when_the_time_is_up_the_next_scrub_goes_on(site: Any, faulty: Broken) -> None:
    for _ in range(2):
        site.take()
        site.clock.forward(minutes=1)
    read: list[str] = []

    def before(key: str) -> None:
        if key.startswith("daily/") and key.endswith(".gz"):
            read.append(key)
            site.clock.forward(hours=2)  # slow it is

    found = scrub(faulty("offsite", before=before), "offsite", EVERYTHING)
    assert found.behind.startswith("the time was up after 3 of 8 artifacts")
    assert found.problem == ""
    scrub(faulty("offsite", before=before), "offsite", EVERYTHING)
    assert len(read) == 6
    assert len(set(read)) == 6  # none twice


def test_a_night_reads_its_share_once_however_often_it_is_asked(site: Any) -> None:
    for _ in range(3):
        site.take()
        site.clock.forward(minutes=1)
    site.clock.forward(days=25)
    first = site.scrub("primary", NIGHTLY)
    assert 4 <= first.read_files < 12
    assert site.scrub("primary", NIGHTLY).read_files == 0
    site.clock.forward(days=1)
    assert site.scrub("primary", NIGHTLY).read_files == 12 - first.read_files


def test_within_the_days_everything_is_read_and_nothing_twice_before_everything_once(site: Any) -> None:
    site.environ["NIGHTSCAN_SCRUB_DAYS"] = "6"
    for _ in range(3):
        site.take()
        site.clock.forward(minutes=1)
    read = []
    for _ in range(6):
        site.clock.forward(days=1)
        planned = [turn.copy.key for turn in preview(site.system(), "primary").turns]
        assert site.scrub("primary", NIGHTLY).read_files == len(planned)
        read += planned
    everything = {entry.key for entry in site.system().primary.list("daily/") if entry.key.endswith(".gz")}
    assert set(read[:12]) == everything
    assert len(read) <= 15


def test_what_verify_found_is_looked_at_tonight_and_what_it_read_counts(site: Any, damage: Any) -> None:
    set_id = site.take()
    site.clock.forward(days=1)
    damage.flip("primary", set_id.key(CONFIG))
    system = site.system()
    manifest = system.catalog().get(set_id)
    problem = f"primary {set_id.key(CONFIG)} is damaged: sha256 expected …"
    system.ledger.verify(manifest.run_id, Verified(set_id, "primary", system.clock(), 1, (problem,),
                                                   system.primary.url))
    plan = preview(system, "primary")
    assert [(turn.copy.name, turn.reason) for turn in plan.turns][:1] == [
        (CONFIG, "it was damaged when it was last read")]
    assert all(system.clock() - turn.copy.read_at < site.clock.now - set_id.taken_at
               for turn in plan.turns[1:])
    site.scrub("primary", NIGHTLY)
    assert site.verified("primary", set_id).problems == ()


def test_a_reading_that_a_wrong_clock_dated_is_done_again_once(site: Any) -> None:
    set_id = site.take()
    system = site.system()
    future = site.clock.now + timedelta(days=3650)
    run_id = system.catalog().get(set_id).run_id
    system.ledger.verify(run_id, Verified(set_id, "primary", future, 1, (), system.primary.url))
    site.clock.forward(days=28)
    assert site.scrub("primary", NIGHTLY).read_files == 4
    assert site.verified("primary", set_id).verified_at < site.clock.now
    site.clock.forward(days=1)
    assert site.scrub("primary", NIGHTLY).read_files == 0


def test_readings_of_another_place_do_not_count(site: Any) -> None:
    set_id = site.take()
    site.clock.forward(days=40)
    site.scrub("offsite")
    assert preview(site.system(), "offsite").late == ()
    new = Path(f"{site.environ['NIGHTSCAN_OFFSITE']}-moved")
    Path(site.environ["NIGHTSCAN_OFFSITE"]).rename(new)
    site.environ["NIGHTSCAN_OFFSITE"] = str(new)
    late = preview(site.system(), "offsite").late
    assert {copy.set_id for copy in late} == {set_id}
    assert len(late) == 4


def test_what_is_missing_or_too_short_is_seen_in_the_listing_tonight(site: Any, damage: Any) -> None:
    set_id = site.take()
    damage.delete("primary", set_id.key(DATA))
    damage.truncate("primary", set_id.key(CONFIG))
    reasons = {turn.copy.name: turn.reason for turn in preview(site.system(), "primary").turns}
    assert reasons[DATA] == "it is missing in the store's listing"
    assert "bytes, not" in reasons[CONFIG]


def test_what_is_known_of_a_set_goes_with_the_set(site: Any) -> None:
    set_id = site.take()
    site.scrub("offsite")
    reads = Reads(site.system().primary)
    assert set(reads.of(site.system().store("offsite"))) == {set_id}
    Catalog(site.system().store("offsite")).delete(set_id)
    assert site.scrub("offsite").findings == ()
    assert reads.of(site.system().store("offsite")) == {}


def test_a_record_that_cannot_be_read_is_no_obstacle(site: Any) -> None:
    set_id = site.take()
    site.scrub("primary")
    system = site.system()
    for key in (f"reads/primary/{set_id}.json", "scrubs/primary.json"):
        system.primary.put(key, [b'{"set_id": "dai'])
    found = site.scrub("primary")
    assert (found.findings, found.problem, found.read_files) == ((), "", 4)


_KILLED = """
import sys, time
from nightscan_tasks.scrub import Wish, mending, scrub
from nightscan_tasks.system import System

def slowly(self, other):
    with other.open(self.key) as chunks:
        yield bytes(next(chunks))[:30_000]
        print("mending", flush=True)
        time.sleep(600)

mending.Mending._from = slowly
scrub(System.from_env(), sys.argv[1], Wish(everything=True))
"""


@pytest.mark.parametrize("name", ["primary", "offsite"])
def test_killed_in_the_middle_of_a_repair_nothing_is_lost_and_the_next_one_mends(
        site: Any, damage: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_id: SetId = site.take()
    key = set_id.key(DATA)
    before = site.data(name, key)
    damage.flip(name, key)
    damaged = site.data(name, key)
    environ = {**site.environ, "PATH": "/usr/bin:/bin", "NIGHTSCAN_LEASE_SECONDS": "1"}
    with subprocess.Popen([sys.executable, "-c", _KILLED, name], stdout=subprocess.PIPE, cwd=tmp_path,
                          env=environ) as child:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == b"mending"
        child.kill()
    assert site.data(name, key) == damaged  # no reader ever sees a part of the new one
    assert key in site.verified(name, set_id).problems[0]  # and retention knows already
    site.clock.forward(days=1)
    assert kinds(site.scrub(name, NIGHTLY)) == [(Kind.MENDED, key)]
    assert site.data(name, key) == before
    assert site.verified(name, set_id).problems == ()
    site.clock.forward(days=1)
    swept = [each for each in site.system().store(name).sweep(site.clock.now) if f"/{set_id}/" in each]
    assert len(swept) == 1  # what the killed one had written
