"""The jobs of a host: how many at once, and how far they stand back for everybody else.

A job is one dump, archive or copy of a part. `NIGHTSCAN_JOBS` is how many a host does side by side,
whichever of its workers, or command line, began them (docs/adr/0014).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from nightscan_tasks import runtime
from nightscan_tasks.errors import Busy
from nightscan_tasks.settings import Settings

_LOOK_SECONDS = 0.1
_WAIT_SECONDS = 5.0  # a small part is done by then; behind a large one a message had better come back later


@contextmanager
def job(settings: Settings, *, wait_seconds: float = _WAIT_SECONDS) -> Iterator[int]:
    """One of the host's jobs, by its number, until the context or the process ends.

    Waits a little where all are taken, and then is `Busy`. Take it before any lease, and wait for nothing
    but the machine while it is held: then whoever has one gets on, and lets go of it.
    """
    host = settings.host or socket.gethostname()
    until = time.monotonic() + wait_seconds
    with ExitStack() as stack:
        while (number := _free(stack, settings, host)) is None:
            if time.monotonic() >= until:
                raise Busy(f"all {settings.jobs} jobs of {host} are at work (NIGHTSCAN_JOBS); this one waits")
            time.sleep(_LOOK_SECONDS)
        yield number


def _free(stack: ExitStack, settings: Settings, host: str) -> int | None:
    """A job that nobody had, which is ours until the stack is closed."""
    for number in range(settings.jobs):
        with ExitStack() as attempt:
            descriptor = attempt.enter_context(runtime.opened(settings, f"job.{host}.{number}"))
            if runtime.taken(descriptor):
                stack.enter_context(attempt.pop_all())
                return number
    return None
