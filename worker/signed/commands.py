"""Control commands and events: who may stop a worker, revoke a task, or tell what happened."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery.app.control import Control
from celery.app.events import Events
from celery.events.receiver import EventReceiver
from kombu.pidbox import Mailbox, Node

from worker.signed.letter import NAME
from worker.signed.roles import OPERATOR, plan_command

_log = logging.getLogger(__name__)


class SignedNode(Node):  # type: ignore[misc]  # kombu has no types
    """The mailbox of one worker: it does what the sender may command, once."""

    def handle_message(self, body: Any, message: Any = None) -> Any:
        """Do a command, or log why not."""
        letter = self.state.app.box.read(message.body)
        method = str(body.get("method"))
        problem = plan_command(letter.role, method)
        if not problem and plan_command("", method):  # it does more than look
            problem = self.state.app.commanded.admit(letter, now=time.time())
        if problem:
            _log.error("refused the command %s, signed by %s: %s", method, letter.signer, problem)
            return None
        if method == "hello" and letter.role != OPERATOR:  # it may bring ids to revoke along
            body = {**body, "arguments": {**(body.get("arguments") or {}), "revoked": None}}
        return super().handle_message(body, message)


class SignedMailbox(Mailbox):  # type: ignore[misc]  # kombu has no types
    """Where commands are sent to."""

    node_cls = SignedNode


class SignedControl(Control):  # type: ignore[misc]  # Celery has no types
    """`app.control`."""

    Mailbox = SignedMailbox


class SignedReceiver(EventReceiver):  # type: ignore[misc]  # Celery has no types
    """Takes signed events only: Celery's own also takes JSON, in which a forged election makes a worker
    send, and sign, a task.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "accept": {NAME}})


class SignedEvents(Events):  # type: ignore[misc]  # Celery has no types
    """`app.events`."""

    receiver_cls = "worker.signed.commands:SignedReceiver"
