"""Jobs of a host: no more at a time than set, whichever process has them, and none lost with a process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from nightscan_tasks import backup
from nightscan_tasks.backup import Request
from nightscan_tasks.errors import Busy
from nightscan_tasks.jobs import job
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import Days, Json, Plan, Tier
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from tests.hands import started

_HOLDER = """
import sys
from nightscan_tasks.jobs import job
from nightscan_tasks.settings import load
with job(load({"NIGHTSCAN_RUNTIME_DIR": sys.argv[1], "NIGHTSCAN_JOBS": "2"})) as number:
    print(number, flush=True)
    sys.stdin.read()
"""
FILES = Plan(Tier.MANUAL, ("user_data", "system_config"), Days(7))


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., System]:
    for name in ("uploads/a.wav", "models/b.bin", "config/c.yaml"):
        path = tmp_path / "nightscan" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * 5000)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "crontab").write_text("0 2 * * * root true\n")
    return lambda **more: System(load({
        "NIGHTSCAN_ROOT": str(tmp_path / "nightscan"), "NIGHTSCAN_ETC": str(tmp_path / "etc"),
        "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), "NIGHTSCAN_OFFSITE": str(tmp_path / "offsite"),
        "NIGHTSCAN_TEMP_DIR": str(tmp_path), **more}))


def test_processes_share_the_jobs_of_a_host_and_a_killed_one_gives_its_own_back(tmp_path: Path) -> None:
    settings = load({"NIGHTSCAN_RUNTIME_DIR": str(tmp_path), "NIGHTSCAN_JOBS": "2"})
    holders = [subprocess.Popen([sys.executable, "-c", _HOLDER, str(tmp_path)], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for each in holders:
            assert each.stdout
        assert {each.stdout.readline() for each in holders if each.stdout} == {"0\n", "1\n"}
        with pytest.raises(Busy, match="NIGHTSCAN_JOBS"), job(settings):
            pass
        holders[0].kill()
        holders[0].wait()
        with job(settings), pytest.raises(Busy), job(settings):
            pass
    finally:
        for each in holders:
            each.kill()
            each.communicate()
    with job(settings), job(settings):
        pass


def test_hosts_that_share_a_folder_share_no_jobs(tmp_path: Path) -> None:
    def of(host: str) -> AbstractContextManager[int]:
        return job(load({"NIGHTSCAN_RUNTIME_DIR": str(tmp_path), "NIGHTSCAN_JOBS": "1",
                         "NIGHTSCAN_HOST": host}))

    with of("web1"), of("web2"), pytest.raises(Busy), of("web1"):
        pass


def test_a_part_waits_for_a_job_without_a_lease(site: Callable[..., System]) -> None:
    system = site(NIGHTSCAN_JOBS="1")
    run = backup.open_run(system, Request(FILES)).run
    backup.start(system, run)
    first, second, *_ = run.parts
    waited: list[str] = []

    def watch(_progress: dict[str, Json]) -> None:
        for each in (system, site(NIGHTSCAN_JOBS="1")):
            with pytest.raises(Busy, match="NIGHTSCAN_JOBS") as caught:
                backup.dump(each, run.run_id, second)
            waited.append(str(caught.value))
        assert system.leases.look(f"{run.run_id}/{second}") is None

    backup.dump(system, run.run_id, first, watch=watch)
    assert len(waited) >= 2
    backup.dump(system, run.run_id, second)
    with job(system.settings), pytest.raises(Busy, match="NIGHTSCAN_JOBS"):
        backup.upload(system, run.run_id, first, "offsite")
    assert backup.upload(system, run.run_id, first, "offsite")


def test_what_is_saved_already_waits_for_nothing(site: Callable[..., System]) -> None:
    system = site(NIGHTSCAN_JOBS="1")
    run = backup.open_run(system, Request(FILES)).run
    backup.start(system, run)
    saved = backup.dump(system, run.run_id, run.parts[0])
    with job(system.settings):
        assert backup.dump(system, run.run_id, run.parts[0]) == saved


def test_one_job_is_enough_for_a_whole_run(site: Callable[..., System]) -> None:
    """Nobody who has a job waits for somebody who needs one."""
    outcome = backup.run_local(site(NIGHTSCAN_JOBS="1"), Request(FILES))
    assert outcome.ending is Ending.GOOD


def test_a_worker_does_as_many_tasks_as_the_host_has_jobs(broker_redis: str, tmp_path: Path) -> None:
    hand = started(tmp_path, "heavy", {"NIGHTSCAN_BROKER_URL": broker_redis, "NIGHTSCAN_JOBS": "3"},
                   "-m", "celery", "-A", "worker", "worker", "-n", "heavy@test", "-Q", "nightscan.heavy",
                   "--without-gossip", "--without-mingle", "--loglevel", "INFO")
    try:
        assert len(hand.ready().children()) == 3
    finally:
        hand.end()
