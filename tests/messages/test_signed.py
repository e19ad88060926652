"""Signed messages over real workers: ours work, and nobody else's do anything."""

from __future__ import annotations

import base64
import contextlib
import json
import pickle
import socket
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.security.certificate import Certificate
from celery.security.key import PrivateKey

from tests.hands import worker
from worker.queues import queue_of
from worker.signed.certificates import Certificates
from worker.signed.letter import LetterBox
from worker.signed.requests import copy_headers

pytestmark = pytest.mark.long

_RESTORE = "nightscan.restore_user_data"
_COMMANDS: dict[str, dict[str, Any]] = {
    "revoke": {"task_id": "no-such-task"}, "pool_shrink": {"n": 1},
    "rate_limit": {"task_name": "nightscan.reap", "rate_limit": "1/m"}, "shutdown": {}}
_BEAT = """
from datetime import timedelta
from worker import app
for due in app.conf.beat_schedule.values():
    due["schedule"] = timedelta(seconds=1 if due["task"] == "nightscan.reap" else 86400)
app.Beat(schedule="beat-schedule", pidfile=None).run()
"""
_GIVE_BACK = """
import sys
from worker import app
from worker.queues import unacknowledged
app.conf.broker_transport_options = {
    **app.conf.broker_transport_options, **unacknowledged([f"nightscan.{sys.argv[1]}"])}
with app.connection_for_write() as connection:
    connection.default_channel.qos.restore_visible(num=10)
"""


def restored(site: Any) -> list[str]:
    """The restores that there ever were."""
    return sorted(path.name for path in Path(site.environ["NIGHTSCAN_BACKUP_DIR"]).glob("restores/*"))


@contextlib.contextmanager
def plain(site: Any) -> Iterator[Celery]:
    """Celery as it comes, of somebody who has all rights on the broker, and no key."""
    app = Celery("stranger", broker=site.broker.url("default"), backend=site.broker.url("default", 1),
                 set_as_current=False)
    app.conf.broker_transport_options = {"client": uuid.uuid4().hex}  # pools are shared; this one is not
    try:
        yield app
    finally:
        app.close()
        with contextlib.suppress(AttributeError):
            app.amqp.producer_pool.force_close_all()
        app.pool.force_close_all()
        app.backend.client.close()
        app.backend.client.connection_pool.disconnect()


def letter(site: Any, signer: str, data: Any) -> str:
    """Something that is signed, as the wire has it."""
    key, certificate = ((site.keys / f"{signer}{ending}").read_text() for ending in (".key", ".pem"))
    box = LetterBox(PrivateKey(key), Certificate(certificate), Certificates(site.keys / "trusted"))
    return base64.b64encode(box.serialize(data).encode()).decode()


def task(site: Any, signer: str, name: str, **kwargs: Any) -> dict[str, Any]:
    """A task's message as somebody with this key could make it."""
    headers = {"task": name, "id": str(uuid.uuid4()), "retries": 0, "timelimit": [None, None], "lang": "py"}
    body: tuple[Any, ...] = ([], kwargs, {"callbacks": None, "errbacks": None, "chain": None, "chord": None})
    copy_headers(body=body, headers=headers)
    return message(letter(site, signer, body), headers, queue_of(name))


def message(body: str, headers: Mapping[str, Any], routing_key: str, exchange: str = "") -> dict[str, Any]:
    """What kombu puts around a signed body."""
    return {"body": body, "content-type": "application/data", "content-encoding": "utf-8",
            "headers": dict(headers), "properties": {
                "delivery_tag": str(uuid.uuid4()), "body_encoding": "base64", "delivery_mode": 2,
                "priority": 0, "delivery_info": {"exchange": exchange, "routing_key": routing_key}}}


def put(site: Any, queue: str, given: Mapping[str, Any]) -> None:
    """Put a message before a worker, with all rights on the broker."""
    with site.broker.client() as client:
        client.lpush(queue, json.dumps(given))


