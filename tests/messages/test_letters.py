"""What a signature is worth: letters, roles, and whom a folder of certificates trusts."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import SecurityError
from kombu.utils.json import dumps

from beat_schedule import schedule
from nightscan_tasks.errors import SettingsError
from nightscan_tasks.settings import load
from nightscan_tasks.tasks import asking
from worker.queues import RESTORE, ROUTES, queue_of, unacknowledged
from worker.signed.letter import Letter, LetterBox, letter_box
from worker.signed.once import Once
from worker.signed.requests import copy_headers, examine
from worker.signed.roles import ROLES, changes_live, plan_command, plan_task

TIMETABLE = frozenset(str(due["task"]) for due in schedule().values())
RESTORES = [f"nightscan.restore_{what}" for what in (
    "full", "database", "redis", "user_data", "system_config", "source_code", "rollback", "accept", "resume")]
_SEPARATOR = b"\x00\x01"


def box(keys: Path, name: str, trusted: str = "trusted") -> LetterBox:
    return letter_box(load({
        "NIGHTSCAN_MESSAGE_KEY": str(keys / f"{name}.key"),
        "NIGHTSCAN_MESSAGE_CERTIFICATE": str(keys / f"{name}.pem"),
        "NIGHTSCAN_MESSAGE_CERTIFICATES": str(keys / trusted)}))


def with_field(letter: Any, index: int, value: bytes) -> bytes:
    """The same letter with one of its five fields changed."""
    fields = base64.b64decode(letter).split(_SEPARATOR, maxsplit=4)
    fields[index] = value
    return base64.b64encode(_SEPARATOR.join(fields))


def test_a_letter_says_who_wrote_it_and_when(keys: Path) -> None:
    before = time.time()
    letter = box(keys, "restore").read(box(keys, "operator.alice").serialize({"a": [1, None]}))
    assert (letter.signer, letter.role, letter.data) == ("operator.alice", "operator", {"a": [1, None]})
    assert before <= letter.sent_at <= time.time()


def test_two_letters_have_two_numbers(keys: Path) -> None:
    desk = box(keys, "beat")
    assert desk.read(desk.serialize(1)).number != desk.read(desk.serialize(1)).number


@pytest.mark.parametrize(("index", "value"), [
    (0, base64.b64encode(b"nightscan nobody 1")), (1, base64.b64encode(b"x" * 256)),
    (2, b"application/x-python-serialize"), (2, b"application/x-yaml"), (3, b"utf-16"),
    (4, dumps({"sent_at": 1, "number": "1", "data": "other"}).encode()),
])
def test_a_letter_that_was_changed_anywhere_is_refused(keys: Path, index: int, value: bytes) -> None:
    desk = box(keys, "beat")
    with pytest.raises(SecurityError):
        desk.read(with_field(desk.serialize("as it was"), index, value))


@pytest.mark.parametrize("rubbish", ["", "x", b"\xff\xfe", "e30=", base64.b64encode(b"\x00\x01" * 9), None])
def test_rubbish_is_refused_as_such(keys: Path, rubbish: Any) -> None:
    with pytest.raises(SecurityError):
        box(keys, "beat").read(rubbish)


def test_who_is_taken_off_the_list_is_refused_from_then_on(keys: Path, tmp_path: Path) -> None:
    (tmp_path / "trusted").mkdir()
    trusted = tmp_path / "trusted" / "operator.alice.pem"
    trusted.write_bytes((keys / "operator.alice.pem").read_bytes())
    reader = LetterBox(None, None, box(keys, "beat")._cert_store.__class__(tmp_path / "trusted"))
    letter = box(keys, "operator.alice").serialize(1)
    assert reader.read(letter).data == 1
    trusted.unlink()
    with pytest.raises(SecurityError):
        reader.read(letter)


def test_a_certificate_that_expired_or_is_none_keeps_nobody_else_out(
    keys: Path, tmp_path: Path, pair: Callable[..., None],
) -> None:
    pair(tmp_path, "operator.old", days=-1)
    (tmp_path / "beat.pem").write_bytes((keys / "beat.pem").read_bytes())
    (tmp_path / "broken.pem").write_text("no certificate")
    reader = LetterBox(None, None, box(keys, "beat")._cert_store.__class__(tmp_path))
    assert reader.read(box(keys, "beat").serialize(1)).data == 1
    with pytest.raises(SecurityError, match=r"[Ee]xpired"):
        reader.read(box_of(tmp_path, "operator.old").serialize(1))


def box_of(folder: Path, name: str) -> LetterBox:
    return letter_box(load({
        "NIGHTSCAN_MESSAGE_KEY": str(folder / f"{name}.key"),
        "NIGHTSCAN_MESSAGE_CERTIFICATE": str(folder / f"{name}.pem"),
        "NIGHTSCAN_MESSAGE_CERTIFICATES": str(folder)}))


def test_a_certificate_under_two_names_is_nobodys(keys: Path, tmp_path: Path) -> None:
    for name in ("beat", "operator.alice"):
        (tmp_path / f"{name}.pem").write_bytes((keys / "beat.pem").read_bytes())
    reader = LetterBox(None, None, box(keys, "beat")._cert_store.__class__(tmp_path))
    with pytest.raises(SecurityError):
        reader.read(box(keys, "beat").serialize(1))


@pytest.mark.parametrize("task", RESTORES)
@pytest.mark.parametrize("role", [*ROLES, "somebody", ""])
def test_only_an_operator_has_anything_restored(role: str, task: str) -> None:
    assert bool(plan_task(role, task, {}, TIMETABLE | {task})) is (role != "operator")


@pytest.mark.parametrize("role", ["beat", "control", "heavy", "fast", "restore"])
def test_nothing_follows_from_a_task_of_the_restore_queue_that_no_operator_sent(role: str) -> None:
    for further in ("callbacks", "errbacks", "chain", "chord"):
        assert plan_task(role, "nightscan.drill", {further: [{"task": "nightscan.restore_full"}]}, TIMETABLE)


@pytest.mark.parametrize("role", ROLES)
def test_nobody_has_a_task_run_that_is_not_ours(role: str) -> None:
    assert plan_task(role, "celery.map", {}, TIMETABLE)


def test_each_role_may_send_what_its_work_needs() -> None:
    needed = {"beat": TIMETABLE, "control": {"nightscan.dump_redis", "nightscan.verify", "nightscan.settle"},
              "fast": {"nightscan.dump_database", "nightscan.upload", "nightscan.settle"},
              "heavy": {"nightscan.upload", "nightscan.verify", "nightscan.settle", "nightscan.rotate"},
              "restore": {"nightscan.drill"}}
    assert [(role, task) for role, tasks in needed.items() for task in tasks
            if plan_task(role, task, {}, TIMETABLE)] == []


def test_the_timetable_changes_nothing_that_is_live() -> None:
    assert not [task for task in TIMETABLE if changes_live(task)]


def test_only_an_operator_does_more_than_look() -> None:
    commands = ("shutdown", "revoke", "terminate", "pool_grow", "rate_limit", "add_consumer", "election")
    assert [(role, each) for role in ROLES for each in commands if not plan_command(role, each)] == [
        ("operator", each) for each in commands]
    assert not any(plan_command(role, "ping") for role in ROLES)


def test_a_letter_is_let_through_once_while_it_is_fresh() -> None:
    once = Once(started_at=1000, fresh_seconds=60)

    def admitted(number: str, sent_at: float, now: float) -> bool:
        return not once.admit(Letter("operator.alice", sent_at, number, None), now=now)

    assert admitted("a", 1010, 1020)
    assert not admitted("a", 1010, 1021)
    assert not admitted("b", 999, 1020)  # before this worker started: it may have been done
    assert not admitted("c", 1010, 1071)
    assert not admitted("d", 1400, 1071)
    assert admitted("e", 1071, 1071)
    assert admitted("f", 1190, 1191)
    assert set(once._through) == {"f"}  # what is too old anyway needs no remembering


def test_every_route_is_found_as_celery_finds_it() -> None:
    assert queue_of("nightscan.restore_full") == queue_of("nightscan.drill") == RESTORE
    assert queue_of("nightscan.whatever") == ROUTES["nightscan.*"]["queue"]


def test_each_group_of_workers_has_its_own_keys_for_what_it_was_handed() -> None:
    assert unacknowledged(["nightscan.restore"])["unacked_key"] == "unacked.restore"
    assert unacknowledged(["nightscan.heavy", "nightscan.fast"]) == unacknowledged(
        ["nightscan.fast", "nightscan.heavy"])


@pytest.mark.parametrize("left_out", ["KEY", "CERTIFICATE", "CERTIFICATES"])
def test_messages_never_go_unsigned_by_a_slip(keys: Path, left_out: str) -> None:
    given = {f"NIGHTSCAN_MESSAGE_{name}": str(keys) for name in ("KEY", "CERTIFICATE", "CERTIFICATES")}
    del given[f"NIGHTSCAN_MESSAGE_{left_out}"]
    with pytest.raises(SettingsError, match=f"set NIGHTSCAN_MESSAGE_{left_out}"):
        load(given)


def test_a_key_that_cannot_be_read_is_named(keys: Path, tmp_path: Path) -> None:
    (tmp_path / "beat.key").write_text("no key")
    (tmp_path / "beat.pem").write_bytes((keys / "beat.pem").read_bytes())
    with pytest.raises(SettingsError, match=r"NIGHTSCAN_MESSAGE_KEY names .*beat\.key"):
        box_of(tmp_path, "beat")


def test_every_header_that_matters_is_signed_and_also_who_asked() -> None:
    headers: dict[str, Any] = {"task": "nightscan.reap", "id": "1", "expires": None, asking.HEADER: "me",
                               "timelimit": (None, 5)}
    body: tuple[Any, ...] = ([], {}, {"chain": None})
    copy_headers(body=body, headers=headers)
    app = SimpleNamespace(timetable=TIMETABLE, once=Once(0, 60))
    letter = Letter("operator.alice", time.time(), "1", list(body))
    assert examine(app, letter, {**headers, "timelimit": [None, 5]}) == ""
    for name, value in (("task", "nightscan.restore_full"), ("id", "2"), ("expires", "2027-01-01T00:00:00"),
                        ("timelimit", [1, 1]), ("retries", 3), (asking.HEADER, "somebody else")):
        assert f"other {name}" in examine(app, letter, {**headers, name: value})


def test_a_body_that_has_no_signed_headers_is_no_task() -> None:
    app = SimpleNamespace(timetable=TIMETABLE, once=Once(0, 60))
    letter = Letter("operator.alice", time.time(), "1", [[], {}, {"chain": None}])
    assert examine(app, letter, {"task": "nightscan.reap", "id": "1"})


def test_events_that_are_not_signed_are_not_listened_to() -> None:
    app = Celery("listener", broker="memory://", set_as_current=False)
    app.events_cls = "worker.signed.commands:SignedEvents"
    with app.connection_for_read() as connection:
        assert app.events.Receiver(connection.default_channel).accept == {"auth"}
        assert app.events.Receiver(connection.default_channel, accept={"json"}).accept == {"auth"}
