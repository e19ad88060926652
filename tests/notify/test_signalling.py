"""Runs tell from outside that they begin and end: real workers, a real switch, a real Sentry's protocol."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from nightscan_tasks import backup
from nightscan_tasks.backup import Request
from nightscan_tasks.ledger import Ending, Outcome
from nightscan_tasks.ledger.pings import Pings, last_pings
from nightscan_tasks.model import Days, Plan, Tier
from nightscan_tasks.notify.pinging import NotPingedYet, Phase
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.tasks.signalling import tiers_due
from nightscan_tasks.watch.signalling import send_ping
from nightscan_tasks.world import environment
from nightscan_tasks.world.world import World
from tests.crew import client, dismiss

_KEY, _PASSWORD = "p1ngk3yp1ngk3y", "hunter2hunter2"


@dataclass
class Place:
    """A small NightScan whose database and Redis are down, its worker, and whoever is told of it."""

    environ: dict[str, str]
    app: Celery
    switch: Any
    sentry: Any
    log: Path
    until: Any

    @property
    def system(self) -> System:
        return System(load(self.environ))

    def send(self, task: str, *args: Any, **kwargs: Any) -> Any:
        return self.app.send_task(f"nightscan.{task}", args=args, kwargs=kwargs)

    def outcome(self, run_id: str) -> Outcome:
        found: Outcome = self.until(lambda: self.system.ledger.outcome(run_id), f"{run_id} to end")
        return found

    def pings(self, run_id: str) -> list[str]:
        """The last word of the address of each ping of a run, in the order in which they came."""
        said = [post for post in self.switch.posts if run_id in post.text]
        return [post.path.rpartition("/")[2] for post in said]

    def told(self) -> list[dict[str, Any]]:
        """Everything that Sentry was sent: the events and check-ins of all envelopes."""
        found = []
        for post in list(self.sentry.posts):
            lines = post.body.split(b"\n")
            kinds = [json.loads(line).get("type") for line in lines[1::2] if line.startswith(b"{")]
            found += [{**json.loads(line), "item": kind} for kind, line in
                      zip(kinds, lines[2::2], strict=False) if kind in {"event", "check_in"}]
        return found

    def events(self, run_id: str) -> list[dict[str, Any]]:
        return [each for each in self.told() if each["item"] == "event"
                and each.get("tags", {}).get("run_id") == run_id]

    def check_ins(self, tier: str) -> list[dict[str, Any]]:
        return [each for each in self.told() if each["item"] == "check_in"
                and each["monitor_slug"] == f"nightscan-{tier}"]


@pytest.fixture(scope="module")
def place(servers: Callable[..., World], listening: Callable[[], Any], until: Any,
          tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, switch, sentry = tmp_path_factory.mktemp("place"), listening(), listening()
    for name in ("root/uploads", "etc", "home", "tmp"):
        (folder / name).mkdir(parents=True)
    (folder / "root/uploads/a.wav").write_bytes(b"a" * 5000)
    (folder / "etc/crontab").write_text("0 2 * * * root true\n")
    switch.answers |= {"/weekly": 0, "/monthly": 404}
    environ = {
        "NIGHTSCAN_BROKER_URL": servers("broker").environ()["NIGHTSCAN_BROKER_URL"],
        "NIGHTSCAN_ROOT": str(folder / "root"), "NIGHTSCAN_ETC": str(folder / "etc"),
        "NIGHTSCAN_BACKUP_DIR": str(folder / "backups"), "NIGHTSCAN_TEMP_DIR": str(folder / "tmp"),
        "NIGHTSCAN_DB_HOST": "127.0.0.1", "NIGHTSCAN_DB_PORT": "1", "NIGHTSCAN_DB_NAME": f"of {_PASSWORD}",
        "NIGHTSCAN_DB_PASSWORD": _PASSWORD, "REDIS_URL": "redis://127.0.0.1:1/0",
        "NIGHTSCAN_RETRIES": "0", "NIGHTSCAN_RETRY_SECONDS": "1", "NIGHTSCAN_LEASE_SECONDS": "10",
        "NIGHTSCAN_PING_URL": f"{switch.url}/{_KEY}/{{tier}}",
        "SENTRY_DSN": f"http://{'k' * 32}@127.0.0.1:{sentry.port}/1",
    }
    log = folder / "log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "worker", "worker", "-n", "all@notify", "-c", "2", "-Q",
             "nightscan.fast,nightscan.heavy,nightscan.control", "--without-gossip", "--without-mingle",
             "--loglevel", "DEBUG"], env={**environment.of_processes(folder), **environ}, cwd=folder,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    app = client(environ)
    try:
        until(lambda: " ready." in log.read_text() or worker.poll() is not None, "the worker to be ready")
        yield Place(environ, app, switch, sentry, log, until)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        dismiss(app)


@pytest.fixture
def begun(place: Place) -> Callable[..., str]:
    """Open a run of some components, and have the workers do it: its id."""

    def begin(tier: Tier, *components: str) -> str:
        system = place.system
        run = backup.open_run(system, Request(Plan(tier, components, Days(7)))).run
        place.send("reap")  # which starts what waits
        return run.run_id

    return begin


@pytest.fixture(scope="module")
def failed(place: Place) -> Outcome:
    """A daily run of which nothing but the files is saved."""
    run_id = str(place.send("backup_daily").get(timeout=180)["run_id"])
    outcome = place.outcome(run_id)
    place.until(lambda: "fail" in place.pings(run_id), "the switch to be told of the end")
    place.until(lambda: len(place.check_ins("daily")) == 2, "Sentry to be told of the end")
    return outcome


def test_a_run_that_lacks_components_tells_the_switch_that_it_failed_and_of_what(
        place: Place, failed: Outcome) -> None:
    assert failed.ending is Ending.INCOMPLETE
    assert place.pings(failed.run_id) == ["start", "fail"]
    start, end = (post for post in place.switch.posts if failed.run_id in post.text)
    assert start.query["rid"] == end.query["rid"]  # so its duration is measured
    assert end.text.startswith(f"{failed.run_id}: incomplete, ")
    assert "\ndatabase: " in end.text
    assert "\nredis: " in end.text
    seen = place.until(lambda: (found := last_pings(place.system.primary)[Tier.DAILY])
                       and found.phase == "fail" and found, "that to be on record")
    assert (seen.ok, seen.run_id) == (True, failed.run_id)


def test_sentry_has_one_event_for_each_failed_component_with_its_tags(place: Place, failed: Outcome) -> None:
    events = sorted(place.events(failed.run_id), key=lambda each: str(each["tags"]["component"]))
    assert [each["tags"]["component"] for each in events] == ["database", "redis"]
    assert {each["tags"]["tier"] for each in events} == {"daily"}
    assert [each["exception"]["values"][0]["type"] for each in events] == ["SourceUnavailable"] * 2
    assert [each["fingerprint"] for each in events] == [
        ["nightscan", name, "", "SourceUnavailable"] for name in ("database", "redis")]
    assert [each["exception"]["values"][0]["value"].partition(": ")[0] for each in events] == [
        "database", "redis"]
    assert not [each for each in place.told() if each["item"] == "event" and each not in events]


def test_sentry_s_monitor_is_told_by_begin_and_settle_as_one_check_in(place: Place, failed: Outcome) -> None:
    begin, end = place.check_ins("daily")
    assert (begin["status"], end["status"]) == ("in_progress", "error")
    assert begin["check_in_id"] == end["check_in_id"]
    assert end["duration"] == failed.elapsed_seconds
    assert begin["monitor_config"]["schedule"] == {"type": "crontab", "value": "0 2 * * *"}
    assert begin["monitor_config"]["timezone"] == "UTC"
    assert begin["monitor_config"]["max_runtime"] >= 6 * 60


def test_nothing_that_left_has_a_secret(place: Place, failed: Outcome) -> None:
    told = "".join(post.text for post in [*place.switch.posts, *place.sentry.posts])
    assert "database of [hidden]" in told  # it was on its way
    assert _PASSWORD not in told
    assert _KEY not in "".join(post.text for post in place.sentry.posts)
    assert _KEY not in place.log.read_text()


def test_a_good_run_tells_success_and_one_that_is_settled_again_does_not_tell_it_again(
        place: Place, begun: Callable[..., str], failed: Outcome) -> None:
    run_id = begun(Tier.DAILY, "user_data")
    assert place.outcome(run_id).ending is Ending.GOOD
    place.until(lambda: "daily" in place.pings(run_id), "the switch to be told of the end")
    place.until(lambda: [each["status"] for each in place.check_ins("daily")][2:] == ["in_progress", "ok"],
                "Sentry to be told too")
    for _redelivered in range(2):
        place.send("settle", run_id).get(timeout=180)
    place.send("reap").get(timeout=180)
    assert place.pings(run_id) == ["start", "daily"]
    assert len(place.check_ins("daily")) == 4
    assert list(Pings(place.system.primary).owed()) == []


def test_who_is_killed_right_after_settling_has_the_end_told_by_another(
        place: Place, begun: Callable[..., str], failed: Outcome) -> None:
    run_id = begun(Tier.DAILY, "user_data")
    place.until(lambda: place.pings(run_id) == ["start", "daily"], "its end to be told")
    place.until(lambda: Pings(place.system.primary).paid(run_id), "that to be on record")
    backups = Path(place.environ["NIGHTSCAN_BACKUP_DIR"])
    (backups / "runs" / run_id / "signalled.json").unlink()  # as if settle had died before it told
    Pings(place.system.primary).owe(run_id)
    place.send("reap").get(timeout=180)
    assert not Pings(place.system.primary).paid(run_id)  # whoever settled it may still be at it
    long_ago = time.time() - 600
    os.utime(backups / "pings" / "owed" / run_id, (long_ago, long_ago))
    place.send("reap").get(timeout=180)
    place.until(lambda: place.pings(run_id) == ["start", "daily", "daily"], "the end to be told once more")
    assert Pings(place.system.primary).paid(run_id)
    assert list(Pings(place.system.primary).owed()) == []


def test_a_switch_that_hangs_delays_no_run_and_fails_none(place: Place, begun: Callable[..., str]) -> None:
    run_id = begun(Tier.WEEKLY, "system_config")
    assert place.outcome(run_id).ending is Ending.GOOD
    place.until(lambda: place.switch.hanging, "a ping to hang")
    place.switch.answers["/weekly"] = 200
    place.switch.released.set()
    place.until(lambda: "weekly" in place.pings(run_id), "the end to be told")


def test_a_switch_that_refuses_fails_no_run_and_is_on_record_without_its_address(
        place: Place, begun: Callable[..., str]) -> None:
    run_id = begun(Tier.MONTHLY, "system_config")
    assert place.outcome(run_id).ending is Ending.GOOD
    seen = place.until(lambda: (found := last_pings(place.system.primary).get(Tier.MONTHLY))
                       and found.phase == "success" and found, "the refusal to be on record")
    assert not seen.ok
    assert "answers 404" in seen.problem
    assert "NIGHTSCAN_PING_URL" in seen.problem
    assert _KEY not in seen.problem
    assert seen.since is not None
    assert seen.since <= seen.at


def test_what_is_of_no_timetable_is_not_pinged_but_its_failures_are_reported(
        place: Place, begun: Callable[..., str]) -> None:
    before = len(place.switch.posts)
    run_id = begun(Tier.MANUAL, "system_config", "redis")
    assert place.outcome(run_id).ending is Ending.INCOMPLETE
    place.until(lambda: Pings(place.system.primary).paid(run_id), "its end to be told")
    (event,) = place.until(lambda: place.events(run_id), "Sentry to be told")
    assert (event["tags"]["component"], event["tags"]["tier"]) == ("redis", "manual")
    assert not place.check_ins("manual")
    assert not [post for post in place.switch.posts[before:] if run_id in post.text]


def test_a_bug_is_one_event_with_tags_and_where_it_came_from(place: Place, begun: Callable[..., str]) -> None:
    run_id = begun(Tier.MANUAL, "system_config")
    place.outcome(run_id)
    with pytest.raises(TypeError, match="unexpected keyword"):
        place.send("upload", run_id, "user_data", "offsite", wrong=1).get(timeout=180)
    (event,) = place.until(lambda: [each for each in place.events(run_id)
                                    if each["tags"].get("component") == "user_data"], "Sentry to be told")
    assert (event["tags"]["tier"], event["tags"]["store"]) == ("manual", "offsite")
    assert event["exception"]["values"][-1]["stacktrace"]["frames"]


def test_a_local_backup_tells_the_same_and_is_no_slower_for_a_switch_that_is_down(place: Place) -> None:
    """In a process of its own, as somebody types it; it ends only once Sentry was told."""
    before = len(place.check_ins("daily"))
    words = ("-m", "nightscan_tasks.cli", "backup", "daily", "--local", "--json")
    done = subprocess.run([sys.executable, *words], env={**os.environ, **place.environ}, check=False,
                          capture_output=True, text=True, cwd=Path(__file__).resolve().parents[2])
    assert done.returncode == 1, done.stderr
    run_id = str(json.loads(done.stdout)["run_id"])
    assert place.pings(run_id) == ["start", "fail"]
    assert [each["status"] for each in place.check_ins("daily")[before:]] == ["in_progress", "error"]
    assert sorted(each["tags"]["component"] for each in place.events(run_id)) == ["database", "redis"]
    assert Pings(place.system.primary).paid(run_id)
    assert _PASSWORD not in "".join(post.text for post in place.sentry.posts)


def test_a_success_of_long_ago_and_a_start_of_what_has_ended_are_not_told(
        place: Place, failed: Outcome) -> None:
    later = System(load(place.environ), lambda: datetime.now(UTC) + timedelta(hours=7))
    before = len(place.switch.posts)
    assert send_ping(later, failed.run_id, Phase.SUCCESS) == ""
    assert send_ping(later, failed.run_id, Phase.START) == ""
    assert len(place.switch.posts) == before


def test_the_timetable_is_told_as_crontabs_are_written() -> None:
    assert tiers_due() == {Tier.DAILY: "0 2 * * *", Tier.WEEKLY: "0 2 * * 0", Tier.MONTHLY: "0 2 1 * *"}


def test_a_switch_that_is_down_for_a_moment_is_no_problem_before_the_last_try(
        place: Place, failed: Outcome) -> None:
    pings, down = Pings(place.system.primary), System(load({**place.environ, "NIGHTSCAN_PING_URL": (
        f"http://127.0.0.1:1/{_KEY}/{{tier}}")}))
    before = pings.last()[Tier.DAILY]
    for last in (False, True):
        with pytest.raises(NotPingedYet):
            send_ping(down, failed.run_id, Phase.FAIL, last=last)
        assert (pings.last()[Tier.DAILY] == before) is not last
    assert "nothing listens there" in pings.last()[Tier.DAILY].problem
    send_ping(place.system, failed.run_id, Phase.FAIL)
    assert pings.last()[Tier.DAILY].ok