def put_again(site: Any, queue: str, given: Mapping[str, Any]) -> None:
    """The same, with a delivery tag of its own: kombu needs that to be another."""
    put(site, queue, {**given, "properties": {**given["properties"], "delivery_tag": str(uuid.uuid4())}})


def test_a_whole_backup_works_where_all_is_signed_and_each_worker_is_its_own_user(
    crew: Any, until: Callable[..., Any],
) -> None:
    crew.ran(crew.of("operator"), "-m", "nightscan_tasks.cli", "backup", "manual", "--wait")
    (manifest,) = crew.system.catalog().sets()
    assert manifest.complete
    until(lambda: crew.system.ledger.verified(manifest.run_id, "primary"), "its verification")
    with crew.broker.client() as client:
        assert client.acl_log() == []  # nobody met a closed door
        assert client.exists("unacked") == 0


def test_a_part_that_fails_is_settled_by_the_error_callback_too(crew: Any, until: Callable[..., Any]) -> None:
    etc = Path(crew.environ["NIGHTSCAN_ETC"])
    etc.rename(etc.with_name("away"))
    try:
        out = crew.ran(crew.of("operator"), "-m", "nightscan_tasks.cli", "backup", "manual", "--wait",
                       "--json", "--component", "system_config", "--component", "redis", status=1)
    finally:
        etc.with_name("away").rename(etc)
    assert '"incomplete"' in out


def test_doctor_call_and_inspect_are_answered(crew: Any, until: Callable[..., Any]) -> None:
    operator = crew.of("operator")
    found = {each["name"]: each for each in json.loads(crew.ran(
        operator, "-m", "nightscan_tasks.cli", "doctor", "--json", status=None))["findings"]}
    assert {found[f"queue {queue}"]["level"] for queue in ("fast", "heavy", "control", "restore")} == {"ok"}
    assert found["messages"]["level"] == "ok", found["messages"]
    asked = crew.ran(operator, "-m", "celery", "-A", "worker", "inspect", "ping", "--json")
    assert set(json.loads(asked[asked.index("{"):])) == {f"{role}@test" for role in (
        "fast", "heavy", "control", "restore")}
    task_id = crew.ran(operator, "-m", "celery", "-A", "worker", "call", "nightscan.reap").strip()
    until(lambda: f"nightscan.reap[{task_id}] succeeded" in crew.said("control"), "it to be done")


def test_beat_and_flower_work_signed(crew: Any, until: Callable[..., Any]) -> None:
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    crew.start("flower", {**crew.of("flower"), "FLOWER_BASIC_AUTH": "operator:secret"}, "-m", "celery", "-A",
               "worker", "flower", "--address=127.0.0.1", f"--port={port}")
    crew.start("beat", crew.of("beat"), "-c", _BEAT)
    try:
        tasks = until(lambda: _page(port, "api/tasks?taskname=nightscan.reap&state=SUCCESS"),
                      "Flower to show a task that beat sent")
        assert {each["worker"] for each in tasks.values()} == {"control@test"}
    finally:
        crew.end("flower")
        crew.end("beat")
    with crew.broker.client() as client:
        assert client.acl_log() == []


def test_an_unsigned_restore_does_nothing(crew: Any, tmp_path: Path, until: Callable[..., Any]) -> None:
    before = restored(crew)
    with plain(crew) as app:
        app.send_task("nightscan.restore_full", kwargs={"target_root": str(tmp_path / "full")},
                      queue="nightscan.restore")
        app.send_task(_RESTORE, kwargs={"target_root": str(tmp_path / "there")}, queue="nightscan.restore")
    until(lambda: crew.said("restore").count("ContentDisallowed") >= 2, "the two to be refused")
    _nothing_came_of_it(crew, tmp_path, before)


@pytest.mark.parametrize("role", ["stranger", "fast", "control"])
def test_a_restore_that_is_signed_by_whom_the_restore_worker_does_not_know_does_nothing(
    crew: Any, tmp_path: Path, until: Callable[..., Any], role: str,
) -> None:
    before, refusals = restored(crew), crew.said("restore").count("Unknown certificate")
    put(crew, "nightscan.restore", task(crew, role, _RESTORE, target_root=str(tmp_path / "there")))
    until(lambda: crew.said("restore").count("Unknown certificate") > refusals, "it to be refused")
    _nothing_came_of_it(crew, tmp_path, before)


