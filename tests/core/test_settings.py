"""What is wrong with a setting is one line: its name, its source, and an example that works."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from pydantic import SecretStr

from nightscan_tasks.errors import SettingsError
from nightscan_tasks.settings import Settings, load, variables, without_secret
from nightscan_tasks.system import refuse_shared_redis


def problem(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        load(environ)
    return str(caught.value)


def test_the_guides_names_are_kept() -> None:
    settings = load({"NIGHTSCAN_DB_HOST": "db", "NIGHTSCAN_DB_PORT": "5433", "NIGHTSCAN_DB_USER": "u ser",
                     "NIGHTSCAN_DB_PASSWORD": "p@ss/w:rd", "NIGHTSCAN_DB_NAME": "night",
                     "REDIS_HOST": "cache", "REDIS_PORT": "6390", "AWS_BACKUP_BUCKET": "nightscan-backups"})
    assert settings.dsn.get_secret_value() == "postgresql://u%20ser:p%40ss%2Fw%3Ard@db:5433/night"
    assert settings.redis.get_secret_value() == "redis://cache:6390/0"
    assert settings.offsites == ("s3://nightscan-backups/nightscan",)


def test_a_uri_wins_over_its_parts() -> None:
    settings = load({"NIGHTSCAN_DATABASE_URI": "postgresql://a@b/c", "NIGHTSCAN_DB_HOST": "elsewhere"})
    assert settings.dsn.get_secret_value() == "postgresql://a@b/c"


def test_an_unknown_name_suggests_the_nearest() -> None:
    assert "did you mean NIGHTSCAN_BROKER_URL?" in problem({"NIGHTSCAN_BROKR_URL": "redis://x"})


@pytest.mark.parametrize(("name", "value"), [
    ("NIGHTSCAN_DB_PORT", "five"), ("NIGHTSCAN_DB_PORT", "70000"), ("NIGHTSCAN_TIMEZONE", "Mars/Olympus"),
    ("NIGHTSCAN_USER_DATA_ARCHIVES", "0"), ("NIGHTSCAN_CONTENT_HASH", "perhaps"), ("REDIS_URL", "http://x"),
    ("NIGHTSCAN_DATABASE_URI", "mysql://u:hunter2@h/d")])
def test_a_wrong_value_names_setting_source_and_example(name: str, value: str) -> None:
    message = problem({name: value})
    assert message.startswith(name)
    assert "from the environment" in message
    assert f"for example {name}=" in message
    assert "\n" not in message
    assert "hunter2" not in message


def test_every_problem_is_told_at_once() -> None:
    message = problem({"NIGHTSCAN_DB_PORT": "x", "NIGHTSCAN_TIMEZONE": "y", "NIGHTSCAN_NO_SUCH_THING": "z"})
    assert len(message.splitlines()) == 3


def test_a_secret_comes_from_a_file_as_containers_do_it(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    assert load({"NIGHTSCAN_DB_PASSWORD_FILE": str(secret)}).db_password == SecretStr("s3cret")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    message = problem({"REDIS_PASSWORD_FILE": str(missing)})
    assert "REDIS_PASSWORD_FILE" in message
    assert str(missing) in message


def test_a_value_and_its_file_together_are_refused(tmp_path: Path) -> None:
    assert "both set" in problem({"REDIS_PASSWORD": "a", "REDIS_PASSWORD_FILE": str(tmp_path / "b")})


def test_a_message_may_not_come_back_while_its_task_runs() -> None:
    message = problem({"NIGHTSCAN_VISIBILITY_SECONDS": "60", "NIGHTSCAN_DEADLINE_SECONDS": "120"})
    assert "NIGHTSCAN_VISIBILITY_SECONDS" in message


def test_secrets_print_as_stars() -> None:
    settings = load({"NIGHTSCAN_DB_PASSWORD": "hunter2", "REDIS_URL": "redis://:hunter2@h/0"})
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize("broker", ["redis://localhost:6379/5", "redis://127.0.0.1", "redis://:pw@localhost/1"])
def test_the_broker_is_never_the_redis_that_is_backed_up(broker: str) -> None:
    settings = load({"REDIS_HOST": "localhost", "NIGHTSCAN_BROKER_URL": broker})
    with pytest.raises(SettingsError, match="NIGHTSCAN_BROKER_URL is on localhost:6379"):
        refuse_shared_redis(settings)


def test_nor_are_the_results_kept_in_it() -> None:
    settings = load({"NIGHTSCAN_RESULT_BACKEND": "redis://localhost:6379/2"})
    with pytest.raises(SettingsError, match="NIGHTSCAN_RESULT_BACKEND"):
        refuse_shared_redis(settings)


def test_every_setting_says_what_it_is_and_gives_an_example() -> None:
    for name, field in variables().items():
        info = Settings.model_fields[field]
        assert info.description, name
        assert info.examples, name


def test_the_readmes_table_is_the_settings() -> None:
    root = Path(__file__).parents[2]
    tool = runpy.run_path(str(root / "tools" / "settings_table.py"))
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert tool["written_into"](readme) == readme, "run: python -m tools.settings_table --write"


def test_a_url_for_people_has_no_password() -> None:
    assert without_secret("redis://user:hunter2@host:1/0") == "redis://host:1/0"
