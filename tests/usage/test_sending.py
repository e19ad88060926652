"""A task that nobody would do is refused where it is sent; most of all by the real `celery call`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from celery import Celery, chain, chord, group, signature

from nightscan_tasks.errors import NightscanError
from worker.sending import CarefulCelery, NotSent
from worker.signed import SignedCelery

Call = Callable[..., subprocess.CompletedProcess[str]]
_SET = "daily/20261123T020000Z"


@pytest.fixture
def call(broker_redis: str) -> Call:
    """Run a command of the real `celery` program on an empty broker."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "celery", "-A", "worker", *words], check=False,
                              env={**kept, "COLUMNS": "80", "NIGHTSCAN_BROKER_URL": broker_redis},
                              capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """Our application, on a broker in memory."""
    from worker.app import create_app

    app = create_app()
    app.conf.update(broker_url="memory://", result_backend="cache+memory://", broker_transport_options={})
    yield app
    app.close()


@pytest.mark.parametrize(("words", "message"), [
    (("nightscan.restore_ful",),
     "there is no task nightscan.restore_ful; did you mean nightscan.restore_full?"),
    (("nightscan.backup_daily", "--kwargs", json.dumps({"tiers": 1})),
     "nightscan.backup_daily cannot be asked for so: got an unexpected keyword argument 'tiers'"),
    (("nightscan.restore_full", "--kwargs", json.dumps({"tier": "dialy"})),
     "nightscan.restore_full cannot be asked for so: there is no tier dialy; did you mean daily?"),
])
def test_celery_call_refuses_it_in_one_readable_line(call: Call, broker_redis: str, words: tuple[str, ...],
                                                     message: str) -> None:
    done = call("call", *words)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == f"Error: nothing was sent: {message}\n"
    with redis.Redis.from_url(broker_redis) as broker:
        assert broker.keys("nightscan.*") == []


def test_celery_call_sends_what_there_is(call: Call, broker_redis: str) -> None:
    done = call("call", "nightscan.verify", "--args", json.dumps([_SET]), "--kwargs",
                json.dumps({"store": "offsite"}))
    assert (done.returncode, done.stderr) == (0, "")
    with redis.Redis.from_url(broker_redis) as broker:
        message = json.loads(broker.lindex("nightscan.heavy", 0))
    assert message["headers"]["id"] == done.stdout.strip()


@pytest.mark.parametrize("name", ["nigthscan.drill", "dril", "restore_ful", "nightscan.nonsense",
                                  "nightscan.backup"])
def test_a_name_that_is_nearly_ours_is_refused_too(application: Celery, name: str) -> None:
    with pytest.raises(NotSent, match=f"there is no task {name}; (did you mean|there are:)"):
        application.send_task(name)


def test_another_programs_task_may_go_through_our_application(application: Celery) -> None:
    application.send_task("web.send_newsletter")


@pytest.mark.parametrize(("name", "args", "kwargs", "problem"), [
    ("verify", (), {}, "set_id: Missing required argument"),
    ("verify", (_SET, "offsite", "more"), {}, "Unexpected positional argument"),
    ("verify", (1,), {}, "Input should be a valid string"),
    ("drill", (), {"scheduled": "no"}, "scheduled: Input should be a valid boolean"),
    ("validate_user_data", (), {"set": _SET}, "set: Unexpected keyword argument"),
    ("scrub", (), {"stor": "offsite"}, "unexpected keyword argument 'stor'"),
    ("backup_manual", (["databse"],), {}, "there is no component databse; did you mean database?"),
    ("restore_full", (), {"tires": "daily"}, "tires: Unexpected keyword argument"),
    ("restore_redis", (), {"databases": ["one"]}, "databases.0: Input should be a valid integer"),
    ("restore_full", (), {"set_id": "daily"}, "not a set id: 'daily'"),
    ("restore_accept", (), {}, "run_id: Missing required argument"),
    ("restore_accept", ("x",), {"target_db": 1}, "target_db: Input should be a valid string"),
])
def test_arguments_that_a_task_does_not_take_are_refused(
        application: Celery, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], problem: str) -> None:
    with pytest.raises(NotSent) as caught:
        application.send_task(f"nightscan.{name}", args, kwargs)
    assert problem in str(caught.value)


def test_a_password_does_not_even_reach_the_broker(application: Celery) -> None:
    with pytest.raises(NotSent, match="a target with a password must not be in a message") as caught:
        application.send_task("nightscan.restore_full", kwargs={"target_db": "postgresql://a:hunter2@h/x"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("name", "args", "kwargs"), [
    ("restore_full", (), {"tier": "daily", "index": 2, "safety": False, "dry_run": True}),
    ("restore_redis", (), {"databases": [0], "keys": ["session:*"]}),
    ("restore_rollback", ("restore-20261123T160255050525Z",), {}),
    ("backup_manual", (), {"components": ["redis"], "tag": "v1"}),
    ("backup_pre_deploy", (), {"tag": "v1", "full": True}),
    ("scrub", ("offsite",), {"read_bytes": 1, "repair": False}),
    ("drill", (), {"simulate_loss": True}), ("rotate", (), {}), ("verify", (_SET,), {}),
])
def test_what_a_task_takes_is_sent(application: Celery, name: str, args: tuple[Any, ...],
                                   kwargs: dict[str, Any]) -> None:
    assert application.send_task(f"nightscan.{name}", args, kwargs).id


def test_parts_of_a_canvas_are_sent_by_name(application: Celery) -> None:
    verify = signature("nightscan.verify", args=(_SET,), app=application)
    settle = signature("nightscan.settle", args=("x",), immutable=True, app=application)
    chord(group(chain(verify, settle), settle), settle, app=application).apply_async()
    with pytest.raises(NotSent):
        signature("nightscan.settel", args=("x",), app=application).apply_async()


def test_everything_in_the_timetable_is_a_task_and_takes_its_arguments(application: Celery) -> None:
    application.loader.import_default_modules()
    for entry in application.conf.beat_schedule.values():
        from nightscan_tasks.tasks.arguments import refuse_misfits

        refuse_misfits(application.tasks[entry["task"]], entry.get("args", ()), entry.get("kwargs", {}))


def test_beat_sends_what_is_due_without_the_tasks_themselves() -> None:
    code = ("import sys\nfrom worker import app\n"
            "app.conf.update(broker_url='memory://', result_backend=None, broker_transport_options={})\n"
            "for due in app.conf.beat_schedule.values():\n"
            "    app.send_task(due['task'], due.get('args', ()), due.get('kwargs', {}))\n"
            "print('nightscan_tasks.tasks.restores' in sys.modules)\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_application_whose_messages_are_signed_is_as_careful() -> None:
    assert issubclass(SignedCelery, CarefulCelery)
    assert issubclass(NotSent, NightscanError)
