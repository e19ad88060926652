"""The way to the workers: asks first whether one is there, so that no command waits for nobody.

The application is found by its name, as `celery -A worker` finds it; this package stays below it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import click

from nightscan_tasks.errors import NightscanError, TransientError
from nightscan_tasks.settings import Settings, without_secret

if TYPE_CHECKING:  # late, below: a command that works in this process has no use for Celery
    from celery import Celery
    from celery.result import AsyncResult

CONTROL, HEAVY, RESTORE = "nightscan.control", "nightscan.heavy", "nightscan.restore"
_CONNECT_SECONDS = 5


class NoBroker(TransientError):
    """The broker does not answer."""


class NoWorker(TransientError):
    """No worker takes from the queue that the task goes to."""


class TaskFailed(NightscanError):
    """A task ended with an error that is not ours, or is no longer known."""


@cache
def application() -> Celery:
    """The Celery application, the one of `celery -A …` where that is how we were called."""
    from celery import Celery
    from celery.app.utils import find_app

    context = click.get_current_context(silent=True)
    given = getattr(context.find_root().obj, "app", None) if context else None
    if isinstance(given, Celery):
        return given
    return find_app("worker")


def consumers(*wanted: str) -> dict[str, set[str]]:
    """Which worker takes from which queues: of the wanted ones at least, where they have any."""
    from nightscan_tasks.tasks.queues import takers

    app = application()
    with app.connection_for_write(connect_timeout=_CONNECT_SECONDS) as connection:
        return takers(app, connection, wanted) or {}


def greeting() -> tuple[str, str]:
    """What a RabbitMQ calls itself, and its version; `NoBroker` if it does not answer."""
    app = application()
    try:
        with app.connection_for_write(connect_timeout=_CONNECT_SECONDS) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=_CONNECT_SECONDS)
            said = connection.connection.server_properties
    except _unreachable() as exc:
        raise NoBroker(f"the broker at {without_secret(app.conf.broker_url)} does not answer: {exc}\n"
                       f"start it, or correct NIGHTSCAN_BROKER_URL") from exc
    return str(said.get("product", "a broker of unknown make")), str(said.get("version", ""))


def reach(settings: Settings, queue: str) -> None:
    """`NoBroker` or `NoWorker` unless a task sent to that queue would be taken up."""
    place = without_secret(settings.broker_url.get_secret_value())
    app = application()
    try:
        with app.connection_for_write(connect_timeout=_CONNECT_SECONDS) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=_CONNECT_SECONDS)
        if any(queue in queues for queues in consumers(queue).values()):
            return
    except _unreachable() as exc:
        raise NoBroker(f"the broker at {place} does not answer: {exc}\n"
                       f"start it, or correct NIGHTSCAN_BROKER_URL; --local needs no broker") from exc
    raise NoWorker(f"no worker takes from the queue {queue} of the broker at {place}\n"
                   f"start one: celery -A worker worker -Q {queue}; --local needs no worker")


def send(settings: Settings, name: str, queue: str, *args: object, **kwargs: object) -> AsyncResult:
    """Send a task, once it is known that somebody will take it."""
    reach(settings, queue)
    return application().send_task(name, args=args, kwargs=kwargs)


def answer(result: AsyncResult, *, seconds: float | None = None) -> Any:
    """A task's result. Its error is raised here as what it was there."""
    try:
        value = result.get(timeout=seconds)
    except _timeout() as exc:
        raise NoWorker(f"the task {result.id} was sent, and has not answered in {seconds:.0f} s: its worker "
                       f"is busy, and will do it later\nwhat is under way: nightscan status") from exc
    except NightscanError:
        raise
    except Exception as exc:  # whatever the task raised: it is shown, with --debug with its traceback
        raise TaskFailed(f"the task {result.id} failed: {type(exc).__name__}: {exc}") from exc
    _let_go(result)
    return value


def _unreachable() -> tuple[type[Exception], ...]:
    from kombu.exceptions import KombuError, OperationalError

    return KombuError, OperationalError, OSError


def _timeout() -> type[Exception]:
    from celery.exceptions import TimeoutError as ResultTimeout

    return ResultTimeout  # type: ignore[no-any-return]  # Celery has no types


def _let_go(result: AsyncResult) -> None:
    """Wait no more for what the task sent in its turn: it would want a connection while Python ends."""
    for child in result.children or ():
        for each in getattr(child, "results", None) or (child,):
            result.backend.remove_pending_result(each)
