"""A record of the log as one line: text for people, JSON for programs.

    2026-11-23T02:00:16Z INFO daily-20261123T020000Z database: saved 412 MB as 98 MB in 12 s

Nothing spreads over lines: a message of several is folded, a traceback is a field in JSON and in text its
frames in one row, left out where the error is one that says itself what to do.
"""

from __future__ import annotations

import logging
import socket
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from nightscan_tasks.errors import NightscanError
from nightscan_tasks.model import Tier
from nightscan_tasks.wording import printable

_NO_RUN = "-"
_FRAMES = 12
EVENTS = "nightscan"
"""The logger of what we do; the lines of every other say which one it is."""

_Raised = tuple[type[BaseException], BaseException, TracebackType | None]
Fields = Callable[[], dict[str, Any]]
"""What is being done at the moment: `run_id`, `task`, `task_id`, as far as they are known."""


class TextLines(logging.Formatter):
    """Time in UTC, level, run or `-`, and what is said."""

    def __init__(self, doing: Fields) -> None:
        super().__init__()
        self._doing = doing

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        run_id = _facts(record, self._doing).get("run_id") or _NO_RUN
        who = "" if record.name == EVENTS else f"{record.name}: "
        return f"{moment} {record.levelname} {run_id} {who}{folded(record.getMessage())}{_error(record)}"


class JsonLines(JsonFormatter):
    """An object a line: `time`, `level`, `event`, `message`, `run_id`, `tier`, `task`, `host` and more."""

    def __init__(self, doing: Fields) -> None:
        super().__init__()
        self._doing = doing

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord,
                   message_dict: dict[str, Any]) -> None:
        """All that is known of it; `message_dict` is what somebody logged instead of a text."""
        facts = _facts(record, self._doing)
        tier = str(facts.get("run_id", "")).partition("-")[0]
        moment = datetime.fromtimestamp(record.created, UTC)
        log_data.update({
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname, "event": getattr(record, "event", "log"),
            "message": folded(record.getMessage()), "run_id": None, **message_dict, **facts,
            "host": socket.gethostname(), "logger": record.name})
        log_data.pop("exc_info", None)
        if tier in list(Tier):
            log_data["tier"] = tier
        if exc_info := _raised(record):
            log_data["error"] = exc_info[0].__name__
            log_data["traceback"] = "".join(traceback.format_exception(*exc_info))


def folded(text: str) -> str:
    """A text of several lines in one, with nothing in it that a terminal would obey."""
    return printable("; ".join(part for line in text.splitlines() if (part := line.strip())))


def _facts(record: logging.LogRecord, doing: Fields) -> dict[str, Any]:
    own = getattr(record, "facts", None) or {}
    return {**doing(), **{name: value for name, value in own.items() if value not in (None, "")}}


def _raised(record: logging.LogRecord) -> _Raised | None:
    exc_info = record.exc_info
    return exc_info if isinstance(exc_info, tuple) and exc_info[0] is not None else None


def _error(record: logging.LogRecord) -> str:
    """What a line of text says of its exception: its kind and text, which a line of ours has said already."""
    exc_info = _raised(record)
    if exc_info is None:
        return ""
    kind, error, frames = exc_info
    told = "" if record.name == EVENTS else f": {kind.__name__}: {folded(str(error))}"
    if isinstance(error, (NightscanError, OSError)) or record.levelno < logging.ERROR:
        return told
    calls = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
             for frame in traceback.extract_tb(frames)[-_FRAMES:]]
    return f"{told} [{' > '.join(calls)}]" if calls else told
