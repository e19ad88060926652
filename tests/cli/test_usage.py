import subprocess
import sys
from collections.abc import Callable

import pytest
from click.testing import Result

Here = Callable[..., Result]


def test_help_lists_every_command_and_imports_none(here: Here) -> None:
    code = ("import sys\nfrom nightscan_tasks.cli import nightscan\n"
            "nightscan(['--help'], standalone_mode=False)\n"
            "print({'boto3', 'celery', 'pydantic', 'psycopg', 'redis', 'rich'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")
    for name in ("doctor", "backup", "list", "status", "verify", "rotate", "restore", "recover",
                 "drill", "files", "health", "reconcile", "world", "demo"):
        assert f"\n  {name} " in done.stdout
        assert here(name, "--help").exit_code == 0


def test_the_version_is_told(here: Here) -> None:
    result = here("--version")
    assert result.output.startswith("nightscan, version ")


@pytest.mark.parametrize(("words", "hint"), [
    (["lsit"], "there is no command lsit; did you mean list?"),
    (["world", "upp"], "there is no command upp; did you mean up?"),
    (["backup", "dialy"], "there is no tier dialy; did you mean daily?"),
    (["backup", "pre_restore"], "there is no tier pre_restore"),
    (["backup", "manual", "--component", "databse"], "there is no component databse; did you mean database?"),
    (["backup", "daily", "--full"], "--full belongs to pre_deploy"),
    (["backup", "daily", "--component", "redis"], "--component belongs to manual"),
    (["backup", "weekly", "--tag", "v1"], "--tag belongs to pre_deploy and manual"),
    (["restore", "everything"], "there is no command everything; there are: full"),
    (["restore", "system-confg"], "did you mean system_config?"),
    (["restore", "redis", "--table", "prediction"], "No such option"),
    (["restore", "full", "--set", "daily/2026"], "expected for example daily/20261123T020000Z"),
    (["restore", "full", "--set", "daily/20261123T020000Z", "--tier", "daily"], "not both"),
    (["restore", "full", "--before", "yesterday"], "for example 2026-11-23T02:00"),
    (["verify", "daily/20261123T020000Z", "--index", "2"], "not both"),
    (["demo", "--size", "much"], "not a size: 'much'"),
])
def test_wrong_usage_is_exit_status_2_and_names_the_nearest(here: Here, words: list[str], hint: str) -> None:
    result = here(*words)
    assert result.exit_code == 2
    assert hint in " ".join(result.stderr.split())


def test_a_hyphen_is_as_good_as_an_underscore(here: Here) -> None:
    result = here("backup", "pre-deploy", env={"NIGHTSCAN_TIMEZONE": "Nowhere"})
    assert "no tier" not in result.stderr  # it got as far as the settings
    assert result.exit_code == 1


def test_every_wrong_setting_is_told_and_no_secret(here: Here) -> None:
    result = here("list", env={"NIGHTSCAN_DATABASE_URI": "mysql://nightscan:hunter2@localhost/x",
                               "NIGHTSCAN_TIMEZON": "Europe/Paris", "REDIS_PORT": "zero"})
    assert result.exit_code == 1
    assert "hunter2" not in result.output
    for name in ("NIGHTSCAN_DATABASE_URI", "did you mean NIGHTSCAN_TIMEZONE?", "REDIS_PORT 'zero'"):
        assert name in result.stderr
    assert "Traceback" not in result.stderr


def test_with_json_an_error_is_json_too(here: Here) -> None:
    result = here("list", "--json", env={"REDIS_PORT": "zero"})
    assert '"kind": "SettingsError"' in result.stdout
    assert result.stderr.startswith("nightscan: REDIS_PORT")


def test_debug_shows_where_an_error_came_from(here: Here) -> None:
    result = here("--debug", "list", env={"REDIS_PORT": "zero"})
    assert type(result.exception).__name__ == "SettingsError"
