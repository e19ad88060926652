"""What is worth a line in the log: what a task did, why it is tried again, why it failed.

Pure: from a task's name, arguments and answer to lines. A task that found nothing to do gives none.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nightscan_tasks.errors import Busy, LeaseLost
from nightscan_tasks.model import Tier
from nightscan_tasks.wording import duration, size

_RUN = re.compile(rf"\b({'|'.join(Tier)})[-/](\d{{8}}T\d{{6}}Z)\b")
_WELL = {"good", "passed", "restored", "accepted", "rolled_back"}


@dataclass(frozen=True)
class Work:
    """A task that is being done: `run_id` is empty where it belongs to none, or none is known yet."""

    name: str
    task_id: str
    arguments: tuple[Any, ...] = ()
    run_id: str = ""
    begun_at: datetime | None = None
    elapsed_seconds: float = 0.0

    @property
    def short_name(self) -> str:
        """`dump_database` of `nightscan.dump_database`."""
        return self.name.removeprefix("nightscan.")

    @property
    def part(self) -> str:
        """The part that it saves or copies; empty where it does neither."""
        return str(self.arguments[1]) if self.short_name in _OF_PARTS and len(self.arguments) > 1 else ""

    @property
    def subject(self) -> str:
        """What its lines begin with: the part, with the store that it is copied to, or the task."""
        store = f" to {self.arguments[2]}" if self.short_name == "upload" and self.arguments[2:] else ""
        return f"{self.part}{store}" or self.short_name


@dataclass(frozen=True)
class Event:
    """One line: `name` for programs, `text` for people, `facts` beside them."""

    name: str
    text: str
    level: int = logging.INFO
    run_id: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def run_of(arguments: Sequence[Any]) -> str:
    """The run that a task's arguments name, by itself or by its set; empty where they name none."""
    first = str(arguments[0]) if arguments else ""
    found = _RUN.fullmatch(first)
    return "-".join(found.groups()) if found else ""


def begun(work: Work) -> Iterator[Event]:
    """What is told before it is done: a restore, which changes what is live, and may be cut off."""
    if work.short_name.startswith("restore_"):
        yield Event("restore_begun", f"{work.short_name} begins")


def done(work: Work, answer: Any) -> Iterator[Event]:
    """What a task did, by its answer."""
    teller = _TELLERS.get(work.short_name)
    if teller is None and work.short_name.startswith("backup_"):
        teller = _opened
    elif teller is None and work.short_name.startswith("restore_"):
        teller = _restored
    each_of = answer if isinstance(answer, list) else [answer]
    if teller is not None:
        for each in each_of:
            if isinstance(each, Mapping):
                yield from teller(work, each)


def failed(work: Work, error: BaseException) -> Event:
    """Why a task failed for good. Work that has passed to another is no failure."""
    level = logging.WARNING if isinstance(error, LeaseLost) else logging.ERROR
    return Event("task_failed", f"{work.subject} failed: {_said(error)}", level,
                 facts=_error_of(work, error))


def tried_again(work: Work, error: object, seconds: float | None) -> Event:
    """Why a task is tried again; one that waits for its turn is worth no line."""
    level = logging.DEBUG if isinstance(error, Busy) else logging.WARNING
    when = f" in {duration(seconds)}" if seconds else ""
    return Event("task_retried", f"{work.subject} is tried again{when}: {_said(error)}", level,
                 facts=_error_of(work, error))


def _error_of(work: Work, error: object) -> dict[str, str]:
    return {"error": type(error).__name__, **(_of({"part": work.part}) if work.part else {})}


def _said(error: object) -> str:
    text = str(error)
    return text if getattr(type(error), "transient", None) is not None else f"{type(error).__name__}: {text}"


def _opened(_work: Work, answer: Mapping[str, Any]) -> Iterator[Event]:
    run_id, state = str(answer["run_id"]), answer.get("state")
    text = {"joined": "joined, for it is under way already",
            "waiting": f"opened, and waits: {answer.get('why', '')}"}.get(str(state), "opened and started")
    yield Event("run_opened", text, run_id=run_id, facts={"state": state})


def _made_up(_work: Work, answer: Mapping[str, Any]) -> Iterator[Event]:
    yield Event("run_made_up", f"the {answer['missed']} run was missed, and is made up for", logging.WARNING,
                run_id=str(answer["run_id"]))


def _picked_up(_work: Work, answer: Mapping[str, Any]) -> Iterator[Event]:
    run_id = str(answer["run_id"])
    if answer.get("state") == "started":
        yield Event("run_started", "started, for it is its turn", run_id=run_id)
    elif "again" in answer:
        again = [*answer["again"], *(["settle"] if answer.get("settle") else [])]
        yield Event("run_picked_up", f"lost work is sent again: {', '.join(again)}", logging.WARNING,
                    run_id=run_id)


def _saved(work: Work, answer: Mapping[str, Any]) -> Iterator[Event]:
    plain, stored = answer["plain_bytes"], answer["stored_bytes"]
    yield Event("part_saved", f"{answer['part']}: saved {size(plain)} as {size(stored)} in "
                f"{duration(work.elapsed_seconds)}",
                facts={**_of(answer), "plain_bytes": plain, "stored_bytes": stored,
                       "seconds": round(work.elapsed_seconds, 3)})


def _copied(work: Work, answer: Mapping[str, Any]) -> Iterator[Event]:
    if "stored_bytes" in answer:
        yield Event("part_copied", f"{answer['part']}: copied {size(answer['stored_bytes'])} to "
                    f"{answer['store']} in {duration(work.elapsed_seconds)}",
                    facts={**_of(answer), "store": answer["store"], "stored_bytes": answer["stored_bytes"],
                           "seconds": round(work.elapsed_seconds, 3)})


