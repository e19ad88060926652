"""`nightscan alert test`, and what the doctor says of channels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nightscan_tasks.cli import nightscan
from nightscan_tasks.doctor import Level, channels
from nightscan_tasks.ledger.pings import Pings
from nightscan_tasks.model import Tier
from nightscan_tasks.settings import load
from nightscan_tasks.system import System

_TOKEN = "T0k3nT0k3nT0k3n"


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Type a command, with some settings."""

    def run(*words: str, **environ: str) -> Result:
        with monkeypatch.context() as patch:
            for name, value in {"NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), **environ}.items():
                patch.setenv(name, value)
            return CliRunner().invoke(nightscan, list(words))

    return run


def test_each_channel_is_told_and_what_became_of_it_is_said(
        typed: Callable[..., Result], post_office: Any, listener: Any) -> None:
    office = post_office()
    listener.answers["/gone"] = 404
    environ = {"BACKUP_EMAIL": "admin@nightscan.com", "NIGHTSCAN_SMTP_HOST": "127.0.0.1",
               "NIGHTSCAN_SMTP_PORT": str(office.port), "NIGHTSCAN_SITE": "Lyon",
               "SLACK_WEBHOOK_URL": f"{listener.url}/hooks/{_TOKEN}",
               "NIGHTSCAN_ALERT_URLS": f"json://127.0.0.1:{listener.port}/gone/{_TOKEN}"}
    done = typed("alert", "test", "--local", **environ)
    assert done.exit_code == 1
    assert "mail  admin@nightscan.com, through 127.0.0.1: sent" in done.output
    assert "slack  127.0.0.1: sent" in done.output
    assert "json  json, by Apprise: NOT SENT: it answers 404\n    is NIGHTSCAN_ALERT_URLS" in done.output
    assert _TOKEN not in done.output
    assert office.mails[0]["Subject"] == "Lyon: a test of alerts"
    assert "This is a test." in office.mails[0].get_content()
    assert listener.at("/hooks")[0].json["text"].startswith("Lyon: a test of alerts\nThis is")
    told = json.loads(typed("alert", "test", "--local", "--json", **environ).stdout)["channels"]
    assert [(each["channel"], each["ok"], each["problem"]) for each in told] == [
        ("mail", True, ""), ("slack", True, ""), ("json", False, "it answers 404")]


def test_one_channel_may_be_tried_alone_in_the_language_that_is_set(
        typed: Callable[..., Result], listener: Any) -> None:
    environ = {"BACKUP_EMAIL": "admin@nightscan.com", "NIGHTSCAN_SMTP_PORT": "1", "NIGHTSCAN_LANGUAGE": "fr",
               "SLACK_WEBHOOK_URL": f"{listener.url}/hooks", "NIGHTSCAN_SITE": "Lyon"}
    done = typed("alert", "test", "--channel", "slack", "--local", **environ)
    assert done.exit_code == 0, done.output
    assert "Lyon : test des alertes\nCeci est un test." in listener.posts[0].json["text"]
    misspelt = typed("alert", "test", "--channel", "slakc", "--local", **environ)
    assert (misspelt.exit_code, "did you mean slack?" in misspelt.output) == (1, True)


def test_without_a_channel_it_says_how_to_have_one(typed: Callable[..., Result]) -> None:
    done = typed("alert", "test", "--local")
    assert done.exit_code == 3
    assert "BACKUP_EMAIL" in done.output


def findings(tmp_path: Path, **environ: str) -> list[tuple[str, Level, str]]:
    system = System(load({"NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), **environ}))
    return [(each.name, each.level, f"{each.found} {each.advice}") for check in channels.CHECKS
            for each in check.look(system)]


def test_the_doctor_warns_where_nobody_is_told_or_a_channel_cannot_be_read(tmp_path: Path) -> None:
    (name, level, said), *_ = findings(tmp_path)
    assert (name, level) == ("alerts", Level.WARN)
    assert "SLACK_WEBHOOK_URL" in said
    wrong, right, _switch = findings(tmp_path, NIGHTSCAN_ALERT_URLS=f"nosuch://{_TOKEN}",
                                     BACKUP_EMAIL="a@b.org")
    assert wrong[1] is Level.WARN
    assert "nosuch: NIGHTSCAN_ALERT_URLS is wrong" in wrong[2]
    assert right[1:] == (Level.OK, "mail (a@b.org, through localhost) ")
    assert _TOKEN not in f"{wrong}{right}"


def test_the_doctor_knows_how_the_dead_man_s_switch_answered(tmp_path: Path) -> None:
    environ = {"BACKUP_EMAIL": "a@b.org", "NIGHTSCAN_PING_URL": f"https://hc.example.org/{_TOKEN}/{{tier}}"}
    assert findings(tmp_path)[-1][1] is Level.OK  # none is wanted
    assert findings(tmp_path, **{**environ, "NIGHTSCAN_PING_URL": f"ftp://{_TOKEN}"})[-1][1] is Level.WARN
    assert "no run has told it anything yet" in findings(tmp_path, **environ)[-1][2]
    system = System(load({"NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), **environ}))
    pings, first = Pings(system.primary), system.clock()
    for problem in ("it answers 500\nits log", "it answers 404\nis it right?"):
        pings.record(Tier.DAILY, system.clock(), problem=problem, run_id="x", phase="fail")
    pings.record(Tier.WEEKLY, system.clock(), problem="", run_id="y", phase="success")
    name, level, said = findings(tmp_path, **environ)[-1]
    assert (name, level) == ("dead man's switch", Level.WARN)
    assert "it answers 404 is it right?" in said
    since = pings.last()[Tier.DAILY].since
    assert since is not None
    assert first <= since < pings.last()[Tier.DAILY].at  # of the first that was not taken
    pings.record(Tier.DAILY, system.clock(), problem="", run_id="z", phase="success")
    assert findings(tmp_path, **environ)[-1][1] is Level.OK
    assert pings.last()[Tier.DAILY].since is None
