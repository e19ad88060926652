"""Who this process acts for."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path

from nightscan_tasks.audit.records import Actor, Asker

_NOBODY = 2**32 - 1  # what the kernel says of processes that no login began
_LONGEST = 200


@dataclass(frozen=True)
class Doing:
    """What this process is doing: a command, or a task that somebody asked for."""

    what: str = ""
    task_id: str = ""
    asker: Asker | None = None


_NOTHING = Doing()
_doing: ContextVar[Doing] = ContextVar("nightscan_doing", default=_NOTHING)


def doing_now() -> Doing:
    """What this thread is doing, as `acting` was told."""
    return _doing.get()


@contextmanager
def acting(doing: Doing) -> Iterator[None]:
    """Do something in the name of whoever asked for it; a System that is made meanwhile knows it."""
    token = _doing.set(doing)
    try:
        yield
    finally:
        _doing.reset(token)


def actor(doing: Doing) -> Actor:
    """Who this process is, as its host knows it: the kernel where it can be asked, else the environment."""
    # Not settings: facts of the session that this process was started from.
    return Actor(
        host=socket.gethostname(), user=_name(os.geteuid()), uid=os.geteuid(), pid=os.getpid(),
        login=_login(), sudo_user=_short(os.environ.get("SUDO_USER", "")), terminal=_terminal(),
        address=_short(os.environ.get("SSH_CONNECTION", "").partition(" ")[0]), doing=_short(doing.what),
        task_id=_short(doing.task_id))


def shortened(claims: Actor) -> Actor:
    """What a sender claims, in the length that it may have."""
    return replace(
        claims, host=_short(claims.host), user=_short(claims.user), login=_short(claims.login),
        sudo_user=_short(claims.sudo_user), terminal=_short(claims.terminal), address=_short(claims.address),
        doing=_short(claims.doing), task_id=_short(claims.task_id))


def _login() -> str:
    with suppress(OSError, ValueError):
        uid = int(Path("/proc/self/loginuid").read_text(encoding="ascii"))
        return "" if uid == _NOBODY else _name(uid)
    return ""


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _terminal() -> str:
    for descriptor in (0, 1, 2):
        with suppress(OSError):
            return os.ttyname(descriptor).removeprefix("/dev/")
    return ""


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