def test_beat_has_its_drill_run_and_no_restore(
    crew: Any, tmp_path: Path, until: Callable[..., Any],
) -> None:
    before = restored(crew)
    put(crew, "nightscan.restore", task(crew, "beat", _RESTORE, target_root=str(tmp_path / "there")))
    until(lambda: f"the role beat may not send {_RESTORE}" in crew.said("restore"), "it to be refused")
    _nothing_came_of_it(crew, tmp_path, before)
    crew.send(crew.of("beat"), "nightscan.drill", key=True)
    until(lambda: "Task nightscan.drill[" in crew.said("restore"), "the drill to be taken")


def test_another_task_made_of_a_signed_message_does_nothing(
    crew: Any, tmp_path: Path, until: Callable[..., Any],
) -> None:
    before = restored(crew)
    harmless = task(crew, "operator.alice", "nightscan.health_check")
    put(crew, "nightscan.restore",
        {**harmless, "headers": {**harmless["headers"], "task": "nightscan.restore_full"}})
    until(lambda: "signed another message than this one: other task" in crew.said("restore"), "the refusal")
    _nothing_came_of_it(crew, tmp_path, before)


def test_a_restore_is_done_once_however_often_its_message_is_played(
    crew: Any, tmp_path: Path, until: Callable[..., Any],
) -> None:
    before = restored(crew)
    sent = task(crew, "operator.alice", _RESTORE, target_root=str(tmp_path / "there"))
    put(crew, "nightscan.restore", sent)
    until(lambda: len(restored(crew)) > len(before), "the restore to be made")
    put_again(crew, "nightscan.restore", sent)
    until(lambda: "it was here before" in crew.said("restore"), "the second to be refused")
    assert len(restored(crew)) == len(before) + 1
    assert (tmp_path / "there").exists()


def test_what_is_redelivered_is_still_signed_and_is_done(crew: Any, until: Callable[..., Any]) -> None:
    sent = task(crew, "operator.alice", "nightscan.reap")
    with crew.broker.client() as client:
        client.hset("unacked.control", "lost", json.dumps([sent, "", "nightscan.control"]))
        client.zadd("unacked_index.control", {"lost": time.time() - timedelta(days=1).total_seconds()})
    crew.ran(crew.of("control"), "-c", _GIVE_BACK, "control")
    done = f"nightscan.reap[{sent['headers']['id']}] succeeded"
    until(lambda: done in crew.said("control"), "it to be done")


def test_a_restore_that_fast_plants_in_what_it_was_handed_goes_nowhere(crew: Any) -> None:
    sent = task(crew, "operator.alice", _RESTORE)
    with crew.broker.client("fast") as client:
        client.hset("unacked.fast", "planted", json.dumps([sent, "", "nightscan.restore"]))
        client.zadd("unacked_index.fast", {"planted": 0})
    said = crew.ran(crew.of("fast"), "-c", _GIVE_BACK, "fast", status=1)
    assert "nopermission" in said.lower()
    with crew.broker.client() as client:
        client.delete("unacked.fast", "unacked_index.fast")
        client.acl_log_reset()


def test_an_unsigned_command_does_nothing(crew: Any, until: Callable[..., Any]) -> None:
    refusals = crew.said("restore").count("ContentDisallowed")
    with plain(crew) as app:
        for command, arguments in _COMMANDS.items():
            app.control.broadcast(command, arguments=arguments)
    until(lambda: crew.said("restore").count("ContentDisallowed") >= refusals + len(_COMMANDS),
          "them to be refused")
    _unmoved(crew)


