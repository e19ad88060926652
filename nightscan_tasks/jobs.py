"""The jobs of a host: how many at once, and how far they stand back for everybody else.

A job is one dump, archive or copy of a part. `NIGHTSCAN_JOBS` is how many a host does side by side,
whichever of its workers, or command line, began them (docs/adr/0014).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from nightscan_tasks import runtime
from nightscan_tasks.errors import Busy
from nightscan_tasks.settings import Settings


@contextmanager
def job(settings: Settings) -> Iterator[int]:
    """One of the host's jobs, by its number, until the context or the process ends. `Busy`: all are taken.

    Take it before any lease, and wait for nothing but the machine while it is held: then whoever has one
    gets on, and lets go of it.
    """
    host = settings.host or socket.gethostname()
    with ExitStack() as stack:
        for number in range(settings.jobs):
            attempt = stack.enter_context(ExitStack())
            descriptor = attempt.enter_context(runtime.opened(settings, f"job.{host}.{number}"))
            if runtime.taken(descriptor):
                yield number
                return
            attempt.close()
        raise Busy(f"all {settings.jobs} jobs of {host} are at work (NIGHTSCAN_JOBS); this one waits")
