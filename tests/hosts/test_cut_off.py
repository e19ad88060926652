"""A worker a queue, each on a host of its own, which share a network and no disk; and what a cut costs."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import SetId
from nightscan_tasks.verification import verify_set
from tests.hands import wait_until
from tests.hosts.network import Host, Network

pytestmark = pytest.mark.long

_SLOW_BYTES_PER_SECOND = "2000000"
_LARGE_BYTES = 16_000_000


@dataclass
class Place:
    """The hosts, the workers on them, and what is saved."""

    crew: Any
    hosts: dict[str, Host]
    environ: dict[str, str]
    logs: Path

    def holder(self, run_id: str, part: str) -> str:
        """The host that has a part in its hands and has begun to read it; empty if none has."""
        held = self.crew.system.leases.look(f"{run_id}/{part}")
        alive = held is not None and held.live(self.crew.system.clock())
        return held.beat.holder.split()[0] if held and alive and held.beat.progress.get("bytes") else ""

    def work(self, host: str, *queues: str, **more: str) -> None:
        """Start a worker on a host, which is started again whenever it ends."""
        self.crew.start(host, *queues, prefix=self.hosts[host].inside(), folder=self.logs,
                        **{**self.environ, **more})


@pytest.fixture(scope="module")
def place(site: dict[str, str], net: Network, crews: Callable[[Path, Mapping[str, str]], Any],
          tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    logs = tmp_path_factory.mktemp("logs")
    private = net.folder / "private"
    seen = net.seen_from_hosts(site) | {
        "HOME": str(private), "TMPDIR": str(private), "NIGHTSCAN_TEMP_DIR": str(private),
        "NIGHTSCAN_ROOT": str(private / "nightscan"), "NIGHTSCAN_ETC": str(private / "etc"),
        "NIGHTSCAN_BACKUP_DIR": str(private / "backups")}
    crew, large = crews(logs, site), secrets.token_bytes(_LARGE_BYTES)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        for name, value in site.items():
            patch.setenv(name, value)
        hosts = {name: stack.enter_context(net.host(name)) for name in ("db1", "web1", "web2", "ctl")}
        ports = {int(port) for value in site.values() for port in re.findall(r"127\.0\.0\.1:(\d+)", value)}
        stack.enter_context(net.forwarded(sorted(ports)))
        place = Place(crew, hosts, seen, logs)
        for name in ("web1", "web2"):  # with the same files, as of a cluster's file system
            shutil.copytree(site["NIGHTSCAN_ROOT"], hosts[name].disk / "nightscan", symlinks=True)
            (hosts[name].disk / "nightscan" / "uploads" / "large.wav").write_bytes(large)
        place.work("db1", "fast")
        place.work("web1", "heavy", NIGHTSCAN_UPLOAD_BYTES_PER_SECOND=_SLOW_BYTES_PER_SECOND)
        place.work("ctl", "control")
        stack.callback(crew.close)
        yield place


@pytest.fixture(autouse=True)
def credentials(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in place.crew.environ.items():
        monkeypatch.setenv(name, value)


def test_the_daily_run_works_between_hosts_that_share_no_disk(place: Place) -> None:
    run_id = place.crew.answer(place.crew.send("backup_daily"))["run_id"]
    outcome = place.crew.outcome(run_id)
    assert outcome.ending is Ending.GOOD, outcome
    assert_whole(place, outcome.set_id)
    for host in place.hosts.values():
        assert not (host.disk / "backups").exists()


def test_a_host_that_comes_back_goes_on_and_the_run_ends_good(place: Place) -> None:
    run_id = place.crew.manual("user_data")
    cut = cut_in_mid_run(place, run_id)
    wait_until(lambda: not place.holder(run_id, cut), "its lease to run out",
               meanwhile=lambda: place.crew.send("reap"))
    place.hosts["web1"].join()
    outcome = place.crew.outcome(run_id, reaped=True)
    assert outcome.ending is Ending.GOOD, outcome
    assert_whole(place, outcome.set_id)


def test_what_a_host_that_never_comes_back_had_begun_is_done_by_another(place: Place) -> None:
    run_id = place.crew.manual("user_data")
    cut_in_mid_run(place, run_id)
    place.work("web2", "heavy")
    try:
        outcome = place.crew.outcome(run_id, reaped=True)
        assert outcome.ending is Ending.GOOD, outcome
    finally:
        place.hosts["web1"].join()
    assert_whole(place, outcome.set_id)
    before = stored(place, outcome.set_id)
    late = re.compile(rf"{run_id}.*(is not running|no longer holds)")
    wait_until(lambda: any(late.search(place.crew.hands[name].said()) for name in ("web1", "web2")),
               "whoever has web1's try in the end to be told that it is too late", seconds=120)
    assert stored(place, outcome.set_id) == before  # who wakes up late changes nothing
    assert_whole(place, outcome.set_id)


def test_a_database_host_that_is_cut_off_leaves_its_dump_to_another(place: Place) -> None:
    with psycopg.connect(place.crew.environ["NIGHTSCAN_DATABASE_URI"]) as holder:
        holder.execute("LOCK TABLE prediction IN ACCESS EXCLUSIVE MODE")
        run_id = place.crew.manual("database")
        wait_until(lambda: place.crew.system.leases.look(f"{run_id}/database"), "the dump to begin")
        place.hosts["db1"].cut()
        holder.rollback()
    place.crew.start("db2", "fast", prefix=place.hosts["ctl"].inside(), folder=place.logs, **place.environ)
    outcome = place.crew.outcome(run_id, reaped=True)
    assert outcome.ending is Ending.GOOD, outcome
    assert_whole(place, outcome.set_id)


def cut_in_mid_run(place: Place, run_id: str) -> str:
    """Pull web1's cable while it sends, and name the part that it sends."""
    parts = place.crew.system.ledger.opened(run_id).parts
    part: str = wait_until(lambda: next((part for part in parts if place.holder(run_id, part) == "web1"), ""),
                           "web1 to send")
    place.hosts["web1"].cut()
    return part


def stored(place: Place, set_id: SetId) -> dict[str, str]:
    return {entry.key: entry.version for entry in place.crew.system.primary.list(f"{set_id}/")}


def assert_whole(place: Place, set_id: SetId) -> None:
    catalog = place.crew.system.catalog()
    manifest = catalog.get(set_id)
    assert manifest.complete
    assert verify_set(catalog, manifest, clock=place.crew.system.clock).problems == ()
