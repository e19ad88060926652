"""The report is made on the 1st, kept, and mailed once; a mail that fails is told, and loses no report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from celery.schedules import crontab
from click.testing import CliRunner, Result

from beat_schedule import schedule
from nightscan_tasks.cli import nightscan
from nightscan_tasks.errors import Busy
from nightscan_tasks.language import Language
from nightscan_tasks.report.monthly import Month, MonthlyReport
from nightscan_tasks.report.monthly_keeping import REPORTS, Shelf
from nightscan_tasks.report.monthly_making import find, last_month, obtain
from nightscan_tasks.report.monthly_sending import NotMailed, mail
from nightscan_tasks.settings import load
from nightscan_tasks.stores.directory import DirectoryStore
from nightscan_tasks.system import System
from nightscan_tasks.tasks.glancing import glance
from nightscan_tasks.tasks.reporting import monthly_report
from nightscan_tasks.watch.overview import Overview
from nightscan_tasks.workflows.timetable import moments
from nightscan_tasks.world.history import write_history

Ask = Callable[..., dict[str, Any]]
ADDRESSES = ("ops@example.org", "boss@example.org")


@pytest.fixture(scope="module")
def written(clean_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stores with a past that ends now; to be copied."""
    folder = tmp_path_factory.mktemp("written")
    stores = {"NIGHTSCAN_BACKUP_DIR": folder / "backups", "NIGHTSCAN_OFFSITE": folder / "offsite"}
    system = System(load({**{name: str(path) for name, path in stores.items()},
                          "NIGHTSCAN_TIMEZONE": "Europe/Paris"}))
    write_history(system, days=65, seed=1, now=datetime.now(UTC))
    return folder


