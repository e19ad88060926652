"""`nightscan restore …` and its kin in this process: what they print, and how they end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import Result

Here = Callable[..., Result]


@pytest.fixture
def saved(here: Here, environ: dict[str, str]) -> dict[str, Any]:
    """A manual set of everything, from an application with one table and two uploads."""
    with psycopg.connect(environ["NIGHTSCAN_DATABASE_URI"], autocommit=True) as connection:
        connection.execute("CREATE TABLE prediction AS SELECT 'owl.wav' AS filename")
        connection.execute("CREATE TABLE detection (image_url text)")
    for name in ("owl.wav", "2026/fox.jpg"):
        path = Path(environ["NIGHTSCAN_ROOT"], "uploads", name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"RIFF" * 1000)
    result = here("backup", "manual", "--local", "--json", env=environ)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def said(result: Result) -> str:
    return " ".join(result.stdout.split())


def test_a_dry_run_prints_the_plan_and_needs_no_broker(here: Here, saved: dict[str, Any]) -> None:
    result = here("restore", "full", "--dry-run", "--local", env={"NIGHTSCAN_BROKER_URL": "redis://127.0.0.1:1"})
    assert result.exit_code == 0, result.output
    for words in (f"{saved['set_id']} would be restored from primary", "nothing was changed",
                  "EXPECTED", "OBJECTIVE", "reads", "into", "replaces", "is kept until",
                  "First, what is live is saved", "is a guess"):
        assert words in said(result)
    assert all(len(line) <= 80 or "/" in line for line in result.stdout.splitlines())
    plan = json.loads(here("restore", "full", "--dry-run", "--local", "--json").stdout)
    assert [each["component"] for each in plan["components"]] == ["database", "redis", "user_data"]
    assert here("restore", "runs").stdout == "Nothing was ever restored here.\n"


def test_a_restore_ends_with_the_table_and_can_be_taken_back(here: Here, saved: dict[str, Any],
                                                             environ: dict[str, str]) -> None:
    upload = Path(environ["NIGHTSCAN_ROOT"], "uploads/owl.wav")
    upload.write_bytes(b"spoilt")
    result = here("restore", "user_data", "--no-safety", "--local",
                  env={"NIGHTSCAN_BROKER_URL": "redis://127.0.0.1:1"})  # where nobody listens
    assert result.exit_code == 0, result.output
    head = next(line for line in result.stdout.splitlines() if "COMPONENT" in line)
    assert head.split() == ["COMPONENT", "PLAIN", "SPEED", "TOOK", "OBJECTIVE"]
    assert " met" in result.stdout
    assert upload.read_bytes() != b"spoilt"
    run_id = result.stdout.split("restore rollback ")[1].split()[0]
    assert "the old state is kept" in here("restore", "runs").stdout
    back = here("restore", "rollback", run_id, "--local")
    assert back.exit_code == 0, back.output
    assert "the old state is live again" in said(back)
    assert upload.read_bytes() == b"spoilt"
    gone = here("restore", "accept", "--local", "--json")  # the newest
    assert len(json.loads(gone.stdout)["removed"]) == 1
    assert "rolled back" in here("restore", "runs").stdout


def test_files_are_listed_without_being_restored(here: Here, saved: dict[str, Any]) -> None:
    result = here("files", saved["set_id"], "--grep", "uploads/2026/*")
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    assert line.split()[1] == "4000"
    assert line.endswith("uploads/2026/fox.jpg")
    found = json.loads(here("files", saved["set_id"], "--json").stdout)["files"]
    assert len([each for each in found if each["path"] == "uploads"]) == 1  # though it is in every archive
    assert here("files", saved["set_id"], "--grep", "nothing").exit_code == 1


def test_status_forecasts_the_recovery_and_a_drill_makes_it_a_measured_one(here: Here,
                                                                          saved: dict[str, Any]) -> None:
    before = here("status")
    assert "A loss now would cost the data of" in before.stdout
    assert "a guess: nightscan drill" in before.stdout
    drilled = here("drill", "--local")
    assert drilled.exit_code == 0, drilled.output
    assert "Everything came back as it was saved, and in time." in said(drilled)
    assert "a guess" not in here("status").stdout
    recovery = json.loads(here("status", "--json").stdout)["recovery"]
    assert recovery["set_id"] == saved["set_id"]
    assert all(each["measured"] for each in recovery["components"])


def test_a_drill_of_the_key_opens_every_store(here: Here, saved: dict[str, Any]) -> None:
    result = here("drill", "--key", "--local")
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["STORE", "primary", "offsite"]
    assert here("drill", "--key", "--tier", "daily").exit_code == 2


def test_a_restore_that_is_not_there_is_named(here: Here, environ: dict[str, str]) -> None:
    result = here("restore", "rollback", "restore-1", "--local", env=environ)
    assert result.exit_code == 1
    assert "`nightscan restore runs` lists" in " ".join(result.stderr.split())


def test_a_password_never_goes_into_a_message(here: Here, saved: dict[str, Any]) -> None:
    result = here("restore", "database", "--target-db", "postgresql://owl:hunter2@db2/nightscan")
    assert result.exit_code == 2
    assert "must not go into a message: give --local too" in " ".join(result.stderr.split())
    assert "hunter2" not in result.output
