"""The log of workers, beat and Flower: one line an event, with its run; quiet when all is well.

What a task did is read from its answer (`log_events`), so that a task that found nothing to do says nothing.
What Celery and other libraries tell of a normal day is left out, unless `--loglevel DEBUG` asks for it.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from typing import Any

from celery import signals
from celery.exceptions import ChordError

from nightscan_tasks.settings import Settings
from worker.log_events import Event, Work, begun, done, failed, run_of, tried_again
from worker.log_lines import EVENTS, JsonLines, TextLines

RUN_HEADER = "nightscan_run"
_log = logging.getLogger(EVENTS)
_QUIET = ("celery.worker", "celery.app.trace", "celery.beat", "kombu", "amqp", "botocore", "boto3",
          "s3transfer", "urllib3", "apprise", "flower", "tornado", "asyncio")
_SAID = ("beat: Starting",)  # of those, what one wants to see all the same
_TOLD_BY_US = "data"  # Celery's own line of a task's end has it

_now: ContextVar[Work | None] = ContextVar("nightscan_work", default=None)
_works: dict[str, tuple[Work, float]] = {}


def connect(settings: Settings) -> None:
    """Let this process, when it becomes a worker or beat, log as `settings.log` says."""

    def setting_up(loglevel: int | None = None, logfile: str | None = None, **_signal: Any) -> None:
        set_up(settings, loglevel or logging.INFO, logfile)

    def beginning(instance: Any = None, **_signal: Any) -> None:
        set_up(settings)  # for what is said before Celery gets there
        if instance is not None and not sys.stdout.isatty():
            instance.quiet = True  # no banner of many lines where no person watches

    receivers = {setting_up: signals.setup_logging, beginning: signals.celeryd_init,
                 _sending: signals.before_task_publish, _beginning: signals.task_prerun,
                 _succeeded: signals.task_success, _failed: signals.task_failure,
                 _retried: signals.task_retry, _ended: signals.task_postrun}
    for receiver, signal in receivers.items():
        signal.connect(receiver, weak=False, dispatch_uid=f"nightscan log {receiver.__name__}")


def set_up(settings: Settings, level: int = logging.INFO, logfile: str | None = None, *,
           debug: bool = False) -> None:
    """One handler for all: standard error, or a file that may be moved away. With `debug` all is told."""
    level = logging.DEBUG if debug else level
    handler: logging.Handler = (WatchedFileHandler(logfile, encoding="utf-8") if logfile
                                else logging.StreamHandler(sys.__stderr__))
    handler.setFormatter(JsonLines(doing) if settings.log == "json" else TextLines(doing))
    if level >= logging.INFO:
        handler.addFilter(_worth_a_line)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)


def doing() -> dict[str, Any]:
    """What this process, or this thread of it, is at: for every line that is written meanwhile.

    Threads that a task starts know nothing of it; where only one task runs they can be none but its.
    """
    work = _now.get()
    if work is None and len(_works) == 1:
        work = next(iter(_works.values()))[0]
    return _named(work) if work else {}


def _named(work: Work) -> dict[str, Any]:
    named = {"run_id": work.run_id, "task": work.short_name, "task_id": work.task_id}
    return {name: value for name, value in named.items() if value}


def _worth_a_line(record: logging.LogRecord) -> bool:
    """Whether it is ours, a trouble, or what one wants to see; what we tell better is left to us."""
    if (record.name == "celery.app.trace" and hasattr(record, _TOLD_BY_US)) or _of_a_chord(record):
        return False
    if record.levelno >= logging.WARNING or not record.name.startswith(_QUIET):
        return True
    return record.getMessage().startswith(_SAID)


def _of_a_chord(record: logging.LogRecord) -> bool:
    """Whether Celery tells that a run's part failed, which the part has told, and settle will."""
    return isinstance(record.exc_info, tuple) and isinstance(record.exc_info[1], ChordError)


def _sending(headers: dict[str, Any] | None = None, **_signal: Any) -> None:
    """A task that another sends belongs to the same run."""
    work = _now.get()
    if headers is not None and work is not None and work.run_id:
        headers.setdefault(RUN_HEADER, work.run_id)


def _beginning(task_id: str, task: Any, args: Any = (), **_signal: Any) -> None:
    claimed = (task.request.headers or {}).get(RUN_HEADER)
    work = Work(task.name, task_id, tuple(args or ()), run_of(args or ()) or run_of([claimed]),
                datetime.now(UTC))
    _now.set(work)
    _works[task_id] = (work, time.monotonic())
    for event in begun(work):
        _tell(work, event)


def _succeeded(sender: Any, result: Any = None, **_signal: Any) -> None:
    work = _work(sender.request.id, sender, sender.request.args)
    for event in done(work, result):
        _tell(work, event)


def _failed(sender: Any, task_id: str, exception: BaseException, args: Any = (), **_signal: Any) -> None:
    work = _work(task_id, sender, args)
    _tell(work, failed(work, exception), exception)


def _retried(sender: Any, request: Any, reason: Any = None, **_signal: Any) -> None:
    work = _work(request.id, sender, request.args)
    when = getattr(reason, "when", None)
    error = getattr(reason, "exc", None) or reason
    _tell(work, tried_again(work, error, float(when) if isinstance(when, (int, float)) else None))


def _ended(task_id: str, **_signal: Any) -> None:
    _works.pop(task_id, None)
    _now.set(None)


def _work(task_id: str, task: Any, args: Any) -> Work:
    """The work of this process, or, where its child is lost, what the message says of it."""
    known = _works.get(task_id)
    if known is None:
        return Work(task.name, task_id, tuple(args or ()), run_of(args or ()))
    work, began = known
    return replace(work, elapsed_seconds=time.monotonic() - began)


def _tell(work: Work, event: Event, error: BaseException | None = None) -> None:
    facts: Mapping[str, Any] = {**_named(work), **event.facts,
                                "run_id": event.run_id or work.run_id}
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    _log.log(event.level, "%s", event.text, exc_info=exc_info,
             extra={"event": event.name, "facts": dict(facts)})
