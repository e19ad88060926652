"""Flower without a password does not start, however it is asked to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from worker.flower_password import passwords

_NOBODY: dict[str, str] = {}


def given(*basic_auth: str, auth: str = "", auth_provider: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(basic_auth=list(basic_auth), auth=auth, auth_provider=auth_provider)


@pytest.mark.parametrize("basic_auth", [(), ("operator",), ("operator:",), ("operator:  ",), (":secret",),
                                        ("operator:secret", "anybody:")])
def test_no_password_is_refused_with_what_to_do(basic_auth: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="set FLOWER_BASIC_AUTH=NAME:PASSWORD") as refused:
        passwords(given(*basic_auth), _NOBODY, [])
    assert "secret" not in str(refused.value)


def test_passwords_come_from_the_environment_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "flower"
    file.write_text("operator:secret\nother:hidden\n")
    assert passwords(given("operator:secret"), _NOBODY, []) == ["operator:secret"]
    assert passwords(given(), {"FLOWER_BASIC_AUTH_FILE": str(file)}, []) == [
        "operator:secret", "other:hidden"]
    with pytest.raises(SystemExit, match="cannot be read"):
        passwords(given(), {"FLOWER_BASIC_AUTH_FILE": str(tmp_path / "none")}, [])


def test_people_may_log_in_elsewhere() -> None:
    assert passwords(given(auth=".*@example.org", auth_provider="flower.views.auth.GoogleAuth2LoginHandler"),
                     _NOBODY, []) == []
    with pytest.raises(SystemExit):
        passwords(given(auth=".*"), _NOBODY, [])


@pytest.mark.parametrize("argument", ["--basic-auth=operator:secret", "--basic_auth=operator:secret",
                                      "--oauth2-secret=secret"])
def test_a_password_that_everybody_on_the_host_can_see_is_refused(argument: str) -> None:
    with pytest.raises(SystemExit, match="seen by everybody") as refused:
        passwords(given("operator:secret"), _NOBODY, ["flower", argument])
    assert "secret" not in str(refused.value).replace("--oauth2-secret", "")


def test_flower_itself_says_so_and_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker", "flower", "--address=0.0.0.0"], cwd=tmp_path,
        env={**os.environ, "NIGHTSCAN_BROKER_URL": "redis://127.0.0.1:1/0",
             "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("Flower does not start without a password: ")
