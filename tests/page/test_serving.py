"""`nightscan serve`, asked over real HTTP."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from nightscan_tasks.errors import NightscanError, SettingsError
from nightscan_tasks.report.listening import plan_listening
from nightscan_tasks.report.page import policy
from nightscan_tasks.settings import load
from nightscan_tasks.watch.overview import Overview

PASSWORD = "correct horse"
SECRET = "hunter2-in-an-error"
PAGES = ("/", "/status.json", "/metrics", "/report", "/report/2026-10")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str


def ask(url: str, path: str = "/", *, method: str = "GET", password: str | None = None,
        host: str | None = None) -> Answer:
    """What a server answers to just this path, as it is."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 0, timeout=180)
    try:
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host or place.netloc)
        if password is not None:
            token = base64.b64encode(f"anybody:{password}".encode()).decode()
            connection.putheader("Authorization", f"Basic {token}")
        connection.endheaders()
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()},
                      answer.read().decode())
    finally:
        connection.close()


@dataclass
class Looks:
    """Looks that are counted, and wait for each other if they are told to."""

    overview: Overview
    count: int = 0
    gate: threading.Event | None = None

    def __call__(self) -> Overview:
        self.count += 1
        if self.gate is not None:
            assert self.gate.wait(180)
        return self.overview


@pytest.fixture(scope="module")
def open_to_all(ill: Any, serving: Callable[..., str]) -> str:
    """A server on loopback without a password."""
    return serving(Looks(ill.overview))


@pytest.fixture(scope="module")
def locked(ill: Any, serving: Callable[..., str]) -> str:
    """A server with a password."""
    return serving(Looks(ill.overview), password=PASSWORD)


def test_the_page_is_served_under_its_own_policy_and_asked_for_again(open_to_all: str) -> None:
    answer = ask(open_to_all)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"] == f"{policy(answer.text)}; frame-ancestors 'none'"
    assert '<meta http-equiv="refresh" content="300">' in answer.text
    assert 'http-equiv="refresh"' not in ask(open_to_all, "/?refresh=off").text


def test_status_metrics_and_report_are_there_too(open_to_all: str) -> None:
    status = json.loads(ask(open_to_all, "/status.json").text)
    assert (status["health"], status["site"]) == ("critical", "NightScan Lyon")
    metrics = ask(open_to_all, "/metrics")
    assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "\nnightscan_" in metrics.text
    last_month = ask(open_to_all, "/report")
    assert last_month.text == ask(open_to_all, "/report/2026-10").text
    assert last_month.headers["content-security-policy"].startswith(policy(last_month.text))


@pytest.mark.parametrize("path", [
    "/nothing", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/report/2026-13",
    "/report/1999-01", "/report/2027-01", "/report/../status.json", "/static/page.css",
    "/page.html.jinja", "/report/2026-10/", "/" + "y" * 3000,
])
def test_there_is_nothing_anywhere_else(open_to_all: str, path: str) -> None:
    answer = ask(open_to_all, path)
    assert answer.status == 404
    assert "root:" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("path", [*PAGES, "/nothing", "/healthz"])
def test_every_answer_says_what_a_browser_must_not_do(open_to_all: str, path: str) -> None:
    headers = ask(open_to_all, path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none';")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "tornado" not in headers["server"].lower()


@pytest.mark.parametrize("path", [*PAGES, "/healthz"])
def test_head_is_the_same_without_its_text(open_to_all: str, path: str) -> None:
    whole, head = ask(open_to_all, path), ask(open_to_all, path, method="HEAD")
    assert (head.status, head.text) == (200, "")
    assert head.headers["content-length"] == whole.headers["content-length"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_only_reads(open_to_all: str, method: str) -> None:
    assert ask(open_to_all, method=method).status == 405


@pytest.mark.parametrize("host", [
    "evil.example", "127.0.0.1.evil.example", "evil.example:8321", "[::2]", "@"])
def test_without_a_password_a_request_for_another_host_is_refused(open_to_all: str, host: str) -> None:
    answer = ask(open_to_all, host=host)
    assert answer.status in {400, 421}
    assert "NightScan Lyon" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "localhost:8321", "127.0.0.1:1", "[::1]:8321"])
def test_a_request_for_this_host_is_answered(open_to_all: str, host: str) -> None:
    assert ask(open_to_all, host=host).status == 200


@pytest.mark.parametrize(("path", "password"), [
    *((path, None) for path in (*PAGES, "/nothing")),
    *(("/", wrong) for wrong in ("", PASSWORD + " ", PASSWORD[:-1], "\u00e9"))])
def test_nothing_is_told_without_the_password(locked: str, path: str, password: str | None) -> None:
    answer = ask(locked, path, password=password)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="NightScan", charset="UTF-8"'
    assert "Lyon" not in answer.text


def test_with_the_password_everything_is_told_under_any_host_name(locked: str) -> None:
    assert [ask(locked, path, password=PASSWORD).status for path in PAGES] == [200] * len(PAGES)
    assert ask(locked, password=PASSWORD, host="backups.example.org").status == 200


@pytest.mark.parametrize("header", [
    "Basic", "Basic !!!", "Basic /w==", "Bearer x", "basic " + "A" * 5000, ""])
def test_a_header_that_makes_no_sense_is_no_password(locked: str, header: str) -> None:
    place = urlsplit(locked)
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 0, timeout=180)
    connection.request("GET", "/", headers={"Authorization": header})
    assert connection.getresponse().status == 401
    connection.close()


def test_being_alive_is_no_secret_and_says_nothing_more(locked: str) -> None:
    answer = ask(locked, "/healthz", host="anything.example")
    assert (answer.status, answer.text) == (200, "ok\n")


