"""Several hosts with user data of their own: one set of all, and each gets its own back."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks import backup
from nightscan_tasks.backup.guide import write_guide
from nightscan_tasks.cli.doctor import queues_of
from nightscan_tasks.components.treeprint import combine
from nightscan_tasks.components.user_data import UserData
from nightscan_tasks.doctor import Level
from nightscan_tasks.doctor.brokers import workers
from nightscan_tasks.errors import RestoreRefused, SettingsError, SourceRefused
from nightscan_tasks.hosts import host_of
from nightscan_tasks.ledger import Ending, Outcome
from nightscan_tasks.model import Manifest
from nightscan_tasks.restore import Choice, Request, Targets, restore
from nightscan_tasks.settings import load
from nightscan_tasks.system import System, utc_now
from nightscan_tasks.tasks.queues import look_at_queues
from nightscan_tasks.validation import validate_user_data
from nightscan_tasks.verification import verify_set
from nightscan_tasks.workflows.manual import manual
from nightscan_tasks.workflows.pre_restore import PRE_RESTORE
from worker.queues import CONTROL, FAST, HEAVY, NAMES, RESTORE, names, plan_taking, route, unacknowledged

HOSTS = ("web1", "web2")


@dataclass
class Web:
    """Two hosts, as each sees itself; and one that decides and has no files."""

    systems: dict[str, System]

    def root(self, host: str) -> Path:
        return self.systems[host].settings.root

    def run(self, *absent: str) -> Outcome:
        """A run of user data to which each host but the absent ones does its share."""
        control = self.systems["control"]
        run = backup.open_run(control, backup.Request(manual(["user_data"]))).run
        backup.start(control, run)
        for part in run.parts:
            if host_of(part) not in absent:
                backup.dump(self.systems[host_of(part)], run.run_id, part)
        outcome = backup.settle(control, run.run_id, final=bool(absent))
        assert outcome is not None
        return outcome

    def manifest(self, outcome: Outcome) -> Manifest:
        return self.systems["control"].catalog().get(outcome.set_id)


@pytest.fixture
def web(tmp_path: Path) -> Web:
    shared = {"NIGHTSCAN_HOSTS": ",".join(HOSTS), "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"),
              "NIGHTSCAN_RETRIES": "0", "NIGHTSCAN_ETC": str(tmp_path)}
    systems = {}
    for host in (*HOSTS, "control"):
        root, temp = tmp_path / host, tmp_path / f"{host}-tmp"
        temp.mkdir()
        systems[host] = System(load({**shared, "NIGHTSCAN_HOST": host, "NIGHTSCAN_ROOT": str(root),
                                     "NIGHTSCAN_TEMP_DIR": str(temp)}))
        if host in HOSTS:
            for folder in ("uploads", "models", "config", "logs"):
                (root / folder).mkdir(parents=True)
            (root / "uploads" / "same name.wav").write_text(f"recorded by {host}")
            (root / "uploads" / f"{host}.jpg").write_text(f"only on {host}")
    return Web(systems)


def uploads(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (root / "uploads").iterdir()}


def test_one_set_has_the_files_of_each_host(web: Web) -> None:
    outcome = web.run()
    manifest = web.manifest(outcome)
    assert outcome.ending is Ending.GOOD
    assert {each.part for each in manifest.artifacts} == {
        "user_data.web1.00", "user_data.web1.01", "user_data.web2.00", "user_data.web2.01"}
    assert all(each.name.startswith(f"{each.part}.") for each in manifest.artifacts)
    control = web.systems["control"]
    assert verify_set(control.catalog(), manifest, clock=utc_now).problems == ()
    report = manifest.components["user_data"]
    own = {host: UserData(web.systems[host].settings, utc_now).fingerprint() for host in HOSTS}
    assert report.facts["hosts"] == own
    assert report.fingerprint == combine(own.values())
    assert own["web1"] != own["web2"]


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_gets_its_own_files_back_and_the_other_keeps_what_it_has(web: Web, host: str) -> None:
    before = {each: uploads(web.root(each)) for each in HOSTS}
    web.run()
    for each in HOSTS:
        (web.root(each) / "uploads" / "same name.wav").write_text("spoiled")
    done = restore(web.systems[host], Request(Choice(), ("user_data",), safety=PRE_RESTORE))
    assert done.live
    other = next(each for each in HOSTS if each != host)
    assert uploads(web.root(host)) == before[host]
    assert uploads(web.root(other))["same name.wav"] == "spoiled"
    (saved,) = web.systems[host].catalog().sets(PRE_RESTORE.tier)  # of this host alone, and whole
    assert saved.complete
    assert {host_of(each.part) for each in saved.artifacts} == {host}


def test_files_of_another_host_are_put_beside_what_is_live_and_never_in_its_place(
        web: Web, tmp_path: Path) -> None:
    before = uploads(web.root("web1"))
    web.run()
    with pytest.raises(RestoreRefused, match="the files of web2 belong there"):
        restore(web.systems["web1"], Request(Choice(host="web2"), ("user_data",)))
    with pytest.raises(RestoreRefused, match="web1, web2, each its own, and this host is none of them"):
        restore(web.systems["control"], Request(Choice(), ("user_data",)))
    with pytest.raises(RestoreRefused, match="there is no web3 among them"):
        restore(web.systems["web1"], Request(Choice(host="web3"), ("user_data",)))
    looked = tmp_path / "look"
    restore(web.systems["control"], Request(Choice(host="web2"), ("user_data",), Targets(root=looked)))
    assert uploads(looked / "user_data") == uploads(web.root("web2"))
    assert uploads(web.root("web1")) == before


def test_a_host_that_takes_the_place_of_another_says_so_and_gets_its_files(web: Web, tmp_path: Path) -> None:
    before = uploads(web.root("web1"))
    web.run()
    shutil.rmtree(web.root("web1"))
    settings = web.systems["control"].settings.model_copy(
        update={"host": "web1", "root": web.root("web1"), "temp_dir": tmp_path})
    restore(System(settings), Request(Choice(), ("user_data",)))
    assert uploads(web.root("web1")) == before


def test_a_host_that_is_down_leaves_an_incomplete_set_that_names_it(web: Web) -> None:
    outcome = web.run("web2")
    assert outcome.ending is Ending.INCOMPLETE
    assert {failure.part for failure in outcome.failures} == {"user_data.web2.00", "user_data.web2.01"}
    for failure in outcome.failures:
        assert "no worker on web2 took it up" in failure.message
        assert "nightscan.heavy.web2" in failure.message
    (web.root("web1") / "uploads" / "web1.jpg").unlink()
    restore(web.systems["web1"], Request(Choice(set_id=outcome.set_id), ("user_data",)))  # what is there is
    assert uploads(web.root("web1"))["web1.jpg"] == "only on web1"
    with pytest.raises(RestoreRefused, match="incomplete: its user_data failed"):
        restore(web.systems["web2"], Request(Choice(set_id=outcome.set_id), ("user_data",)))


def test_a_part_is_refused_where_its_files_are_not(web: Web) -> None:
    control = web.systems["control"]
    run = backup.open_run(control, backup.Request(manual(["user_data"]))).run
    backup.start(control, run)
    for host in ("web2", "control"):
        with pytest.raises(SourceRefused, match="the files of web1 alone"):
            backup.dump(web.systems[host], run.run_id, "user_data.web1.00")


def test_each_host_looks_only_for_its_own_files(web: Web) -> None:
    manifest = web.manifest(web.run())
    system = web.systems["web1"]
    from nightscan_tasks.restore.reading import plain

    found = validate_user_data(system, manifest, lambda each: plain(system, system.catalog(), manifest, each))
    assert found.counts["whole"] == 2
    assert sum(found.counts.values()) == 2


def test_the_guide_unpacks_each_host_into_a_folder_of_its_own(web: Web, tmp_path: Path) -> None:
    manifest = web.manifest(web.run())
    folder = web.systems["control"].settings.backup_dir / str(manifest.set_id)
    section = write_guide(manifest).partition("## user_data")[2]
    commands = "".join(f"{block.partition('```')[0]}\n" for block in section.split("```bash\n")[1:])
    subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=folder, check=True,  # noqa: S607 - bash
                   env={**os.environ, "RESTORED": str(tmp_path / "restored")})
    for host in HOSTS:
        assert uploads(tmp_path / "restored" / "user_data" / host) == uploads(web.root(host))


def test_each_host_has_queues_of_its_own_and_takes_from_no_others(web: Web) -> None:
    web1, control = (web.systems[name].settings for name in ("web1", "control"))
    every = names(web1)
    assert every == (*NAMES, f"{HEAVY}.web1", f"{RESTORE}.web1", f"{HEAVY}.web2", f"{RESTORE}.web2")
    assert plan_taking((HEAVY,), web1) == ((f"{HEAVY}.web1",), ())
    assert plan_taking((FAST, CONTROL), web1) == ((), ())
    assert plan_taking((f"{HEAVY}.web1",), web1) == ((), ())
    assert plan_taking((HEAVY,), control) == ((), ())
    assert plan_taking(every, web1) == ((), (f"{HEAVY}.web2", f"{RESTORE}.web2"))
    assert plan_taking(NAMES, load({})) == ((), ())


@pytest.mark.parametrize(("task", "args", "kwargs", "queue"), [
    ("archive_user_data", ("run", "user_data.web1.00"), {}, "nightscan.heavy.web1"),
    ("archive_user_data", ("run",), {"part": "user_data.web2.13"}, "nightscan.heavy.web2"),
    ("archive_user_data", ("run", "user_data.00"), {}, HEAVY),
    ("upload", ("run", "user_data.web1.00", "offsite"), {}, HEAVY),
    ("restore_user_data", (), {"host": "web1"}, "nightscan.restore.web1"),
    ("restore_full", (), {}, RESTORE),
    ("settle", ("run",), {}, CONTROL)])
def test_what_only_one_host_can_do_goes_to_it_each_time(
        task: str, args: tuple[str, ...], kwargs: dict[str, str], queue: str) -> None:
    assert route(f"nightscan.{task}", args, kwargs) == {"queue": queue}


def test_the_hosts_are_told_apart_by_name_whatever_its_case() -> None:
    assert load({"NIGHTSCAN_HOSTS": "Web1,web2", "NIGHTSCAN_HOST": "web1"}).own_host == "Web1"
    assert load({"NIGHTSCAN_HOSTS": "web1", "NIGHTSCAN_HOST": "db1"}).own_host == ""
    assert load({"NIGHTSCAN_HOST": "web1"}).own_host == ""
    assert load({"NIGHTSCAN_HOSTS": os.uname().nodename.partition(".")[0]}).own_host
    with pytest.raises(SettingsError, match="NIGHTSCAN_HOSTS"):
        load({"NIGHTSCAN_HOSTS": "web1.example.org"})


def test_the_doctor_wants_a_worker_for_every_queue_of_every_host(web: Web) -> None:
    settings = web.systems["control"].settings
    assert set(queues_of(settings)) == set(names(settings))
    taking = {"web1@web1": ["nightscan.heavy", "nightscan.heavy.web1"]}
    found = {each.name: each for each in workers(web.systems["control"], queues=queues_of(settings),
                                                 consumers=lambda: taking)}
    assert found["queue heavy.web1"].level is Level.OK
    assert found["queue heavy.web2"].level is Level.FAIL
    assert "nightscan.heavy.web2" in found["queue heavy.web2"].found


def test_the_rights_of_a_kind_reach_what_a_single_hosts_worker_was_handed() -> None:
    keys = unacknowledged([f"{HEAVY}.web1"])
    assert keys["unacked_key"] == "unacked.web1.heavy"  # docs/privileges/redis: ~unacked*.heavy
    assert unacknowledged([HEAVY])["unacked_key"] == "unacked.heavy"


@pytest.fixture
def crew(web: Web, site: dict[str, str], crews: Callable[[Path, Mapping[str, str]], Any],
         tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A worker on each of the two, started alike, and one that decides."""
    settings = {host: system.settings for host, system in web.systems.items()}
    environ = site | {"NIGHTSCAN_HOSTS": ",".join(HOSTS)}
    crew = crews(tmp_path_factory.mktemp("web"), environ)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for host, queues in (("web1", ("heavy", "restore")), ("web2", ("heavy", "restore")),
                         ("control", ("control",))):
        own = {"NIGHTSCAN_HOST": host, "NIGHTSCAN_ROOT": str(settings[host].root),
               "NIGHTSCAN_TEMP_DIR": str(settings[host].temp_dir)}
        crew.start(host, *queues, **own)
    for hand in crew.hands.values():
        hand.ready()
    yield crew
    crew.close()


def test_workers_that_are_started_alike_save_and_restore_each_its_own_host(web: Web, crew: Any) -> None:
    before = {host: uploads(web.root(host)) for host in HOSTS}
    outcome = crew.outcome(crew.manual("user_data"))
    assert outcome.ending is Ending.GOOD, outcome
    taking = {each.name: each.workers for each in look_at_queues(crew.app)}
    for host in HOSTS:
        assert taking[f"{HEAVY}.{host}"] == taking[f"{RESTORE}.{host}"] == (f"{host}@test",)
        assert f"user_data.{host}.00: saved" in crew.hands[host].said()
        (web.root(host) / "uploads" / "same name.wav").write_text("spoiled")
    command = crew.command("restore", "restore", "user_data", "--host", "web2", "--no-safety")
    assert command.process.wait() == 0, command.said()
    assert uploads(web.root("web2")) == before["web2"]
    assert uploads(web.root("web1"))["same name.wav"] == "spoiled"
