"""The timetable: when each task is due, and that a broker that is down at that moment loses none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import redis
from celery import Celery
from celery.schedules import crontab

from beat_schedule import schedule
from nightscan_tasks.world.world import World
from worker.scheduler import Scheduler

PARIS = ZoneInfo("Europe/Paris")
_DUE_EVERY_SECOND = """\
from datetime import timedelta

import beat_schedule
from worker.app import app

app.conf.task_publish_retry_policy = {"max_retries": 0}  # so that only the entry's own patience counts
app.conf.beat_schedule = {"daily": {**beat_schedule.schedule()["daily"], "schedule": timedelta(seconds=1)}}
"""


def test_beat_sends_what_was_due_while_the_broker_was_down(tmp_path: Path, until: Callable[..., Any]) -> None:
    folder = tmp_path / "w"
    world = World.up(folder, services=("broker",), celery=False)
    log = tmp_path / "beat.log"
    (tmp_path / "due.py").write_text(_DUE_EVERY_SECOND)
    env = world.processes_environ()
    env["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{env['PYTHONPATH']}"
    with log.open("wb") as output:
        beat = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "due", "beat", "--schedule", str(tmp_path / "schedule"),
             "--pidfile", "", "--max-interval", "1", "--loglevel", "DEBUG"], cwd=tmp_path, env=env,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)

    def sent() -> int:
        return log.read_text().count("Sending due task")

    def arrived() -> int:
        with redis.Redis.from_url(env["NIGHTSCAN_BROKER_URL"]) as broker:
            return int(broker.llen("nightscan.control"))

    try:
        until(lambda: arrived() >= 1, "a first task to arrive")
        world.stop("broker")
        before = sent()
        until(lambda: sent() > before, "a task to become due while the broker is down")
        due = sent()
        world = World.up(folder, services=("broker",), celery=False)
        assert world.environ()["NIGHTSCAN_BROKER_URL"] == env["NIGHTSCAN_BROKER_URL"]
        until(lambda: arrived() >= due, "all that was due to arrive")
    finally:
        os.killpg(beat.pid, signal.SIGKILL)
        beat.wait()
        World.down(folder)
    assert "Message Error" not in log.read_text()


def test_a_clock_that_was_set_back_does_not_silence_beat(tmp_path: Path) -> None:
    app = Celery(set_as_current=False)
    often = {"task": "nightscan.reap", "schedule": timedelta(minutes=1)}
    app.conf.update(broker_url="memory://", beat_schedule={"often": often})
    scheduler = Scheduler(app, schedule_filename=str(tmp_path / "schedule"))
    sent: list[str] = []
    scheduler.apply_entry = lambda entry, producer=None: sent.append(entry.name)
    try:
        scheduler.tick()
        for offset, wanted in ((timedelta(days=-1), 1), (timedelta(days=1), 0)):
            sent.clear()
            scheduler.schedule["often"].last_run_at = datetime.now(UTC) + offset
            scheduler._heap = None
            while scheduler.tick() == 0:
                pass
            assert sent.count("often") == wanted
            assert scheduler.schedule["often"].last_run_at <= datetime.now(UTC)
    finally:
        scheduler.close()
        app.close()


def due_between(entry: str, first: datetime, last: datetime) -> list[datetime]:
    """The local moments at which a crontab of the schedule is due, asked as beat asks: by the minute."""
    when: crontab = schedule()[entry]["schedule"]
    app = Celery(set_as_current=False)
    app.conf.timezone, app.conf.enable_utc = "Europe/Paris", True
    moments, sent_at, now = [], first, first
    while now < last:
        current = now
        asked = crontab(when._orig_minute, when._orig_hour, when._orig_day_of_week,
                        day_of_month=when._orig_day_of_month, month_of_year=when._orig_month_of_year,
                        nowfun=lambda current=current: current, app=app)
        if asked.is_due(sent_at).is_due:
            moments.append(now.astimezone(PARIS))
            sent_at = now
        now += timedelta(minutes=10)
    app.close()
    return moments


@pytest.mark.parametrize(("first", "last"), [
    (datetime(2026, 3, 27, 12, tzinfo=UTC), datetime(2026, 3, 31, 12, tzinfo=UTC)),     # 02:00 is skipped
    (datetime(2026, 10, 23, 12, tzinfo=UTC), datetime(2026, 10, 27, 12, tzinfo=UTC)),   # 02:00 is there twice
])
def test_the_daily_run_is_due_once_a_day_across_both_clock_changes(first: datetime, last: datetime) -> None:
    moments = due_between("daily", first, last)
    assert len({moment.date() for moment in moments}) == len(moments) == 4
    assert all(moment.hour in {2, 3} for moment in moments)  # 03:00 where there is no 02:00


def test_weekly_is_due_on_sundays_and_monthly_on_the_first_at_two() -> None:
    first, last = datetime(2026, 10, 27, tzinfo=UTC), datetime(2026, 12, 8, tzinfo=UTC)
    weekly, monthly = due_between("weekly", first, last), due_between("monthly", first, last)
    assert [moment.weekday() for moment in weekly] == [6] * len(weekly)
    assert [(moment.month, moment.day) for moment in weekly] == [
        (11, 1), (11, 8), (11, 15), (11, 22), (11, 29), (12, 6)]
    assert [(moment.month, moment.day) for moment in monthly] == [(11, 1), (12, 1)]
    assert {moment.hour for moment in weekly + monthly} == {2}
    assert weekly[0] == monthly[0]  # Sunday the 1st: both, and the daily one too
    assert weekly[0] in due_between("daily", first, last)
