"""Commands that do their work in this process: no broker, no worker."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import Result

Here = Callable[..., Result]


@pytest.fixture
def filled(environ: dict[str, str]) -> dict[str, str]:
    """An application with one table and one upload."""
    with psycopg.connect(environ["NIGHTSCAN_DATABASE_URI"], autocommit=True) as connection:
        connection.execute("CREATE TABLE user_session AS SELECT generate_series(1, 5000) AS id")
    Path(environ["NIGHTSCAN_ROOT"], "uploads", "owl.wav").write_bytes(b"RIFF" * 1000)
    return environ


@pytest.fixture
def saved(here: Here, filled: dict[str, str]) -> dict[str, Any]:
    """A manual set of database and user data, taken in this process: what was told of it."""
    result = here("backup", "manual", "--component", "database", "--component", "user_data", "--local",
                  "--tag", "v1.2.3", "--json", env=filled)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def damaged(set_id: str, environ: dict[str, str]) -> Path:
    """Change one byte in the middle of the primary's database artifact; its path."""
    path = Path(environ["NIGHTSCAN_BACKUP_DIR"], set_id, "database.sql.gz.gpg")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return path


def test_a_backup_tells_what_was_saved_where_and_how_large(saved: dict[str, Any],
                                                           environ: dict[str, str]) -> None:
    assert saved["ending"] == "good"
    assert set(saved["stores"]) == {"primary", "offsite"}
    assert saved["stores"]["primary"] == f"{environ['NIGHTSCAN_BACKUP_DIR']}/{saved['set_id']}"
    assert saved["encrypted_for"] == "backup@nightscan.com"
    assert set(saved["components"]) == {"database", "user_data"}
    assert 0 < saved["stored_bytes"] <= saved["plain_bytes"]


def test_the_list_fits_eighty_columns_and_says_what_an_operator_asks(here: Here,
                                                                     saved: dict[str, Any]) -> None:
    result = here("list")
    assert result.exit_code == 0
    head, row, *rest = result.stdout.splitlines()
    assert head.split() == ["SET", "INDEX", "AGE", "PLAIN", "STORED", "STATE"]
    assert row.split()[:2] == [saved["set_id"], "1"]
    assert row.endswith("complete")
    said = " ".join(" ".join(rest).split())
    assert "tag v1.2.3; database user_data" in said
    assert "in primary and offsite; verified" in said
    assert "encrypted for backup@nightscan.com" in said
    places = ("primary: ", "offsite: ")
    assert all(len(line) <= 80 for line in result.stdout.splitlines() if not line.startswith(places))


def test_a_damaged_artifact_is_named_and_the_sound_copy_too(here: Here, saved: dict[str, Any],
                                                            environ: dict[str, str]) -> None:
    damaged(saved["set_id"], environ)
    result = here("verify", saved["set_id"], "--local")
    assert result.exit_code == 1
    said = " ".join(result.stdout.split())
    assert f"{saved['set_id']}/database.sql.gz.gpg is damaged" in said
    assert "Next: the copy in offsite is whole" in said
    listed = here("list")
    assert listed.exit_code == 3
    assert "DAMAGED in primary" in listed.stdout


