"""Passwords with odd characters, in every setting and target that has a place for one."""

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from nightscan_tasks.cli import nightscan
from nightscan_tasks.restore import has_password
from nightscan_tasks.settings import load
from nightscan_tasks.system import System

_ODD = ("", "/", "#", "?", "@", ":", "%", "[", "]", "%zz", " ", "\n", "%2F%40")
_FIRST, _SECOND = "Vorderteil17", "Hinterteil18"
_DATABASE = ("backup", "manual", "--component", "database", "--local")
_REDIS = ("backup", "manual", "--component", "redis", "--local")
_FORMS = {
    "NIGHTSCAN_DATABASE_URI": (_DATABASE, "postgresql://u:{}@127.0.0.1:1/x",
                               "postgresql://u@127.0.0.1:1/x?password={}"),
    "REDIS_URL": (_REDIS, "redis://:{}@127.0.0.1:1/0", "redis://127.0.0.1:1/0?password={}"),
    "NIGHTSCAN_BROKER_URL": (("list",), "redis://:{}@127.0.0.1:1/0"),
    "NIGHTSCAN_RESULT_BACKEND": (("list",), "redis://:{}@127.0.0.1:1/0"),
    "NIGHTSCAN_DRILL_DATABASE_URI": (("list",), "postgresql://u:{}@127.0.0.1:1/x"),
    "NIGHTSCAN_DRILL_REDIS_URL": (("list",), "redis://:{}@127.0.0.1:1/0"),
    "SENTRY_DSN": (("list",), "https://{}@127.0.0.1:1/1"),
    "SLACK_WEBHOOK_URL": (("list",), "https://hooks.example.org/services/{}"),
    "AWS_ENDPOINT_URL": (("list",), "http://key:{}@127.0.0.1:1"),
    "NIGHTSCAN_OFFSITE": (("list",), "s3://key:{}@bucket/x"),
    "NIGHTSCAN_PRIMARY": (("list",), "s3://key:{}@bucket/x"),
    "NIGHTSCAN_DB_PORT": (("list",), "postgresql://u:{}@127.0.0.1:1/x"),  # a slip of whoever wrote it
    "NIGHTSCAN_TIMEZONE": (("list",), "redis://:{}@127.0.0.1:1/0"),
}


@pytest.fixture
def base(tmp_path: Path) -> dict[str, str]:
    """Settings of an application none of whose servers is there."""
    (tmp_path / "root").mkdir()
    return {"NIGHTSCAN_ROOT": str(tmp_path / "root"), "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"),
            "NIGHTSCAN_DATABASE_URI": "postgresql://u@127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1/0",
            "NIGHTSCAN_RETRIES": "0"}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Everything that a command says, with the traceback of an error and all that led to it."""

    def run(env: dict[str, str], *words: str) -> str:
        with monkeypatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            done = CliRunner().invoke(nightscan, ["--debug", *words])
        trace = traceback.format_exception(*done.exc_info) if done.exc_info else []
        return done.output + "".join(trace)

    return run


@pytest.mark.parametrize("odd", _ODD)
@pytest.mark.parametrize("name", _FORMS)
def test_no_piece_of_a_password_is_said(name: str, odd: str, base: dict[str, str],
                                        said: Callable[..., str]) -> None:
    words, *forms = _FORMS[name]
    for form in forms:
        told = said({**base, name: str(form).format(f"{_FIRST}{odd}{_SECOND}")}, *words)
        assert _FIRST not in told
        assert _SECOND not in told


@pytest.mark.parametrize("odd", _ODD)
@pytest.mark.parametrize(("what", "form"), [
    ("database", "postgresql://u:{}@127.0.0.1:1/x"), ("database", "host=127.0.0.1 port=1 password={}"),
    ("database", "postgresql://u@127.0.0.1:1/x?password={}"), ("redis", "redis://:{}@127.0.0.1:1/0"),
    ("redis", "redis://127.0.0.1:1/0?password={}")])
def test_no_target_with_a_password_goes_into_a_message(what: str, form: str, odd: str, base: dict[str, str],
                                                       said: Callable[..., str]) -> None:
    target = form.format(f"{_FIRST}{odd}{_SECOND}")
    assert has_password(SecretStr(target))
    option = {"database": "--target-db", "redis": "--target-redis"}[what]
    refused = said(base, "restore", what, option, target)
    assert "must not go into a message" in refused
    for words in ((), ("--local", "--dry-run")):
        told = said(base, "restore", what, option, target, *words)
        assert _FIRST not in told
        assert _SECOND not in told


@pytest.mark.parametrize("target", ["nightscan_test", "postgresql://u@db2/x", "host=db2 dbname=x",
                                    "redis://db2:6379/1", "postgresql://u@a:1,b:2/x"])
def test_a_target_without_a_password_may(target: str) -> None:
    assert not has_password(SecretStr(target))


@pytest.mark.parametrize(("name", "url"), [
    ("REDIS_URL", "redis://:p%23ss%2F@localhost:6379/0"), ("REDIS_URL", "redis://:p@ss@localhost:6379/0"),
    ("REDIS_URL", "rediss://localhost:6380/0?ssl_cert_reqs=none&password=p@ss"),
    ("REDIS_URL", "unix://:secret@/run/redis.sock"), ("REDIS_URL", "redis://:secret@[::1]:6379/0"),
    ("NIGHTSCAN_DATABASE_URI", "postgresql://u:p%40ss@a:1,b:2/x?sslmode=require"),
    ("NIGHTSCAN_DATABASE_URI", "postgresql:///x?host=/run/postgresql"),
    ("NIGHTSCAN_BROKER_URL", "amqp://u:secret@rabbit:5672//"), ("NIGHTSCAN_BROKER_URL", "memory://"),
    ("SENTRY_DSN", "https://key@sentry.example.org/1")])
def test_what_can_be_read_is_taken(name: str, url: str) -> None:
    assert System(load({"NIGHTSCAN_RESULT_BACKEND": "redis://localhost:6380/1", name: url}))