def test_a_command_that_is_signed_by_who_may_only_look_does_nothing(
    crew: Any, until: Callable[..., Any],
) -> None:
    with crew.broker.client("flower") as client:
        for command, arguments in _COMMANDS.items():
            said = letter(crew, "flower", {"method": command, "arguments": arguments, "destination": None,
                                           "pattern": None, "matcher": None})
            client.publish("/0.celery.pidbox", json.dumps(message(said, {"clock": 1}, "", "celery.pidbox")))
    until(lambda: all(f"the role flower may not command {command}" in crew.said("control")
                      for command in _COMMANDS), "them to be refused")
    _unmoved(crew)


def test_an_operators_command_is_done_and_played_again_is_not(crew: Any, until: Callable[..., Any]) -> None:
    with crew.broker.client() as client, client.pubsub() as wire:
        wire.subscribe("/0.celery.pidbox")
        assert until(lambda: wire.get_message(timeout=1), "the subscription")
        said = crew.ran(crew.of("operator"), "-m", "celery", "-A", "worker", "control", "rate_limit",
                        "nightscan.reap", "1000/s")
        assert said.count("new rate limit set successfully") == len(("fast", "heavy", "control", "restore"))
        sent = until(lambda: wire.get_message(timeout=1), "the command as it went over the wire")
        client.publish("/0.celery.pidbox", sent["data"])
    until(lambda: "refused the command rate_limit, signed by operator.alice: it was here before"
          in crew.said("control"), "the second to be refused")


def _nothing_came_of_it(site: Any, target: Path, before: list[str]) -> None:
    assert (restored(site), list(target.iterdir())) == (before, [])
    with site.broker.client() as client:
        assert client.llen("nightscan.restore") == 0


def _unmoved(site: Any) -> None:
    said = site.ran(site.of("operator"), "-c", "import json; from worker import app; look = "
                    "app.control.inspect(destination=['restore@test', 'control@test'], timeout=3); "
                    "print(json.dumps([look.stats(), look.revoked()]))")
    stats, revoked = json.loads(said)
    assert {len(each["pool"]["processes"]) for each in stats.values()} == {1}
    assert revoked == {"restore@test": [], "control@test": []}


def _page(port: int, path: str) -> Any:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", headers={
        "Authorization": f"Basic {base64.b64encode(b'operator:secret').decode()}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with contextlib.suppress(OSError), opener.open(request, timeout=5) as answer:
        return json.load(answer)
    return None


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def pickled(path: Path) -> dict[str, Any]:
    """A task's message as a pickle, which does something when it is read."""
    task_id = str(uuid.uuid4())
    body = pickle.dumps(([Evil(str(path))], {}, {}))
    return {"body": base64.b64encode(body).decode(), "content-encoding": "binary",
            "content-type": "application/x-python-serialize",
            "headers": {"task": "nightscan.reap", "id": task_id, "lang": "py", "retries": 0},
            "properties": {"delivery_tag": task_id, "body_encoding": "base64", "delivery_info": {
                "exchange": "", "routing_key": "nightscan.control"}, "correlation_id": task_id}}


def test_a_pickle_is_refused_where_messages_are_signed(
    crew: Any, tmp_path: Path, until: Callable[..., Any],
) -> None:
    put(crew, "nightscan.control", pickled(tmp_path / "executed"))
    until(lambda: "x-python-serialize" in crew.said("control"), "it to be refused")
    assert list(tmp_path.iterdir()) == []


def test_a_pickle_is_refused_where_they_are_not(site: Any, tmp_path: Path, until: Callable[..., Any]) -> None:
    environ = {**site.unsigned(), "NIGHTSCAN_BROKER_URL": site.broker.url("default", 3),
               "NIGHTSCAN_RESULT_BACKEND": site.broker.url("default", 4)}
    hand = worker(site.folder, "unsigned", environ, ["control"])
    try:
        hand.ready()
        with site.broker.client(database=3) as client:
            client.lpush("nightscan.control", json.dumps(pickled(tmp_path / "executed")))
        until(lambda: "x-python-serialize" in hand.said(), "it to be refused")
        assert hand.process.poll() is None
        assert list(tmp_path.iterdir()) == []
    finally:
        hand.end()