def test_one_look_serves_all_who_ask_meanwhile_and_for_a_while(ill: Any, serving: Callable[..., str]) -> None:
    looks = Looks(ill.overview, gate=threading.Event())
    url, found = serving(looks), []
    threads = [threading.Thread(target=lambda path=path: found.append(ask(url, path).status))
               for path in ("/", "/status.json", "/metrics", "/", "/")]
    for thread in threads:
        thread.start()
    assert ask(url, "/healthz").status == 200  # a look that hangs keeps nobody else waiting
    assert looks.gate is not None
    looks.gate.set()
    for thread in threads:
        thread.join(180)
    assert found == [200] * 5
    assert ask(url).status == 200
    assert looks.count == 1


def test_an_error_to_look_is_a_page_that_says_what_is_wrong_and_the_next_look_may_succeed(
    ill: Any, serving: Callable[..., str],
) -> None:
    looks: list[Callable[[], Overview]] = [lambda: ill.overview, _unforeseen, _refused]

    def look() -> Overview:
        return looks.pop()()

    url = serving(look)
    refused = ask(url)
    assert refused.status == 503
    assert "the disk is gone" in refused.text
    assert "mount it" in refused.text
    unforeseen = ask(url, "/status.json")
    assert unforeseen.status == 500
    assert SECRET not in unforeseen.text
    assert "Traceback" not in unforeseen.text
    assert ask(url).status == 200


def _refused() -> Overview:
    raise NightscanError("the disk is gone\nmount it")


def _unforeseen() -> Overview:
    raise RuntimeError(f"redis://:{SECRET}@localhost")


def test_an_error_of_which_nobody_thought_is_logged_without_its_text(
    serving: Callable[..., str], caplog: pytest.LogCaptureFixture,
) -> None:
    assert ask(serving(_unforeseen)).status == 500
    assert "RuntimeError" in caplog.text
    assert "_unforeseen" in caplog.text  # where it was
    assert SECRET not in caplog.text


def test_a_client_that_never_ends_its_question_keeps_nobody_waiting(open_to_all: str) -> None:
    place = urlsplit(open_to_all)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=120) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        assert ask(open_to_all, "/healthz").status == 200


def test_what_is_far_too_long_is_refused(open_to_all: str) -> None:
    place = urlsplit(open_to_all)
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 0, timeout=180)
    connection.request("GET", "/", headers={"X-Long": "x" * 70_000})
    try:
        assert connection.getresponse().status in {400, 431}
    except (ConnectionError, http.client.RemoteDisconnected):
        pass  # it was hung up on
    finally:
        connection.close()
    assert ask(open_to_all, "/healthz").status == 200


@pytest.mark.parametrize("host", [
    "0.0.0.0", "::", "192.0.2.1", "backups.example.org", "localhost.example.org"])  # noqa: S104 - refused
def test_it_does_not_listen_beyond_loopback_without_a_password(host: str) -> None:
    with pytest.raises(SettingsError, match="set NIGHTSCAN_SERVE_PASSWORD") as refused:
        plan_listening(load({"NIGHTSCAN_SERVE_HOST": host}))
    assert host in str(refused.value)
    allowed = plan_listening(load({"NIGHTSCAN_SERVE_HOST": host, "NIGHTSCAN_SERVE_PASSWORD": PASSWORD}))
    assert allowed.host == host
    assert PASSWORD not in repr(allowed)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_on_loopback_it_listens_without_one(host: str) -> None:
    assert plan_listening(load({}), host=host, port=0).host == host
    assert plan_listening(load({})).url == "http://127.0.0.1:8321/"


def test_the_page_works_in_a_browser_with_a_password_and_leads_to_the_report(
    open_page: Callable[..., Any], locked: str,
) -> None:
    tab = open_page(locked, login=("anybody", PASSWORD))
    assert tab.page.locator("h1").text_content() == "Backups of NightScan Lyon"
    tab.page.get_by_role("link", name="last month's report").click()
    tab.page.wait_for_url("**/report")
    assert tab.page.locator("h1").count() == 1
    assert {urlsplit(each).netloc for each in tab.requests if not each.startswith("data:")} \
        == {urlsplit(locked).netloc}
    tab.complaints[:] = [each for each in tab.complaints if "401" not in each]  # what it is asked by


@dataclass(frozen=True)
class Running:
    """`nightscan serve` as it is run."""

    process: subprocess.Popen[str]
    url: str


@pytest.fixture
def running(ill: Any, environ_of_past: dict[str, str], tmp_path: Path) -> Iterator[Running]:
    """With a password, which is in a file."""
    (tmp_path / "password").write_text(PASSWORD)
    environ = {**os.environ, **environ_of_past, "NIGHTSCAN_SERVE_PASSWORD_FILE": str(tmp_path / "password")}
    process = subprocess.Popen(
        [sys.executable, "-m", "nightscan_tasks.cli", "serve", "--port", "0", "--host", "localhost"],
        env=environ, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Running(process, process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()


def test_the_command_tells_its_address_and_ends_when_it_is_asked_to(running: Running) -> None:
    assert ask(running.url).status == 401
    assert ask(running.url, password="wrong").status == 401
    answer = ask(running.url, password=PASSWORD)
    assert answer.status == 200
    assert "the broker does not answer" in answer.text  # it was asked
    arguments = Path(f"/proc/{running.process.pid}/cmdline").read_bytes().decode()
    running.process.send_signal(signal.SIGTERM)
    out, err = running.process.communicate(timeout=180)
    assert running.process.returncode == 0
    assert PASSWORD not in out + err + arguments
    assert err == ""
