"""What is worth another try, when, and what is recorded when there is none left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from celery import Task

from nightscan_tasks.errors import Busy, LeaseLost, NightscanError
from nightscan_tasks.model import Json
from nightscan_tasks.system import System
from nightscan_tasks.wording import size

T = TypeVar("T")

_BUSY_SECONDS = 1
_BUSY_AT_MOST_SECONDS = 30


def attempt(task: Task, system: System, work: Callable[[], T],
            give_up: Callable[[BaseException], object]) -> T:
    """Retry what is transient, wait for what is busy, and give up on the rest, once and on record.

    Waiting is no try: `waited`, a keyword that every such task accepts, counts it apart.
    """
    waited = int(task.request.kwargs.get("waited", 0))
    try:
        return work()
    except Busy as exc:
        pause = min(_BUSY_SECONDS * (waited + 1), _BUSY_AT_MOST_SECONDS)
        raise task.retry(exc=exc, countdown=pause, max_retries=None,
                         kwargs={**task.request.kwargs, "waited": waited + 1}) from exc
    except LeaseLost:  # the work is another's now, or the run has ended: no failure of the part
        raise
    except NightscanError as exc:
        tries = task.request.retries - waited
        if exc.transient and tries < system.settings.retries:
            pause = system.settings.retry_seconds * 2**tries
            raise task.retry(exc=exc, countdown=pause, max_retries=None) from exc
        give_up(exc)
        raise
    except BaseException as exc:  # a bug, or a time limit: on record as well, and as loud as it came
        give_up(exc)
        raise


def show(task: Task) -> Callable[[dict[str, Json]], None]:
    """A watcher that makes a task's progress visible: as its state, and as an event for Flower.

    It is called from the thread that reads, which does not know the task's request: so it is taken here.
    """
    request, backend, app = task.request_stack.top, task.backend, task.app

    def watch(progress: dict[str, Json]) -> None:
        with suppress(Exception):  # a broker that is away must not cost the backup, only its display
            backend.store_result(request.id, progress, "PROGRESS", request=request)
            with app.events.default_dispatcher(hostname=request.hostname) as events:
                events.send("task-progress", uuid=request.id, result=sentence(progress))

    return watch


def sentence(progress: dict[str, Any]) -> str:
    """One progress report in words: `reading 412 MB of about 1.6 GB, 120 MB/s`."""
    done, total, rate = (size(float(progress[key])) for key in ("bytes", "of_bytes", "bytes_per_second"))
    speed = f", {rate}/s" if progress["bytes_per_second"] else ""
    return f"{progress['phase']} {done} of about {total}{speed}"
