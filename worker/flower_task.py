"""A task as Flower shows it: of which run, which step of it, on what, and how far.

Celery's events bring the arguments and results of tasks as text, cut off where they are long. Whatever
cannot be read from them is left empty: Flower shows what it was told, and proves nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from celery.events.state import Task

from nightscan_tasks.model import COMPONENTS, Tier
from nightscan_tasks.wording import size

_RUN = re.compile(rf"\b({'|'.join(Tier)})[-/](\d{{8}}T\d{{6}}Z)\b")
_RESULT_RUN = re.compile(r"'run_id': '([^']+)'")
_ENDING = re.compile(r"'(?:ending|state)': '([^']+)'")
_STAMP = re.compile(r"\d{8}T\d{6}Z")
_SAVING = {"dump_database", "dump_redis", *(f"archive_{name}" for name in COMPONENTS[2:])}
_BEGINNING = ("backup_", "restore_", "drill")  # what begins something, whose run is not known yet
_LAST = "0"  # what belongs to no run comes after all that do


class RunTask(Task):  # type: ignore[misc]  # Celery has no types
    """Celery's view of a task, and three fields that it works out anew at each event.

    `run`: the run that it belongs to. `step`: its number and name in that run, `3 copy database to
    offsite`. `progress`: how far it is, and then what came of it. Sorted backwards by `run`, as Flower does
    at first, the newest run is at the top and reads downwards.
    """

    _fields = (*Task._fields, "run", "step", "progress")
    run_id = run = step = progress = ""

    def __init__(self, *args: Any, run: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.run_id = self.run = run  # a copy is made of what `as_dict` says

    def event(self, *args: Any, **kwargs: Any) -> None:
        """Take in one event."""
        super().event(*args, **kwargs)
        self.run_id = self.run_id or self._run_id()
        self.step = step_of(self.short_name, arguments_of(self.args))
        self.progress = progress_of(self.state, self.result, self.exception)
        self.run = self._place()

    def as_dict(self) -> dict[str, Any]:
        """For pages and copies, where `run` is the run itself and no longer what it is sorted by."""
        return {**super().as_dict(), "run": self.run_id}

    @property
    def short_name(self) -> str:
        """`dump_database` of `nightscan.dump_database`."""
        return str(self.name or "").removeprefix("nightscan.")

    def _run_id(self) -> str:
        """The run of its arguments, of its result, or of the task that it was sent by."""
        if found := _RUN.search(str(self.args or "")):
            return "-".join(found.groups())
        if found := _RESULT_RUN.search(str(self.result or "")):
            return found[1]
        sender = self.cluster_state.tasks.data.get(self.parent_id)
        return str(sender.run_id) if sender is not None else ""

    def _place(self) -> str:
        """What it is sorted by, backwards: a run by when it began, its steps the other way round."""
        received = self.received or self.sent or 0
        begun = _STAMP.search(self.run_id)
        if begun:
            moment = begun[0]
        elif self.short_name.startswith(_BEGINNING):
            moment = datetime.fromtimestamp(received, UTC).strftime("%Y%m%dT%H%M%SZ")
        else:
            moment = f"{_LAST} {received:017.3f}"
        steps = "".join(f"{999 - min(ord(char), 999):03}" for char in self.step)
        return f"{moment} {self.run_id} {steps}"


def format_task(task: RunTask) -> RunTask:
    """For Flower's pages: it has made a copy, and that is all that is needed."""
    return task


def step_of(name: str, arguments: tuple[Any, ...]) -> str:
    """Which step of a run a task is, with what it is about: `2 save database`."""
    of_run = [str(each) for each in arguments[1:]]  # the first is the run or set, in a column of its own
    if name.startswith("backup_"):
        return "1 open"
    if name in _SAVING:
        return f"2 save {' '.join(of_run) or name.partition('_')[2]}"
    steps = {"upload": f"3 copy {' to '.join(of_run)}", "settle": "4 settle",
             "verify": f"5 verify in {' '.join(of_run) or 'primary'}", "rotate": "6 rotate"}
    about = [str(each) for each in arguments if not _RUN.fullmatch(str(each))]
    alone = " ".join([name.replace("_", " "), *about[:1]])
    return steps.get(name, alone)


def progress_of(state: str, result: object, exception: object) -> str:
    """How far it is while it runs, why it failed or is tried again, or what came of it."""
    if state in {"FAILURE", "RETRY"}:
        return _one_line(str(exception or ""))
    if state == "PROGRESS":
        return str(_literal(result))
    if state != "SUCCESS":
        return ""
    if ending := _ENDING.search(str(result or "")):
        return ending[1]
    values = _literal(result)
    return _came_of(values) if isinstance(values, Mapping) else ""


def _came_of(values: Mapping[str, Any]) -> str:
    """What a task of a part, or a verification, answered."""
    if "plain_bytes" in values:
        return f"saved {size(values['plain_bytes'])} as {size(values['stored_bytes'])}"
    if "stored_bytes" in values:
        return f"copied {size(values['stored_bytes'])}"
    if "read_bytes" in values:
        return f"read {size(values['read_bytes'])} back"
    return f"skipped: {values['skipped']}" if "skipped" in values else ""


def arguments_of(text: object) -> tuple[Any, ...]:
    """Positional arguments from their text; none where it was cut off."""
    values = _literal(text)
    return tuple(values) if isinstance(values, (list, tuple)) else ()


def _literal(text: object) -> Any:
    """What a text stands for in Python, or the text itself."""
    try:
        return ast.literal_eval(str(text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _one_line(text: str) -> str:
    return " ".join(text.split())