def test_a_sound_set_verifies_by_tier_and_index_in_every_store(here: Here, saved: dict[str, Any]) -> None:
    result = here("verify", "--tier", "manual", "--index", "1", "--local", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert {name: each["read_bytes"] for name, each in found["stores"].items()} == dict.fromkeys(
        ("primary", "offsite"), saved["stored_bytes"])


@pytest.mark.parametrize(("content", "words"), [
    ('{"format_version": 1,', "cannot be read"),
    ('{"format_version": 99}', "install a newer nightscan-tasks")])
def test_a_broken_manifest_is_listed_with_its_reason(here: Here, saved: dict[str, Any], content: str,
                                                     environ: dict[str, str], words: str) -> None:
    Path(environ["NIGHTSCAN_BACKUP_DIR"], saved["set_id"], "manifest.json").write_text(content)
    result = here("list", "--store", "primary")
    assert result.exit_code == 3
    assert "BROKEN" in result.stdout
    assert words in " ".join(result.stdout.split())


def test_a_dry_run_of_the_rotation_tells_why_and_removes_nothing(here: Here, saved: dict[str, Any]) -> None:
    result = here("rotate", "--dry-run")
    assert result.exit_code == 0
    assert "primary: 0 sets to remove, 1 set to keep" in result.stdout
    assert "kept until removed" in result.stdout


def test_a_restore_tells_what_is_back_and_where_the_old_state_is(here: Here, saved: dict[str, Any],
                                                                 environ: dict[str, str]) -> None:
    with psycopg.connect(environ["NIGHTSCAN_DATABASE_URI"]) as connection:
        connection.execute('DELETE FROM "user_session"')
    result = here("restore", "database", "--set", saved["set_id"], "--from", "offsite", "--local")
    assert result.exit_code == 0, result.output
    assert "restored from offsite" in result.stdout
    assert "what was there before is kept as" in " ".join(result.stdout.split())
    with psycopg.connect(environ["NIGHTSCAN_DATABASE_URI"]) as connection:
        count = connection.execute('SELECT count(*) FROM "user_session"').fetchone()
        before = [name for (name,) in connection.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE 'nightscan_before%'")]
    assert count
    assert count[0] > 0
    for name in before:
        with psycopg.connect(environ["NIGHTSCAN_DATABASE_URI"], autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}"')


def test_a_store_that_is_not_there_degrades_a_backup_and_is_named(here: Here,
                                                                  filled: dict[str, str]) -> None:
    lost = {**filled, "AWS_BACKUP_BUCKET": "no-such-bucket-1", "NIGHTSCAN_RETRIES": "0"}
    result = here("backup", "manual", "--component", "database", "--local", env=lost)
    assert result.exit_code == 3, result.output
    said = " ".join(result.stdout.split())
    assert "saved, but not in every store" in said
    assert "not in offsite" in said
    assert "no-such-bucket-1" in said
    listed = here("list")
    assert listed.exit_code == 3
    assert "offsite: s3://no-such-bucket-1/nightscan (could not be read)" in listed.stdout


def test_a_component_that_fails_is_told_with_its_reason(here: Here, filled: dict[str, str]) -> None:
    wrong = {**filled, "NIGHTSCAN_DATABASE_URI": filled["NIGHTSCAN_DATABASE_URI"].replace(
        "nightscan:", "nightscan:wrong", 1)}
    result = here("backup", "manual", "--component", "database", "--component", "source_code", "--local",
                  env=wrong)
    assert result.exit_code == 1
    said = " ".join(result.stdout.split())
    assert "incomplete: some components failed, the others are kept" in said
    assert "password authentication failed" in said
    assert "wrong" not in result.output.replace("wrong usage", "")
    status = here("status")
    assert status.exit_code == 2
    assert "CRITICAL the last manual run lacks components" in status.stdout
    assert "INCOMPLETE" in status.stdout


def test_what_is_not_encrypted_is_said_by_everything_that_shows_it(here: Here,
                                                                  filled: dict[str, str]) -> None:
    bare = {**filled, "NIGHTSCAN_GPG_RECIPIENT": ""}
    result = here("backup", "manual", "--component", "source_code", "--local", env=bare)
    assert result.exit_code == 0
    assert "not encrypted" in result.stdout
    for words in (["list"], ["verify", "--local"]):
        assert "not encrypted" in here(*words).stdout


def test_with_nothing_saved_yet_the_next_command_is_told(here: Here, environ: dict[str, str]) -> None:
    assert "Next: nightscan backup daily" in here("list", env=environ).stdout
    assert "No run has ended yet" in here("status").stdout
    result = here("verify", "--tier", "weekly", "--local")
    assert result.exit_code == 1
    assert "has 0 complete weekly sets" in result.stderr
