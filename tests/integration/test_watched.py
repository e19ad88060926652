"""A day's run as people watch it: in Flower while it goes on, and in the log when it is over."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING, Any

import pytest
import redis

from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import Tier
from nightscan_tasks.world import environment

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tools.tab import Tab

_USER, _PASSWORD = "operator", "a-password-of-flower"
_SLOW_MICROSECONDS = 20_000


@dataclass
class Flower:
    """Flower in a process of its own."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def tasks(self) -> str:
        return f"{self.url}/tasks"


@pytest.fixture(scope="module")
def crew(site: dict[str, str], crews: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One worker for every queue, which writes its log as JSON."""
    folder = tmp_path_factory.mktemp("watched")
    environ = {**site, "NIGHTSCAN_LOG": "json", "NIGHTSCAN_OFFSITE": str(folder / "offsite")}
    crew = crews(folder, environ)
    crew.hire("all", "fast", "heavy", "control", "restore", concurrency=3)
    return crew


@pytest.fixture(scope="module")
def flower(crew: Any, until: Callable[..., Any]) -> Iterator[Flower]:
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = crew.folder / "flower.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "worker", "flower", f"--port={port}"], cwd=crew.folder,
            env={**environment.of_processes(crew.folder), **crew.environ,
                 "FLOWER_BASIC_AUTH": f"{_USER}:{_PASSWORD}"},
            stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        until(lambda: _listens(port) or process.poll() is not None, "Flower to listen")
        assert process.poll() is None, log.read_text()
        yield Flower(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait()


@dataclass
class Night:
    """A daily run, as it was seen in one tab that was opened before it began, and never loaded again."""

    run_id: str
    during: list[list[str]]
    after: list[list[str]]


@pytest.fixture(scope="module")
def night(crew: Any, flower: Flower, browser: Browser, until: Callable[..., Any]) -> Night:
    from tools.tab import open_tab

    tab = open_tab(browser, flower.tasks, login=(_USER, _PASSWORD))
    with _slowed(crew.environ["REDIS_URL"]):
        run_id = crew.answer(crew.send("backup_daily"))["run_id"]
        tab.page.locator("tr", has_text="2 save redis").get_by_text("reading ").wait_for()
        during = rows(tab)
    crew.outcome(run_id)
    tab.page.locator("tr", has_text="6 rotate").get_by_text("SUCCESS").wait_for()
    night = Night(run_id, during, rows(tab))
    tab.close()
    assert tab.complaints == []
    return night


def test_a_run_reads_from_top_to_bottom(night: Night) -> None:
    run = [row for row in night.after if row[0] == night.run_id]
    assert [row[1] for row in run][:13] == [
        "1 open", "2 save database", "2 save redis", "2 save user_data.00", "2 save user_data.01",
        "3 copy database to offsite", "3 copy redis to offsite", "3 copy user_data.00 to offsite",
        "3 copy user_data.01 to offsite", "4 settle", "5 verify in offsite", "5 verify in primary",
        "6 rotate"]
    assert night.after[:len(run)] == run  # what belongs to no run comes after it
    assert {row[2] for row in run} == {"SUCCESS"}
    came_of_it = {row[1]: row[3] for row in run}
    assert came_of_it["4 settle"] == "good"
    assert re.fullmatch(r"saved [\d.]+ kB as [\d.]+ kB", came_of_it["2 save database"])
    assert re.fullmatch(r"copied [\d.]+ kB", came_of_it["3 copy redis to offsite"])


def test_how_far_it_is_is_seen_while_it_runs(night: Night) -> None:
    (row,) = [row for row in night.during if row[1] == "2 save redis"]
    assert (row[0], row[2]) == (night.run_id, "PROGRESS")
    assert re.fullmatch(r"reading [\d.]+ k?B of about [\d.]+ k?B(, [\d.]+ [kM]?B/s)?", row[3])


def test_a_run_is_found_by_its_id_and_each_task_has_a_page(
    night: Night, flower: Flower, open_page: Callable[..., Tab],
) -> None:
    tab = open_page(flower.tasks, login=(_USER, _PASSWORD), dark=True, width=360)
    tab.page.get_by_role("searchbox").fill(night.run_id)
    tab.page.get_by_text("filtered from").wait_for()
    assert {row[0] for row in rows(tab)} == {night.run_id}
    tab.page.locator("tr", has_text="2 save redis").get_by_role("link").first.click()
    page = tab.page.locator("#task-page")
    page.wait_for()
    said = dict(zip(page.locator("dt").all_inner_texts(), page.locator("dd").all_inner_texts(), strict=True))
    assert (said["Run"], said["Step"]) == (night.run_id, "2 save redis")


@pytest.mark.parametrize("path", ["/", "/tasks", "/api/tasks", "/api/workers", "/broker"])
def test_nothing_is_shown_without_the_password(flower: Flower, path: str) -> None:
    assert [asked(flower, path, login).status for login in (None, f"{_USER}:wrong", f"{_USER}:{_PASSWORD}")
            ] == [401, 401, 200]


def test_it_shows_and_does_nothing(flower: Flower, crew: Any) -> None:
    answer = asked(flower, "/api/task/async-apply/nightscan.backup_weekly", f"{_USER}:{_PASSWORD}", b"{}")
    assert answer.status == 403
    assert not crew.system.ledger.newest(Tier.WEEKLY, count=1)


def test_a_good_run_is_a_dozen_lines_of_json_and_nothing_else(night: Night, crew: Any) -> None:
    lines = said(crew)
    assert all(line["level"] == "INFO" for line in lines if line["logger"] != "py.warnings")
    assert [line["message"] for line in lines if not line["run_id"] and line["logger"] != "py.warnings"] == [
        "all@test ready."]
    run = [line for line in lines if line["run_id"]]
    assert {(line["run_id"], line["tier"]) for line in run} == {(night.run_id, "daily")}
    assert all({"time", "level", "event", "message", "task", "task_id", "host"} <= set(line) for line in run)
    parts = ["database", "redis", "user_data.00", "user_data.01"]
    expected = [("run_opened", "", ""), *(("part_saved", part, "") for part in parts),
                *(("part_copied", part, "offsite") for part in parts), ("run_settled", "", ""),
                ("set_verified", "", "primary"), ("set_verified", "", "offsite")]
    told = [(line["event"], line.get("part", ""), line.get("store", "")) for line in run]
    assert sorted(told) == sorted(expected)
    assert (told[0], told[9:]) == (expected[0], expected[9:])
    (settled,) = (line for line in run if line["event"] == "run_settled")
    assert re.fullmatch(r"ended good: [\d.]+ kB saved as [\d.]+ kB in [\d.]+ s, in primary and offsite",
                        settled["message"])


def test_periodic_tasks_that_find_nothing_to_do_say_nothing(night: Night, crew: Any) -> None:
    before = said(crew)
    for name in ("reap", "make_up", "replicate", "reap_restores", "rotate", "notify"):
        crew.answer(crew.send(name))
    assert said(crew) == before


def test_a_failure_is_one_line_with_its_reason(night: Night, crew: Any, until: Callable[..., Any]) -> None:
    before = len(said(crew))
    with _locked(crew.environ["REDIS_URL"]):
        run_id = crew.manual("redis")
        assert crew.outcome(run_id).ending == Ending.FAILED
    # It is sent by the task that settles, and knows the run from it alone.
    until(lambda: said(crew)[-1]["event"] == "alert_raised", "the alert to be told")
    _opened, *wrong = said(crew)[before:]
    assert [(line["event"], line["level"], line["run_id"], line.get("component")) for line in wrong] == [
        ("task_failed", "ERROR", run_id, "redis"), ("run_settled", "ERROR", run_id, None),
        ("alert_raised", "WARNING", run_id, None)]
    assert wrong[0]["message"].startswith("redis failed: ")
    assert "password" in wrong[0]["message"]
    assert wrong[0]["error"] == "SourceRefused"


def test_a_bug_is_one_line_with_its_frames(night: Night, crew: Any) -> None:
    with pytest.raises(TypeError):
        crew.answer(crew.send("verify", "daily/20200101T000000Z", 5))
    (line,) = [line for line in said(crew) if line.get("error") == "TypeError"]
    assert (line["event"], line["run_id"]) == ("task_failed", "daily-20200101T000000Z")
    assert "arguments.py" in line["traceback"]


def rows(tab: Tab) -> list[list[str]]:
    """The texts of Flower's list, a list for each task."""
    found = tab.page.locator("#tasks-table tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))")
    return [list(map(str, row)) for row in found]


def said(crew: Any) -> list[dict[str, Any]]:
    """Each line of the worker's log, all of which are JSON."""
    return [json.loads(line) for line in crew.hands["all"].said().splitlines()]


def asked(flower: Flower, path: str, login: str | None, body: bytes | None = None) -> HTTPResponse:
    connection = HTTPConnection(flower.url.removeprefix("http://"), timeout=120)
    token = base64.b64encode((login or "").encode()).decode()
    headers = {"Authorization": f"Basic {token}"} if login else {}
    try:
        connection.request("POST" if body else "GET", path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer
    finally:
        connection.close()


@contextlib.contextmanager
def _locked(url: str) -> Iterator[None]:
    """A Redis that asks for a password."""
    with redis.Redis.from_url(url) as server:
        before = server.config_get("requirepass")["requirepass"]
        server.config_set("requirepass", "unknown to anybody")
        try:
            yield
        finally:
            server.config_set("requirepass", before)


@contextlib.contextmanager
def _slowed(url: str) -> Iterator[None]:
    """A Redis that hands its keys out slowly."""
    with redis.Redis.from_url(url) as server:
        server.config_set("rdb-key-save-delay", _SLOW_MICROSECONDS)
        try:
            yield
        finally:
            server.config_set("rdb-key-save-delay", 0)


def _listens(port: int) -> bool:
    with contextlib.closing(socket.socket()) as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0