@pytest.fixture
def installation(written: Path, tmp_path: Path, post_office: Any, monkeypatch: pytest.MonkeyPatch) -> System:
    """One whose last month was just now, for everybody who reads the environment."""
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    settings = {
        "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), "NIGHTSCAN_OFFSITE": str(tmp_path / "offsite"),
        "NIGHTSCAN_TIMEZONE": "Europe/Paris", "NIGHTSCAN_SITE": "NightScan Lyon", "NIGHTSCAN_LANGUAGE": "fr",
        "BACKUP_EMAIL": ",".join(ADDRESSES), "NIGHTSCAN_SMTP_HOST": "127.0.0.1",
        "NIGHTSCAN_SMTP_PORT": str(post_office.port), "NIGHTSCAN_TEMP_DIR": str(tmp_path),
        "SLACK_WEBHOOK_URL": "http://127.0.0.1:9/secret-hook"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return System(load())


@pytest.fixture
def ask(installation: System) -> Ask:
    """The task, as a worker runs it."""
    return lambda *args, **kwargs: dict(monthly_report.apply(args=args, kwargs=kwargs).get())


def month_of(system: System) -> Month:
    return last_month(system.clock(), system.settings.zone)


def test_it_is_kept_and_mailed_to_each_address_as_text_html_and_files(
        ask: Ask, installation: System, post_office: Any) -> None:
    month = month_of(installation)
    assert ask()["sent"] == ["mail", "mail2"]
    kept = Shelf(installation.primary).find(month)
    assert kept is not None
    assert kept.month == month
    assert kept.is_over
    first, second = post_office.mails
    assert {first["To"], second["To"]} == set(ADDRESSES)
    assert first["Subject"].startswith("Rapport mensuel des sauvegardes")
    assert "NightScan Lyon" in first["Subject"]
    assert "Taux de succès" in _part(first, "plain").get_content()
    assert "<svg" in _part(first, "html").get_content()
    files = {each.get_filename(): each.get_content() for each in first.iter_attachments()}
    assert set(files) == {f"nightscan-{month}.html", f"nightscan-{month}.json"}
    told = json.loads(files[f"nightscan-{month}.json"])
    assert told["month"] == str(month)
    assert "secret-hook" not in first.as_string()


def test_delivered_twice_it_mails_nobody_twice_unless_somebody_asks_for_that(
        ask: Ask, post_office: Any) -> None:
    ask()
    again = ask()
    assert (again["sent"], again["before"]) == ([], ["mail", "mail2"])
    assert len(post_office.mails) == 2
    assert ask(occasion="somebody's")["sent"] == ["mail", "mail2"]
    assert ask(occasion="somebody's")["sent"] == []
    assert len(post_office.mails) == 4


def test_two_that_mail_at_once_wait_for_one_another(installation: System, october: MonthlyReport,
                                                    spoken: Language, post_office: Any) -> None:
    with installation.leases.hold("reports", "another"), pytest.raises(Busy):
        mail(installation, october, spoken)
    assert post_office.mails == []
    assert mail(installation, october, spoken).sent == ("mail", "mail2")


def test_a_mailbox_that_refuses_is_told_and_loses_neither_the_report_nor_the_others(
        ask: Ask, installation: System, post_office: Any) -> None:
    post_office.refusals[ADDRESSES[0]] = "550 no such user"
    with pytest.raises(NotMailed, match="is kept, and could not be mailed to all") as refused:
        ask()
    assert "mail: " in str(refused.value)
    assert "550" in str(refused.value)
    assert "nightscan report --month" in str(refused.value)
    assert Shelf(installation.primary).months() == [month_of(installation)]
    assert [mail["To"] for mail in post_office.mails] == [ADDRESSES[1]]
    del post_office.refusals[ADDRESSES[0]]
    assert ask()["sent"] == ["mail"]
    assert [mail["To"] for mail in post_office.mails] == [*ADDRESSES[::-1]]


def test_without_an_address_it_is_kept_all_the_same(ask: Ask, installation: System,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BACKUP_EMAIL")
    assert ask("2020-01")["sent"] == []
    assert Shelf(installation.primary).months() == [Month(2020, 1)]


def test_no_address_is_written_into_the_store(ask: Ask, installation: System) -> None:
    ask()
    for entry in installation.primary.list(f"{REPORTS}/"):
        with installation.primary.open(entry.key) as chunks:
            found = entry.key.encode() + b"".join(map(bytes, chunks))
        assert b"example.org" not in found


def test_what_was_kept_is_shown_again_when_the_ledger_has_forgotten(installation: System) -> None:
    month = month_of(installation)
    kept = obtain(installation, month, lambda: glance(installation))
    Shelf(installation.primary).keep(kept)
    for run_id in installation.ledger.run_ids():
        installation.ledger.remove(run_id)

    def never() -> Overview:
        raise AssertionError("nobody need look")
    assert obtain(installation, month, never) == kept
    assert obtain(installation, month, lambda: glance(installation), anew=True).empty


def test_a_month_before_all_records_is_found_only_if_it_was_kept(installation: System,
                                                                  october: MonthlyReport) -> None:
    overview, long_ago = glance(installation), Month(2020, 1)
    assert find(installation, long_ago, overview) is None
    kept = replace(october, month=long_ago)
    Shelf(installation.primary).keep(kept)
    assert find(installation, long_ago, overview) == kept


def test_a_month_that_was_not_over_is_made_anew(installation: System) -> None:
    month = Month.of(installation.clock(), installation.settings.zone)
    early = obtain(installation, month, lambda: glance(installation))
    Shelf(installation.primary).keep(early)
    assert obtain(installation, month, lambda: glance(installation)).written_at > early.written_at


def test_what_is_no_report_is_none(tmp_path: Path) -> None:
    store = DirectoryStore("primary", tmp_path / "store")
    for name in ("notes.txt", "2026-13.json", "2026-10.json"):
        store.put(f"{REPORTS}/{name}", [b"{}"])
    assert Shelf(store).months() == [Month(2026, 10)]
    assert Shelf(store).find(Month(2026, 10)) is None


def test_the_timetable_has_it_on_the_1st_after_the_backups(installation: System) -> None:
    entry = schedule()["monthly_report"]
    when: crontab = entry["schedule"]
    zone = installation.settings.zone
    begin = datetime(2026, 10, 15, tzinfo=zone)
    (at,) = moments(when, begin, datetime(2026, 11, 15, tzinfo=zone), zone)
    assert at.astimezone(zone).date() == date(2026, 11, 1)
    backup = schedule()["monthly"]["schedule"]
    assert at > next(moments(backup, begin, datetime(2026, 11, 15, tzinfo=zone), zone))
    assert last_month(at, zone) == Month(2026, 10)


def run(*words: str) -> Result:
    return CliRunner().invoke(nightscan, ["report", *words])


def test_the_command_prints_it_writes_it_and_sends_it(installation: System, post_office: Any,
                                                      tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = run("--html", str(page), "--send", "--local")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Rapport mensuel des sauvegardes")
    assert "Mailed through: mail, mail2" in done.stdout
    assert page.read_text().startswith("<!doctype html>")
    assert len(post_office.mails) == 2
    assert Shelf(installation.primary).months() == [month_of(installation)]


def test_the_command_tells_figures_as_json(installation: System) -> None:
    done = run("--json", "--month", "2020-02")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["month"], told["backup_success_rate"]) == ("2020-02", None)
    assert list(installation.primary.list(f"{REPORTS}/")) == []  # to look keeps nothing


def test_a_month_that_is_none_is_wrong_usage(installation: System) -> None:
    done = run("--month", "2026-13")
    assert done.exit_code == 2
    assert "expected for example 2026-10" in done.stderr


def test_to_send_to_nobody_is_degraded(installation: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BACKUP_EMAIL")
    done = run("--send", "--local")
    assert done.exit_code == 3
    assert "set BACKUP_EMAIL" in done.stdout


def _part(mail: EmailMessage, kind: str) -> EmailMessage:
    found = mail.get_body((kind,))
    assert isinstance(found, EmailMessage)
    return found
