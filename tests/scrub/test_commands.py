"""`nightscan scrub`, what `status` and `doctor` say of it, and the task."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, current_app
from click.testing import CliRunner, Result

from beat_schedule import schedule
from nightscan_tasks.cli import nightscan
from nightscan_tasks.doctor import Finding, Level
from nightscan_tasks.doctor.scrubs import scrubs
from nightscan_tasks.tasks import scrubbing

DATA = "user_data.00.tar.gz"
Here = Callable[..., Result]


@pytest.fixture
def here(site: Any, monkeypatch: pytest.MonkeyPatch) -> Here:
    """Run a command in this process, in the site's environment."""

    def run(*words: str) -> Result:
        for name, value in {"COLUMNS": "80", **site.environ}.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(nightscan, words)

    return run


def said(result: Result) -> str:
    return " ".join(result.stdout.split())


def test_where_all_is_whole_it_says_so(here: Here, site: Any) -> None:
    site.take()
    result = here("scrub", "--all", "--local")
    assert result.exit_code == 0, result.output
    assert "primary: 4 artifacts, " in result.stdout
    assert "offsite: 4 artifacts, " in result.stdout
    assert "the oldest reading was" in said(result)


def test_what_was_mended_is_told_until_it_was_read_whole_once_more(here: Here, site: Any,
                                                                   damage: Any) -> None:
    key = site.take().key(DATA)
    damage.flip("offsite", key)
    result = here("scrub", "--all", "--local", "--store", "offsite")
    assert result.exit_code == 3, result.output
    assert f"MENDED {key}" in said(result)
    assert "replaced from primary" in said(result)
    status = here("status")
    assert f"bytes were damaged in the store offsite, and are mended: {key}" in said(status)
    assert here("scrub", "--local", "--store", "offsite").exit_code == 0  # it is looked at once more
    clean = here("status")
    assert "mended" not in clean.stdout
    assert "unread at most" in clean.stdout


def test_damage_that_no_store_can_mend_fails_and_is_shown_by_everything(here: Here, site: Any,
                                                                       damage: Any) -> None:
    set_id = site.take()
    for store in ("primary", "offsite"):
        damage.at(store, set_id.key(DATA), 100)
    result = here("scrub", "--all", "--local", "--json", "--store", "primary")
    assert result.exit_code == 1
    [found] = json.loads(result.stdout)
    assert [(each["kind"], each["key"]) for each in found["findings"]] == [("damaged", set_id.key(DATA))]
    assert here("scrub", "--local").exit_code == 1  # and again, until somebody does something
    assert "DAMAGED" in here("status").stdout
    listed = here("list")
    assert listed.exit_code == 3
    assert "DAMAGED in primary" in listed.stdout
    assert "DAMAGED in offsite" in listed.stdout
    [primary, _] = list(scrubs(site.system()))
    assert primary.level is Level.WARN
    assert set_id.key(DATA) in primary.found


def test_without_repair_it_only_tells(here: Here, site: Any, damage: Any) -> None:
    key = site.take().key(DATA)
    damage.flip("offsite", key)
    before = site.data("offsite", key)
    assert here("scrub", "--all", "--no-repair", "--local").exit_code == 1
    assert site.data("offsite", key) == before


def test_a_dry_run_tells_what_and_why_and_reads_nothing(here: Here, site: Any, damage: Any) -> None:
    key = site.take().key(DATA)
    damage.truncate("offsite", key)
    result = here("scrub", "--dry-run", "--bytes", "1MB")
    assert result.exit_code == 0, result.output
    assert "oldest reading: daily/" in said(result)
    assert "bytes, not" in said(result)
    assert "last read" in said(result)
    [primary, offsite] = json.loads(here("scrub", "--dry-run", "--json").stdout)
    assert primary["artifacts"] == []
    assert [each["key"] for each in offsite["artifacts"]] == [key]
    assert not list(site.system().primary.list("scrubs/"))


def test_a_store_that_is_down_is_named_and_keeps_no_other_from_its_scrub(here: Here, site: Any) -> None:
    site.take()
    nowhere = Path(site.environ["NIGHTSCAN_OFFSITE"]) / "file"
    nowhere.write_text("in the way")
    site.environ["NIGHTSCAN_OFFSITE"] = f"{nowhere},{site.environ['NIGHTSCAN_OFFSITE']}"
    result = here("scrub", "--all", "--local", "--json")
    assert result.exit_code in {0, 1}
    assert [each["store"] for each in json.loads(result.stdout)] == ["primary", "offsite", "offsite2"]
    assert [each["read_files"] for each in json.loads(result.stdout)] == [4, 0, 4]


def test_bytes_and_all_contradict_each_other(here: Here) -> None:
    assert here("scrub", "--all", "--bytes", "1GB", "--dry-run").exit_code == 2


def findings(site: Any) -> dict[str, Finding]:
    return {each.name: each for each in scrubs(site.system())}


def test_the_doctor_tells_when_reading_is_behind_and_what_is_unread_longest(site: Any) -> None:
    set_id = site.take()
    assert {each.level for each in findings(site).values()} == {Level.OK}  # nothing is due yet
    site.clock.forward(days=40)
    never = findings(site)["scrub primary"]
    assert (never.level, "never scrubbed" in never.found) == (Level.WARN, True)
    site.scrub("primary")
    assert findings(site)["scrub primary"].level is Level.OK
    site.clock.forward(days=30)
    assert findings(site)["scrub primary"].level is Level.OK
    site.clock.forward(days=2)
    late = findings(site)["scrub primary"]
    assert late.level is Level.WARN
    assert f"unread longest is {set_id}/" in late.found
    assert "beat" in late.advice


def test_the_doctor_tells_of_a_limit_that_is_too_low(site: Any) -> None:
    site.take()
    site.clock.forward(days=15)
    site.environ["NIGHTSCAN_SCRUB_BYTES"] = "10"
    site.scrub("primary")
    site.clock.forward(days=28)
    assert "NIGHTSCAN_SCRUB_BYTES allows 10 B: raise it to" in site.scrub("primary").behind
    assert "raise it to" in findings(site)["scrub primary"].found


@pytest.fixture
def eager(site: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """Tasks are done where they are sent."""
    for name, value in site.environ.items():
        monkeypatch.setenv(name, value)
    before = current_app._get_current_object()
    app = Celery("eager", broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager = True
    yield app
    app.close()
    before.set_current()


def test_the_timetables_task_sends_one_for_each_store(eager: Celery, site: Any, damage: Any,
                                                      caplog: pytest.LogCaptureFixture) -> None:
    key = site.take().key(DATA)
    damage.delete("offsite", key)
    with caplog.at_level(logging.ERROR):
        answer = scrubbing.scrub.apply().get()
    assert answer == {"sent": ["primary", "offsite"]}
    assert site.data("offsite", key)
    assert "replaced from primary, and read back" in caplog.text  # which is what Sentry is sent
    due = schedule()["scrub"]
    assert (due["task"], due["kwargs"]) == ("nightscan.scrub", {})


def test_a_second_scrub_of_a_store_answers_at_once(eager: Celery, site: Any) -> None:
    site.take()
    site.clock.now -= timedelta(seconds=1)
    with site.system().leases.hold("scrub/primary", "another worker"):
        answer = scrubbing.scrub.apply(args=("primary",)).get()
        assert answer["store"] == "primary"
        assert "another worker" in answer["busy"]
