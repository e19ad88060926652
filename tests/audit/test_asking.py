"""What a message says of its sender, and what is made of it."""

from types import SimpleNamespace
from typing import Any

import pytest

from nightscan_tasks import wire
from nightscan_tasks.audit import Actor, Doing, acting, doing_now
from nightscan_tasks.audit.actor import actor
from nightscan_tasks.system import System
from nightscan_tasks.tasks import asking
from nightscan_tasks.tasks.asking import HEADER, asker_of


def test_a_claim_is_taken_as_what_it_is() -> None:
    sender = actor(Doing("nightscan restore full"))
    asker = asker_of({HEADER: wire.encode(sender).decode()}, "gen1@web1", "task-1")
    assert (asker.origin, asker.root_id, asker.claims) == ("gen1@web1", "task-1", sender)


@pytest.mark.parametrize("claims", [
    None, 7, "", "no JSON", "[]", '{"host": "web1"}', '{"host": 1, "user": [], "uid": "x"}', "{" * 100_000,
    "\udcff"])
def test_a_claim_that_cannot_be_read_is_none(claims: Any) -> None:
    asker = asker_of({HEADER: claims}, None, None)
    assert (asker.claims, asker.origin) == (None, "")


class _Request(dict[str, Any]):
    headers: dict[str, Any] = {}  # noqa: RUF012 - as Celery's has it
    origin, root_id = "gen1@web1", "task-1"


@pytest.mark.parametrize(("accepted", "signer"), [("auth", "operator.alice"), ("json", "")])
def test_a_signer_is_believed_only_where_messages_are_signed(accepted: str, signer: str) -> None:
    task = SimpleNamespace(name="nightscan.rotate", request=_Request(signed_by="operator.alice"),
                           app=SimpleNamespace(conf=SimpleNamespace(accept_content=[accepted])))
    asking._beginning("task-1", task)
    try:
        asker = doing_now().asker
    finally:
        asking._ended("task-1")
    assert asker is not None
    assert asker.signed_by == signer
    assert doing_now() == Doing()


def test_a_claim_has_a_length() -> None:
    claims = Actor("h" * 1000, "u" * 1000, 0, doing="d" * 1000)
    found = asker_of({HEADER: wire.encode(claims).decode()}, "o", "r").claims
    assert found is not None
    assert max(map(len, (found.host, found.user, found.doing))) < 300


def test_a_system_knows_what_it_was_made_for(system: System, small: dict[str, str],
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in small.items():
        monkeypatch.setenv(name, value)
    with acting(Doing("nightscan.rotate", "task-1")):
        made = System.from_env()
    assert (made.doing.what, made.doing.task_id) == ("nightscan.rotate", "task-1")
    assert system.doing == Doing()
