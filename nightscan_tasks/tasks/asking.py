"""Who asked for a task: each message says it in a header, and the audit record tells it.

A header is what its sender claims, and is told as that. A task that sends another passes on whose wish
it was: so a deletion by `nightscan.rotate` names who asked for the backup before it.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from celery import Task, signals

from nightscan_tasks import wire
from nightscan_tasks.audit import Actor, Asker, Doing, acting, doing_now
from nightscan_tasks.audit.actor import actor, shortened
from nightscan_tasks.errors import ManifestInvalid

HEADER = "nightscan_asker"
_LONGEST_BYTES = 4096

_begun: dict[str, ExitStack] = {}


def connect() -> None:
    """Let every message of this process say who sends it, and every task know who asked for it."""
    for signal, receiver in ((signals.before_task_publish, _sending), (signals.task_prerun, _beginning),
                             (signals.task_postrun, _ended)):
        signal.connect(receiver, weak=False, dispatch_uid=f"nightscan asking {receiver.__name__}")


def asker_of(headers: dict[str, Any] | None, origin: str | None, root_id: str | None,
             signed_by: str = "") -> Asker:
    """What the headers of a message claim; a claim that cannot be read is none."""
    claims = (headers or {}).get(HEADER)
    found = None
    if isinstance(claims, str) and len(claims) <= _LONGEST_BYTES:
        try:
            found = shortened(wire.decode(Actor, claims.encode(errors="replace"), source=HEADER))
        except ManifestInvalid:
            found = None
    return Asker(str(origin or "")[:_LONGEST_BYTES], str(root_id or "")[:_LONGEST_BYTES], found, signed_by)


def _sending(headers: dict[str, Any] | None = None, **_signal: Any) -> None:
    if headers is None or HEADER in headers:  # a retry carries its own along
        return
    doing = doing_now()
    claims = doing.asker.claims if doing.asker else actor(doing)
    if claims is not None:
        headers[HEADER] = wire.encode(claims).decode()


def _beginning(task_id: str, task: Task, **_signal: Any) -> None:
    request = task.request
    # Without signatures that name would be one more header, which anybody may write.
    signed = request.get("signed_by", "") if "auth" in task.app.conf.accept_content else ""
    asker = asker_of(request.headers, request.origin, request.root_id, str(signed))
    _begun[task_id] = stack = ExitStack()
    stack.enter_context(acting(Doing(task.name, task_id, asker)))


def _ended(task_id: str, **_signal: Any) -> None:
    if stack := _begun.pop(task_id, None):
        stack.close()
