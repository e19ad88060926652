"""Commands that have their work done by real workers."""

import signal
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from nightscan_tasks import settings
from nightscan_tasks.cli.following import follow
from nightscan_tasks.ledger import Ending
from nightscan_tasks.system import System
from nightscan_tasks.world.world import World

pytestmark = pytest.mark.long

Typed = Callable[..., Any]
Begun = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def env(celery_world: World) -> Mapping[str, str]:
    """The settings of a world whose workers run."""
    return celery_world.environ()


def test_a_backup_without_wait_answers_with_its_run_and_status_follows_it(typed: Typed,
                                                                         env: Mapping[str, str]) -> None:
    begun = typed("backup", "pre-deploy", "--tag", "v1.2.3", "--json", env=env)
    assert begun.status == 0, begun.err
    assert begun.json["run_id"].startswith("pre_deploy-")
    again = typed("backup", "pre-deploy", "--tag", "v1.2.3", "--wait", env=env)
    assert again.status == 0, again.err
    last = typed("status", "--json", env=env).json["last"]["pre_deploy"]
    assert last["ending"] == "good"
    assert last["set_id"] >= begun.json["set_id"]  # the same run where the second joined it


def test_waiting_tells_each_part_on_standard_error_and_the_result_on_the_other(typed: Typed,
                                                                              env: Mapping[str, str]) -> None:
    done = typed("backup", "daily", "--wait", env=env)
    assert done.status == 0, done.err
    for part in ("database", "redis", "user_data.00"):
        assert f"{part}: saved and read back, " in done.err
        assert f"{part}@offsite: copied and read back, " in done.err
    said = " ".join(done.out.split())
    assert "saved, and in every store" in said
    assert "encrypted backup@nightscan.com" in said
    assert "in primary: " in said
    assert "in offsite: s3://" in said
    assert "\x1b" not in done.out + done.err
    assert "Traceback" not in done.err
    assert all(len(line) <= 80 for line in done.out.splitlines() if "  in " not in line)


def test_celery_has_the_same_commands(typed: Typed, env: Mapping[str, str]) -> None:
    taken = typed("-A", "worker", "nightscan", "backup", "manual", "--component", "system_config", "--wait",
                  "--json", env=env, program=("celery",))
    assert taken.status == 0, taken.err
    listed = typed("-A", "worker", "nightscan", "list", "--tier", "manual", "--json", env=env,
                   program=("celery",))
    assert taken.json["set_id"] == listed.json["sets"][0]["set_id"]
    wrong = typed("-A", "worker", "nightscan", "backup", "dialy", env=env, program=("celery",))
    assert wrong.status == 2
    assert "did you mean daily?" in wrong.err


def test_workers_verify_rotate_and_restore(typed: Typed, env: Mapping[str, str]) -> None:
    taken = typed("backup", "manual", "--component", "database", "--wait", "--json", env=env).json
    verified = typed("verify", taken["set_id"], "--json", env=env)
    assert verified.status == 0, verified.err
    assert verified.json["sound"] is True
    assert set(verified.json["stores"]) == {"primary", "offsite"}
    scrubbed = typed("scrub", "--all", "--json", env=env)
    assert scrubbed.status == 0, scrubbed.err
    assert {each["store"]: each["findings"] for each in scrubbed.json} == {"primary": [], "offsite": []}
    assert all(each["read_files"] for each in scrubbed.json)
    assert typed("rotate", env=env).status == 0
    restored = typed("restore", "database", "--set", taken["set_id"], "--from", "offsite", "--json", env=env)
    assert restored.status == 0, restored.err
    assert [each["component"] for each in restored.json["components"]] == ["database"]
    refused = typed("restore", "redis", "--set", taken["set_id"], env=env)
    assert refused.status == 1
    assert f"{taken['set_id']} has no redis" in refused.err
    assert "Traceback" not in refused.err


def test_ctrl_c_stops_watching_and_not_the_run(begun: Begun, env: Mapping[str, str]) -> None:
    watching = begun("backup", "manual", "--component", "user_data", "--tag", "watched", "--wait", env=env)
    assert watching.stderr is not None
    first = watching.stderr.readline()
    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=180)
    run_id = first.split(":")[0]
    assert watching.returncode == 1
    assert f"stopped watching; the run {run_id} goes on without you" in first + said
    system = System(settings.load(env))
    ended = list(follow(system, run_id))[-1].outcome
    assert ended
    assert ended.ending is Ending.GOOD


def test_no_worker_on_the_queue_is_told_with_the_command_that_starts_one(typed: Typed,
                                                                         environ: dict[str, str]) -> None:
    done = typed("backup", "daily", env=environ)
    assert done.status == 1
    assert "no worker takes from the queue nightscan.control" in done.err
    assert "celery -A worker worker -Q nightscan.control" in done.err


def test_a_broker_that_is_down_is_told_without_its_password(typed: Typed, environ: dict[str, str]) -> None:
    done = typed("backup", "daily", env={**environ, "NIGHTSCAN_BROKER_URL": "redis://:hunter2@localhost:1/0"})
    assert done.status == 1
    assert "the broker at redis://localhost:1/0 does not answer" in done.err
    assert "hunter2" not in done.err
    assert "Traceback" not in done.err
