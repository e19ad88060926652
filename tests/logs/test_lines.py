"""A record is one line, whatever is in it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from nightscan_tasks.errors import SourceRefused
from nightscan_tasks.settings import Settings
from worker import logs
from worker.log_lines import EVENTS, JsonLines, TextLines

_RUN = "daily-20261123T020000Z"


def record(message: str, name: str = EVENTS, level: int = logging.INFO, error: BaseException | None = None,
           **extra: Any) -> logging.LogRecord:
    exc_info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord(name, level, "file.py", 1, message, (), exc_info)
    made.created = 1795399204.25
    for key, value in extra.items():
        setattr(made, key, value)
    return made


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except type(error) as exc:
        return exc


def text(made: logging.LogRecord, **doing: str) -> str:
    return TextLines(lambda: dict(doing)).format(made)


def fields(made: logging.LogRecord, **doing: str) -> dict[str, Any]:
    line = JsonLines(lambda: dict(doing)).format(made)
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_line_of_text_has_its_moment_level_and_run() -> None:
    said = "database: saved 412 MB as 98 MB in 12 s"
    assert text(record(said), run_id=_RUN) == f"2026-11-23T02:00:04Z INFO {_RUN} {said}"
    assert text(record("all ready.", "celery")) == "2026-11-23T02:00:04Z INFO - celery: all ready."


def test_a_line_of_json_has_what_is_known() -> None:
    made = record("database: saved", event="part_saved",
                  facts={"component": "database", "store": "", "run_id": _RUN})
    found = fields(made, task="dump_database", task_id="1", run_id="of the task")
    host = found.pop("host")
    assert host
    assert found == {"time": "2026-11-23T02:00:04.250Z", "level": "INFO", "event": "part_saved",
                     "message": "database: saved", "run_id": _RUN, "tier": "daily", "component": "database",
                     "task": "dump_database", "task_id": "1", "logger": EVENTS}


def test_lines_of_libraries_have_the_run_too() -> None:
    assert fields(record("slow", "botocore"), run_id=_RUN)["run_id"] == _RUN
    assert text(record("slow", "botocore"), run_id=_RUN).endswith(f" {_RUN} botocore: slow")
    assert fields(record("slow", "botocore"))["run_id"] is None


@pytest.mark.parametrize("message", ["two\n  lines\n", "two\r\nlines", "\n\ntwo\n\nlines"])
def test_a_message_of_several_lines_is_folded(message: str) -> None:
    assert text(record(message)).endswith("- two; lines")
    assert fields(record(message))["message"] == "two; lines"


def test_a_terminal_is_told_nothing() -> None:
    assert "\x1b" not in text(record("\x1b[31mred"))


def test_an_error_that_says_what_to_do_has_no_frames_in_text() -> None:
    error = raised(SourceRefused("no such database\ncheck NIGHTSCAN_DB_NAME"))
    made = record(f"database failed: {error}", level=logging.ERROR, error=error)
    assert text(made).endswith("ERROR - database failed: no such database; check NIGHTSCAN_DB_NAME")
    assert fields(made)["error"] == "SourceRefused"
    assert "test_lines.py" in fields(made)["traceback"]


def test_a_bug_has_its_frames_in_one_line() -> None:
    line = text(record("it failed", "kombu", logging.ERROR, raised(KeyError("part"))))
    assert "\n" not in line
    assert "kombu: it failed: KeyError: 'part' [test_lines.py:" in line
    assert line.endswith(" raised]")


@pytest.mark.parametrize(("name", "level", "told"), [
    ("celery.worker.strategy", logging.INFO, False), ("celery.worker.consumer.mingle", logging.INFO, False),
    ("celery.app.trace", logging.INFO, False), ("botocore.credentials", logging.INFO, False),
    ("celery.worker.strategy", logging.WARNING, True), ("kombu.connection", logging.ERROR, True),
    ("celery.apps.worker", logging.INFO, True), (EVENTS, logging.INFO, True)])
def test_a_normal_day_of_a_library_is_told_only_to_who_asks(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, level: int, told: bool,
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(logging, "captureWarnings", lambda *, capture: None)
    for chosen, expected in ((logging.INFO, told), (logging.DEBUG, True)):
        logs.set_up(Settings(), chosen)
        logging.getLogger(name).handle(record("it was said", name, level))
        assert ("it was said" in capfd.readouterr().err) is expected


