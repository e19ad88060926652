"""What Flower shows of a task is worked out from its events."""

from __future__ import annotations

from copy import copy
from typing import Any

import pytest
from celery.events.state import State

from worker.flower_task import RunTask, format_task

_RUN = "daily-20261123T020000Z"


class Seen:
    """Events as workers send them, taken in as Flower does."""

    def __init__(self) -> None:
        self.state = State()
        self.state.Task = RunTask
        self.clock = 0

    def event(self, kind: str, uuid: str, **fields: Any) -> None:
        self.clock += 1
        self.state.event({"type": f"task-{kind}", "uuid": uuid, "hostname": "all@test", "clock": self.clock,
                          "timestamp": float(self.clock), "local_received": float(self.clock), **fields})

    def done(self, uuid: str, name: str, args: str = "()", result: str = "None", **fields: Any) -> RunTask:
        self.event("received", uuid, name=f"nightscan.{name}", args=args, kwargs="{}", **fields)
        self.event("started", uuid)
        self.event("succeeded", uuid, result=result, runtime=1.0)
        return self.task(uuid)

    def task(self, uuid: str) -> RunTask:
        found: RunTask = self.state.tasks[uuid]
        return found

    def steps(self) -> list[tuple[str, str]]:
        """As Flower lists them at first: backwards by the column of runs."""
        listed = sorted(self.state.tasks.values(), key=lambda task: (task.run.casefold(), task.uuid),
                        reverse=True)
        return [(task.run_id, task.step) for task in listed]


@pytest.fixture
def seen() -> Seen:
    return Seen()


def test_the_newest_run_is_at_the_top_and_reads_downwards(seen: Seen) -> None:
    seen.done("a", "reap")
    for number, run in enumerate((_RUN, "weekly-20261122T020000Z")):
        seen.done(f"v{number}", "verify", f"('{run.replace('-', '/')}', 'nas')")
        seen.done(f"s{number}", "settle", f"('{run}',)", "{'ending': 'good'}")
        seen.done(f"u{number}", "upload", f"('{run}', 'redis', 'nas')")
        seen.done(f"d{number}", "dump_redis", f"('{run}', 'redis')")
        seen.done(f"o{number}", f"backup_{run.partition('-')[0]}", result=f"{{'run_id': '{run}'}}")
        seen.done(f"r{number}", "rotate", parent_id=f"v{number}")
    steps = ["1 open", "2 save redis", "3 copy redis to nas", "4 settle", "5 verify in nas", "6 rotate"]
    assert seen.steps() == [*((_RUN, step) for step in steps),
                            *(("weekly-20261122T020000Z", step) for step in steps), ("", "reap")]


def test_what_begins_and_has_no_run_yet_is_at_the_top(seen: Seen) -> None:
    seen.done("d", "dump_redis", "('daily-19690101T000000Z', 'redis')")
    seen.event("received", "x", name="nightscan.restore_full", args="()", kwargs="{}")
    seen.done("a", "reap")
    assert seen.steps() == [("", "restore full"), ("daily-19690101T000000Z", "2 save redis"), ("", "reap")]


@pytest.mark.parametrize(("name", "args", "result", "progress"), [
    ("dump_redis", f"('{_RUN}', 'redis')", "{'plain_bytes': 412000000, 'stored_bytes': 98000000}",
     "saved 412.0 MB as 98.0 MB"),
    ("upload", f"('{_RUN}', 'redis', 'nas')", "{'stored_bytes': 98000000}", "copied 98.0 MB"),
    ("upload", f"('{_RUN}', 'redis', 'nas')", "{'skipped': 'the part failed'}", "skipped: the part failed"),
    ("verify", f"('{_RUN}', 'nas')", "{'read_bytes': 5}", "read 5 B back"),
    ("settle", f"('{_RUN}',)", "{'run_id': 'x', 'ending': 'incomplete', 'failures': [{'par...", "incomplete"),
    ("rotate", "()", "[]", ""), ("dump_redis", "('cut off…", "{'plain_bytes'…", "")])
def test_what_came_of_it_is_said_in_words(seen: Seen, name: str, args: str, result: str,
                                          progress: str) -> None:
    assert seen.done("a", name, args, result).progress == progress


@pytest.mark.parametrize(("name", "args", "step"), [
    ("signal", f"('{_RUN}', 'start')", "signal start"), ("scrub", "('offsite',)", "scrub offsite"),
    ("archive_user_data", f"('{_RUN}', 'user_data.00')", "2 save user_data.00"),
    ("archive_user_data", "('cut off…", "2 save user_data"), ("verify", "('cut off…", "5 verify in primary"),
    ("health_check", "()", "health check")])
def test_a_step_says_what_it_is_about(seen: Seen, name: str, args: str, step: str) -> None:
    assert seen.done("a", name, args).step == step


def test_progress_and_failures_are_said_while_they_are_so(seen: Seen) -> None:
    seen.event("received", "a", name="nightscan.dump_redis", args=f"('{_RUN}', 'redis')", kwargs="{}")
    seen.event("started", "a")
    assert seen.task("a").progress == ""
    seen.event("progress", "a", result="reading 4 MB of about 8 MB, 1 MB/s")
    assert seen.task("a").progress == "reading 4 MB of about 8 MB, 1 MB/s"
    seen.event("retried", "a", exception="SourceUnavailable('Redis is\n  away')", traceback="…")
    assert seen.task("a").progress == "SourceUnavailable('Redis is away')"


def test_pages_show_the_run_itself(seen: Seen) -> None:
    shown = format_task(copy(seen.done("a", "dump_redis", f"('{_RUN}', 'redis')")))
    assert (shown.run, shown.as_dict()["run"]) == (_RUN, _RUN)
    assert shown.step == shown.as_dict()["step"] == "2 save redis"
