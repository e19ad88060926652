"""Two hosts that share no disk, only an S3: one where the database and the files are, one that decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.ledger import Ending, Outcome
from nightscan_tasks.verification import verify_set


@dataclass
class Hosts:
    """What each host has to itself, and the run that they did together."""

    crew: Any
    folders: dict[str, Path]
    outcome: Outcome


@pytest.fixture(scope="module")
def hosts(site: dict[str, str], crews: Callable[..., Any], s3_server: Any, until: Any,
          tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    environ = {key: value for key, value in site.items() if not key.startswith("AWS_BACKUP")} | {
        "NIGHTSCAN_PRIMARY": f"s3://{s3_server.environ()['AWS_BACKUP_BUCKET']}/two-hosts-{site_name(site)}",
        "NIGHTSCAN_LEASE_SECONDS": "20"}  # nobody is killed here, and a busy machine is no dead one
    folders = {name: tmp_path_factory.mktemp(name) for name in ("data", "control")}
    crew = crews(folders["control"], environ)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        # The one that decides has no application and no database: only S3, the broker, and what signs.
        here = {name: str(folders["control"] / "nothing") for name in (
            "NIGHTSCAN_ROOT", "NIGHTSCAN_ETC", "NIGHTSCAN_BACKUP_DIR")}
        there = {"NIGHTSCAN_BACKUP_DIR": str(folders["data"] / "nothing")}
        starting = [
            crew.start("control", "control", **here, NIGHTSCAN_TEMP_DIR=str(folders["control"]),
                       NIGHTSCAN_DATABASE_URI="postgresql://nobody@127.0.0.1:1/nothing",
                       REDIS_URL="redis://127.0.0.1:1/0"),
            crew.start("data", "fast", "heavy", concurrency=2, **there,
                       NIGHTSCAN_TEMP_DIR=str(folders["data"]))]
        for hand in starting:
            hand.ready()
        run_id = crew.manual("database", "user_data", "system_config")
        outcome = crew.outcome(run_id)
        until(lambda: crew.system.ledger.verified(run_id, "primary"), "the set to be verified")
        yield Hosts(crew, folders, outcome)


def site_name(site: dict[str, str]) -> str:
    return site["NIGHTSCAN_DATABASE_URI"].rpartition("_")[2]


@pytest.fixture(autouse=True)
def credentials(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in hosts.crew.environ.items():
        monkeypatch.setenv(name, value)


def test_the_run_ends_well_and_its_set_is_whole_in_s3(hosts: Hosts) -> None:
    system = hosts.crew.system
    assert system.primary.url.startswith("s3://")
    assert hosts.outcome.ending == Ending.GOOD
    manifest = system.catalog().get(hosts.outcome.set_id)
    assert set(manifest.components) == {"database", "user_data", "system_config"}
    assert verify_set(system.catalog(), manifest, clock=system.clock).problems == ()
    assert system.ledger.verified(hosts.outcome.run_id, "primary").problems == ()


def test_ledger_and_lease_are_in_s3_and_the_lease_was_let_go(hosts: Hosts) -> None:
    system = hosts.crew.system
    state = system.ledger.state(hosts.outcome.run_id)
    assert set(state.parts) == set(state.run.parts)
    held = system.leases.look("backup")
    assert held.token == state.started.token
    assert held.beat.released
    assert not list(system.primary.list(f"leases/{hosts.outcome.run_id}/"))


def test_rotation_works_from_the_host_that_has_nothing(hosts: Hosts) -> None:
    (rotated,) = hosts.crew.answer(hosts.crew.send("rotate"))
    assert rotated["store"] == "primary"
    assert rotated["held"] is None
    assert rotated["kept"] == 1
    assert hosts.outcome.set_id.taken_at < datetime.now(UTC)


def test_no_host_has_anything_of_the_set_on_its_disk(hosts: Hosts) -> None:
    for folder in hosts.folders.values():
        assert not (folder / "nothing").exists()
        left = [path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".log"]
        assert left == []
