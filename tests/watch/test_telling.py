"""From a look to what a channel hears, over real HTTP, with a real book in a real store."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.errors import Busy
from nightscan_tasks.system import System
from nightscan_tasks.tasks.glancing import glance
from nightscan_tasks.watch.book import Book
from nightscan_tasks.watch.finding import find_problems
from nightscan_tasks.watch.overview import KeySeen
from nightscan_tasks.watch.telling import Telling, tell


@dataclass
class Listener:
    """A webhook that takes what it is told, or answers with `status`."""

    url: str
    status: int = 200
    heard: list[str] = field(default_factory=list)


@pytest.fixture
def slack() -> Iterator[Listener]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if listener.status == 200:
                listener.heard.append(body["text"])
            self.send_response(listener.status)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Nothing: a test is quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener = Listener(f"http://127.0.0.1:{server.server_port}/hooks/secret-of-slack")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield listener
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def told(settings_of: Callable[..., System], slack: Listener) -> System:
    """An installation without any set, whose alerts go to Slack."""
    return settings_of(SLACK_WEBHOOK_URL=slack.url, NIGHTSCAN_OFFSITE="")


def look(system: System, *, hours: float = 0) -> Telling:
    now = system.clock() + timedelta(hours=hours)
    later = replace(system, clock=lambda: now)
    return tell(later, glance(later))


def test_a_problem_is_told_once_reminded_of_and_told_when_it_is_over(
        told: System, slack: Listener, settings_of: Callable[..., System]) -> None:
    raised = look(told)
    assert sorted(alert.key for alert in raised.raised) == [
        "never:daily", "never:monthly", "never:weekly", "no_offsite:offsite"]
    assert len(slack.heard) == 1
    message = slack.heard[0]
    assert "NightScan Lyon: CRITICAL: no daily set has ever been saved (and 3 more)" in message
    assert "$ nightscan backup daily" in message
    assert "there is no offsite store" in message
    look(told, hours=6)
    look(told, hours=12)
    assert len(slack.heard) == 1
    look(told, hours=24)
    assert len(slack.heard) == 2
    assert "reminder: 4 problems" in slack.heard[1]
    mended = settings_of(SLACK_WEBHOOK_URL=slack.url)
    over = look(mended, hours=25)
    assert [alert.key for alert in over.over] == ["no_offsite:offsite"]
    assert "well again: there is no offsite store" in slack.heard[2]
    closed, now = list(Book(told.primary).closed()), told.clock()
    assert [(alert.key, alert.noticed_at, alert.closed_at) for alert in closed] == [
        ("no_offsite:offsite", now, now + timedelta(hours=25))]


def test_a_channel_that_fails_is_reported_and_hides_nothing(told: System, slack: Listener) -> None:
    slack.status = 500
    failed = look(told)
    assert failed.told == ()
    assert [each.partition(":")[0] for each in failed.problems] == ["slack"]
    assert "secret-of-slack" not in failed.problems[0]
    seen = glance(told)
    assert "untold:slack" in {each.key for each in seen.problems}
    slack.status = 200
    assert look(told, hours=1).told == ("slack",)
    assert "no daily set has ever been saved" in slack.heard[0]
    assert look(told, hours=2).problems == ()
    assert "untold:slack" not in {each.key for each in glance(told).problems}


def test_one_channel_hears_that_another_does_not_listen(
        slack: Listener, settings_of: Callable[..., System]) -> None:
    both = settings_of(SLACK_WEBHOOK_URL=slack.url, NIGHTSCAN_OFFSITE="",
                       NIGHTSCAN_ALERT_URLS="json://127.0.0.1:9/another-secret")
    look(both)
    assert any("alerts do not get through: json" in each for each in slack.heard)
    assert "another-secret" not in "".join(slack.heard)
    number = len(slack.heard)
    look(both, hours=1)
    assert len(slack.heard) == number


def test_without_the_primary_store_one_is_told_once_too(
        told: System, slack: Listener, tmp_path: Path) -> None:
    look(told)
    backups, away = tmp_path / "backups", tmp_path / "away"
    backups.rename(away)
    backups.write_text("somebody put a file where the folder should be")
    look(told, hours=1)
    look(told, hours=2)
    assert len(slack.heard) == 2
    assert "CRITICAL: the store primary does not answer" in slack.heard[1]
    assert (tmp_path / f"nightscan-alerts-{os.getuid()}").stat().st_mode & 0o777 == 0o700
    backups.unlink()
    away.rename(backups)
    assert [alert.key for alert in look(told, hours=3).over] == ["unreachable:primary"]
    assert len(slack.heard) == 3
    assert "well again: the store primary does not answer" in slack.heard[2]
    assert not (tmp_path / f"nightscan-alerts-{os.getuid()}").exists()


def test_a_primary_store_that_cannot_be_written_keeps_nobody_from_being_told(
        told: System, slack: Listener, tmp_path: Path) -> None:
    told.primary.put("probe/there", [b"x"])
    leases = tmp_path / "backups" / "leases"
    leases.write_text("no lease can be taken")
    look(told)
    look(told, hours=1)
    assert len(slack.heard) == 1
    assert "no daily set has ever been saved" in slack.heard[0]
    leases.unlink()
    look(told, hours=2)
    assert len(slack.heard) == 1
    assert len(Book(told.primary).page().alerts) == 4


def test_two_looks_at_once_do_not_tell_twice(told: System, slack: Listener) -> None:
    with told.leases.hold("alerts", "another"), pytest.raises(Busy):
        look(told)
    assert slack.heard == []


def test_what_only_a_thorough_look_sees_stays_open_until_the_next(told: System, slack: Listener) -> None:
    seen = glance(told)
    with_key = replace(seen, keys=(KeySeen("encryption", "backup@x", seen.now + timedelta(days=3)),))
    tell(told, replace(with_key, problems=find_problems(with_key, told.settings),
                       blind=("no_worker:*", "waiting:*")))
    assert "a key expires" in slack.heard[0]
    assert "key_expires:encryption" in {each.key for each in glance(told).problems}
    assert look(told, hours=1).over == ()


def test_it_is_told_in_french(slack: Listener, settings_of: Callable[..., System]) -> None:
    look(settings_of(SLACK_WEBHOOK_URL=slack.url, NIGHTSCAN_LANGUAGE="fr", NIGHTSCAN_OFFSITE=""))
    assert "CRITIQUE: aucun jeu daily" in slack.heard[0]
    assert "(et 3 autres)" in slack.heard[0]
    assert "Everything" not in slack.heard[0]
