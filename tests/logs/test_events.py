"""What a task did is told by its answer, and what found nothing to do is not told."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nightscan_tasks.errors import Busy, LeaseLost, StoreError
from worker.log_events import Event, Work, begun, done, failed, run_of, tried_again

_NOW = datetime(2026, 11, 23, 2, 0, 4, 500_000, tzinfo=UTC)
_RUN, _SET = "daily-20261123T020000Z", "daily/20261123T020000Z"
_SETTLED = {"ending": "good", "settled_at": _NOW.isoformat(), "plain_bytes": 2_000_000,
            "stored_bytes": 1_000_000, "elapsed_seconds": 61.0, "stores": ["primary", "offsite"],
            "failures": [], "suspicious": []}


def work(name: str, *arguments: str, began: datetime = _NOW) -> Work:
    return Work(f"nightscan.{name}", "1", arguments, run_of(arguments), began, 12.0)


@pytest.mark.parametrize(("task", "answer", "event", "text"), [
    (work("backup_daily"), {"run_id": _RUN, "state": "started"}, "run_opened", "opened and started"),
    (work("backup_daily"), {"run_id": _RUN, "state": "waiting", "why": "x runs"}, "run_opened",
     "opened, and waits: x runs"),
    (work("backup_daily"), {"run_id": _RUN, "state": "joined"}, "run_opened",
     "joined, for it is under way already"),
    (work("make_up"), [{"missed": "daily", "run_id": _RUN}], "run_made_up",
     "the daily run was missed, and is made up for"),
    (work("reap"), [{"run_id": _RUN, "again": ["database"], "settle": True}], "run_picked_up",
     "lost work is sent again: database, settle"),
    (work("reap"), [{"run_id": _RUN, "state": "started"}], "run_started", "started, for it is its turn"),
    (work("archive_user_data", _RUN, "user_data.00"),
     {"part": "user_data.00", "plain_bytes": 412_000_000, "stored_bytes": 98_000_000}, "part_saved",
     "user_data.00: saved 412.0 MB as 98.0 MB in 12.0 s"),
    (work("upload", _RUN, "redis", "nas"), {"part": "redis", "store": "nas", "stored_bytes": 5},
     "part_copied", "redis: copied 5 B to nas in 12.0 s"),
    (work("settle", _RUN), _SETTLED, "run_settled",
     "ended good: 2.0 MB saved as 1.0 MB in 1 min 1 s, in primary and offsite"),
    (work("settle", _RUN), {**_SETTLED, "ending": "incomplete", "stores": [],
                            "failures": [{"part": "redis", "message": "gone"}]}, "run_settled",
     "ended incomplete: 2.0 MB saved as 1.0 MB in 1 min 1 s; redis: gone"),
    (work("verify", _SET), {"store": "primary", "read_bytes": 7}, "set_verified",
     "verified in primary: 7 B read back, all of it whole"),
    (work("rotate"), [{"store": "primary", "removed": ["daily/a"], "kept": 7}], "sets_removed",
     "primary: daily/a removed, past their time; 7 kept"),
    (work("rotate"), [{"store": "primary", "swept": 3}], "leftovers_removed",
     "primary: 3 leftovers of broken runs removed"),
    (work("rotate"), [{"store": "primary", "frozen": {"daily": "unverified"}}], "retention_frozen",
     "primary: nothing of daily is removed: unverified"),
    (work("replicate"), [{"set_id": _SET, "store": "nas"}], "set_copied",
     f"{_SET} copied to nas, which lacked it"),
    (work("scrub", "primary"), {"store": "primary", "read_files": 4, "read_bytes": 9, "findings": []},
     "scrubbed", "primary: 4 files, 9 B read again; nothing found"),
    (work("restore_redis"), {"run_id": "restore-1", "ending": "restored", "set_id": _SET, "store": "primary",
                             "elapsed_seconds": 2.0}, "restore_ended",
     f"restore_redis ended restored: {_SET} from primary in 2.0 s"),
    (work("drill"), {"drill_id": "drill-1", "set_id": _SET, "store": "nas", "elapsed_seconds": 9.0,
                     "problems": ["one row is missing"]}, "drill_ended",
     f"drill of {_SET} from nas failed: one row is missing in 9.0 s"),
    (work("notify"), {"raised": ["stale daily"], "over": [], "told": ["mail"]}, "alert_raised",
     "not well: stale daily, told by mail"),
    (work("notify"), {"raised": [], "over": ["stale daily"], "told": ["mail", "slack"]}, "alert_over",
     "well again: stale daily, told by mail, slack"),
    (work("monthly_report"), {"month": "2026-10", "sent": ["a@example.org", "b@example.org"]},
     "report_mailed", "the report of 2026-10 is mailed to 2"),
])
def test_what_was_done_is_one_line(task: Work, answer: Any, event: str, text: str) -> None:
    assert [(each.name, each.text) for each in done(task, answer)] == [(event, text)]


@pytest.mark.parametrize(("task", "answer"), [
    (work("reap"), []), (work("reap"), [{"run_id": _RUN, "state": "waiting", "why": "another runs"}]),
    (work("make_up"), []), (work("replicate"), []), (work("reap_restores"), []), (work("status"), {"a": 1}),
    (work("rotate"), [{"store": "primary", "held": "", "frozen": {}, "removed": [], "kept": 7, "swept": 0}]),
    (work("rotate"), [{"store": "primary", "state": "verifying"}]),
    (work("settle", _RUN), {"run_id": _RUN, "state": "unfinished"}),
    (work("settle", _RUN, began=_NOW + timedelta(seconds=2)), _SETTLED),
    (work("upload", _RUN, "redis", "nas"), {"part": "redis", "store": "nas", "skipped": "the part failed"}),
    (work("scrub"), {"sent": ["primary"]}), (work("restore_full"), {"steps": []}),
    (work("check_freshness"), {"health": "good", "raised": [], "over": [], "told": []}),
])
def test_what_found_nothing_to_do_is_no_line(task: Work, answer: Any) -> None:
    assert list(done(task, answer)) == []


def test_a_restore_is_told_before_it_begins() -> None:
    assert [each.name for each in begun(work("restore_full"))] == ["restore_begun"]
    assert list(begun(work("dump_redis", _RUN, "redis"))) == []


@pytest.mark.parametrize(("event", "level", "text"), [
    (failed(work("upload", _RUN, "redis", "nas"), StoreError("nas is full")), logging.ERROR,
     "redis to nas failed: nas is full"),
    (failed(work("rotate"), KeyError("store")), logging.ERROR, "rotate failed: KeyError: 'store'"),
    (failed(work("dump_redis", _RUN, "redis"), LeaseLost("it has ended")), logging.WARNING,
     "redis failed: it has ended"),
    (tried_again(work("dump_redis", _RUN, "redis"), StoreError("nas is away"), 30.0), logging.WARNING,
     "redis is tried again in 30.0 s: nas is away"),
    (tried_again(work("dump_redis", _RUN, "redis"), Busy("its turn comes"), 1.0), logging.DEBUG,
     "redis is tried again in 1.0 s: its turn comes"),
])
def test_failures_and_further_tries_are_told(event: Event, level: int, text: str) -> None:
    assert (event.level, event.text) == (level, text)


@pytest.mark.parametrize(("arguments", "run_id"), [
    ((_RUN, "database"), _RUN), ((_SET, "primary"), _RUN), ((), ""), (("primary",), ""),
    (("daily-20261123T020000Z; rm -rf /",), ""), ((None,), "")])
def test_a_run_is_read_from_arguments(arguments: tuple[Any, ...], run_id: str) -> None:
    assert run_of(arguments) == run_id