def _of(answer: Mapping[str, Any]) -> dict[str, str]:
    part = str(answer["part"])
    return {"part": part, "component": part.partition(".")[0]}


def _settled(work: Work, answer: Mapping[str, Any]) -> Iterator[Event]:
    ending = answer.get("ending")
    at = datetime.fromisoformat(str(answer["settled_at"])) if ending else None
    if at is None or (work.begun_at is not None and at < work.begun_at.replace(microsecond=0)):
        return  # not ended yet, or told when it ended
    failures = [f"{each['part']}: {each['message']}" for each in answer.get("failures", ())]
    why = "; ".join([*failures, *answer.get("suspicious", ())])
    stores = " and ".join(answer.get("stores", ()))
    text = (f"ended {ending}: {size(answer['plain_bytes'])} saved as {size(answer['stored_bytes'])} in "
            f"{duration(answer['elapsed_seconds'])}{f', in {stores}' if stores else ''}")
    level = logging.INFO if ending in _WELL and not why else logging.ERROR
    yield Event("run_settled", f"{text}; {why}" if why else text, level,
                facts={"ending": ending, "plain_bytes": answer["plain_bytes"],
                       "stored_bytes": answer["stored_bytes"], "seconds": answer["elapsed_seconds"],
                       "stores": list(answer.get("stores", ()))})


def _verified(_work: Work, answer: Mapping[str, Any]) -> Iterator[Event]:
    yield Event("set_verified",
                f"verified in {answer['store']}: {size(answer['read_bytes'])} read back, all of it whole",
                facts={"store": answer["store"], "read_bytes": answer["read_bytes"]})


def _rotated(_work: Work, answer: Mapping[str, Any]) -> Iterator[Event]:
    store = answer.get("store")
    if answer.get("removed"):
        yield Event("sets_removed", f"{store}: {', '.join(answer['removed'])} removed, past their time; "
                    f"{answer['kept']} kept", facts={"store": store, "removed": answer["removed"]})
    if answer.get("swept"):
        yield Event("leftovers_removed", f"{store}: {answer['swept']} leftovers of broken runs removed",
                    facts={"store": store})
    for tier, why in (answer.get("frozen") or {}).items():
        yield Event("retention_frozen", f"{store}: nothing of {tier} is removed: {why}", logging.WARNING,
                    facts={"store": store, "reason": why})


def _caught_up(_work: Work, answer: Mapping[str, Any]) -> Iterator[Event]:
    if "set_id" in answer:
        yield Event("set_copied", f"{answer['set_id']} copied to {answer['store']}, which lacked it",
                    run_id=run_of([answer["set_id"]]), facts={"store": answer["store"]})


def _scrubbed(_work: Work, answer: Mapping[str, Any]) -> Iterator[Event]:
    if "read_bytes" in answer:
        findings = len(answer.get("findings") or ())
        yield Event("scrubbed", f"{answer['store']}: {answer['read_files']} files, "
                    f"{size(answer['read_bytes'])} read again; {findings or 'nothing'} found",
                    logging.WARNING if findings else logging.INFO,
                    facts={"store": answer["store"], "read_bytes": answer["read_bytes"]})


def _restored(work: Work, answer: Mapping[str, Any]) -> Iterator[Event]:
    ending = answer.get("ending")
    if ending:
        yield Event("restore_ended", f"{work.short_name} ended {ending}: {answer.get('set_id', '')} from "
                    f"{answer.get('store', '')} in {duration(answer.get('elapsed_seconds') or 0)}",
                    run_id=str(answer.get("run_id", "")), facts={"ending": ending})


def _drilled(_work: Work, answer: Mapping[str, Any]) -> Iterator[Event]:
    if "drill_id" in answer:
        problems = "; ".join(answer.get("problems") or ())
        yield Event("drill_ended", f"drill of {answer.get('set_id')} from {answer.get('store')} "
                    f"{'failed: ' + problems if problems else 'passed'} in "
                    f"{duration(answer['elapsed_seconds'])}", logging.ERROR if problems else logging.INFO,
                    run_id=str(answer["drill_id"]))


def _told(_work: Work, answer: Mapping[str, Any]) -> Iterator[Event]:
    by = f", told by {', '.join(answer['told'])}" if answer.get("told") else ""
    if answer.get("raised"):
        yield Event("alert_raised", f"not well: {', '.join(answer['raised'])}{by}", logging.WARNING,
                    facts={"problems": answer["raised"], "told": answer.get("told")})
    if answer.get("over"):
        yield Event("alert_over", f"well again: {', '.join(answer['over'])}{by}",
                    facts={"problems": answer["over"], "told": answer.get("told")})


def _reported(_work: Work, answer: Mapping[str, Any]) -> Iterator[Event]:
    if answer.get("sent"):
        yield Event("report_mailed", f"the report of {answer['month']} is mailed to {len(answer['sent'])}",
                    facts={"month": answer["month"]})


_SAVING = ("dump_database", "dump_redis", "archive_user_data", "archive_system_config", "archive_source_code")
_OF_PARTS = (*_SAVING, "upload")
_TELLERS: dict[str, Callable[[Work, Mapping[str, Any]], Iterator[Event]]] = {
    **dict.fromkeys(_SAVING, _saved), "upload": _copied, "settle": _settled, "verify": _verified,
    "rotate": _rotated, "reap": _picked_up, "make_up": _made_up, "replicate": _caught_up,
    "scrub": _scrubbed, "drill": _drilled, "check_freshness": _told, "notify": _told,
    "monthly_report": _reported,
}
