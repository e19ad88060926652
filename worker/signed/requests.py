"""A task's message is looked at once it has come, before anything of it is done."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from celery import Task
from celery.exceptions import InvalidTaskError
from celery.worker.request import Request

from nightscan_tasks.tasks import asking
from worker.signed.letter import Letter
from worker.signed.roles import changes_live, plan_task

SIGNED_BY = "signed_by"
"""`task.request.signed_by`: whose certificate a message was signed with."""
_SIGNED = "nightscan"
_HEADERS = ("task", "id", "eta", "expires", "group", "group_index", "retries", "timelimit", "root_id",
            "parent_id", "ignore_result", asking.HEADER)


def copy_headers(*, body: Any, headers: Mapping[str, Any], **_signal: Any) -> None:
    """Sign what Celery leaves unsigned: its headers decide which task runs. Before a task is published."""
    body[2][_SIGNED] = _copy(headers)


class SignedRequest(Request):  # type: ignore[misc]  # Celery has no types
    """A request that is made only of what its sender may ask for."""

    def __init__(self, message: Any, *, app: Any, decoded: bool = False, **options: Any) -> None:
        if decoded:
            raise InvalidTaskError("refused: not in the form that is signed as a whole")
        try:
            letter = app.box.read(message.body)
            problem = examine(app, letter, message.headers)
        except Exception as exc:  # whatever a forger thought of: the worker goes on
            raise InvalidTaskError(f"refused: {exc!r}") from exc
        if problem:
            raise InvalidTaskError(f"refused: {problem}")
        super().__init__(message, app=app, decoded=decoded, **options)
        self._request_dict[SIGNED_BY] = letter.signer


class SignedTask(Task):  # type: ignore[misc]  # Celery has no types
    """A task that is asked for by `SignedRequest`."""

    Request = "worker.signed.requests:SignedRequest"


def examine(app: Any, letter: Letter, headers: Mapping[str, Any]) -> str:
    """Why a task's message is refused; empty if it is not."""
    embedded = letter.data[2]
    signed = embedded.get(_SIGNED) or {}
    changed = [name for name, value in _copy(headers).items() if signed.get(name) != value]
    if changed or not signed:
        return f"{letter.signer} signed another message than this one: other {', '.join(changed)}"
    task = str(signed["task"])
    problem = plan_task(letter.role, task, embedded, app.timetable)
    if not problem and changes_live(task):
        problem = app.once.admit(letter, now=time.time())
    return f"{task}, signed by {letter.signer}: {problem}" if problem else ""


def _copy(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The headers that matter, as they are after their way over the wire."""
    copied: dict[str, Any] = json.loads(json.dumps({name: headers.get(name) for name in _HEADERS},
                                                   default=str))
    return copied
