"""Another Celery's keys stay with what is live, whichever state that is; its broker is refused."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.errors import RestoreRefused

SEPARATOR = b"\x06\x16"


def bind(server: Any, queue: str) -> None:
    server.run(("SADD", f"_kombu.binding.{queue}", queue.encode() + SEPARATOR * 2 + queue.encode()))


def keys(server: Any) -> set[bytes]:
    (names,) = server.run(("KEYS", "*"))
    return set(names)


def test_a_running_celery_keeps_its_queues_and_results(server: Any, tmp_path: Path) -> None:
    bind(server, "predict")
    server.run(("RPUSH", "predict", "old task"), ("HSET", "unacked", "tag", "old task"),
               ("SET", "celery-task-meta-1", "old"), ("SET", "celery-task-meta-2", "old"),
               ("SET", "cache", "old"),
               ("RPUSH", b"predict" + SEPARATOR + b"3", "old urgent task"), ("SET", "unacked_mails", "old"))
    source = server.source()
    server.run(("DEL", "unacked", b"predict" + SEPARATOR + b"3", "celery-task-meta-2"),
               ("SET", "celery-task-meta-1", "new"), ("SET", "celery-task-meta-3", "new"),
               ("LPOP", "predict"), ("RPUSH", "predict", "new task"), ("SET", "cache", "new"),
               ("SET", "unacked_mails", "new"))
    ours = server.restorer(tmp_path)
    ours.stage(source)
    server.run(("RPUSH", "predict", "newest task"), ("ZADD", "unacked_index", 1, "tag"))
    swapped = ours.swap()
    assert "5 keys that belong to Celery stayed" in swapped.notes[0]
    assert keys(server) == {b"_kombu.binding.predict", b"predict", b"unacked_index", b"celery-task-meta-1",
                            b"celery-task-meta-2", b"celery-task-meta-3", b"cache", b"unacked_mails"}
    assert server.run(("LRANGE", "predict", 0, -1)) == [[b"new task", b"newest task"]]
    assert server.run(("MGET", "celery-task-meta-1", "celery-task-meta-2", "cache", "unacked_mails")) == [
        [b"new", b"old", b"old", b"old"]]
    server.run(("RPUSH", "predict", "last task"))
    ours.undo()
    assert server.run(("LRANGE", "predict", 0, -1)) == [[b"new task", b"newest task", b"last task"]]
    assert server.run(("MGET", "celery-task-meta-3", "cache")) == [[b"new", b"new"]]


def test_where_no_celery_runs_its_saved_queues_come_back(server: Any, tmp_path: Path) -> None:
    bind(server, "predict")
    server.run(("RPUSH", "predict", "task"), ("SET", "celery-task-meta-1", "done"))
    source = server.source()
    server.run(("FLUSHALL",))
    ours = server.restorer(tmp_path)
    ours.stage(source)
    ours.swap()
    assert keys(server) == {b"_kombu.binding.predict", b"predict", b"celery-task-meta-1"}


def test_a_worker_that_waits_for_a_queue_hears_of_it_after_a_swap(server: Any, tmp_path: Path) -> None:
    bind(server, "predict")
    source = server.source()
    heard: list[Any] = []
    with contextlib.closing(server.client()) as worker:
        waiting = threading.Thread(target=lambda: heard.append(worker.brpop("predict", 0)))
        waiting.start()
        while b"cmd=brpop" not in server.run(("CLIENT", "LIST"))[0]:
            pass
        ours = server.restorer(tmp_path)
        ours.stage(source)
        ours.swap()
        server.run(("RPUSH", "predict", "task"))
        waiting.join(180)
    assert heard == [(b"predict", b"task")]


def test_single_keys_that_are_celerys_stay(server: Any, tmp_path: Path) -> None:
    bind(server, "predict")
    server.run(("RPUSH", "predict", "old"), ("SET", "pretty", "old"))
    source = server.source()
    server.run(("DEL", "predict"), ("RPUSH", "predict", "new"), ("SET", "pretty", "new"))
    ours = server.restorer(tmp_path, keys=("pre*",))
    ours.stage(source)
    ours.swap()
    assert server.run(("LRANGE", "predict", 0, -1), ("GET", "pretty")) == [[b"new"], b"old"]
    ours.undo()
    assert server.run(("LRANGE", "predict", 0, -1), ("GET", "pretty")) == [[b"new"], b"new"]


def test_our_own_broker_is_refused(server: Any, tmp_path: Path) -> None:
    server.run(("SET", "a", 1))
    source = server.source()
    bind(server, "nightscan.restore")
    before = keys(server)
    ours = server.restorer(tmp_path)
    (problem,) = ours.examine(source).problems
    assert "database 0" in problem
    assert "(nightscan.restore are bound there)" in problem
    assert "--target-redis" in problem
    with pytest.raises(RestoreRefused, match="is the broker of these very tasks"):
        ours.stage(source)
    assert keys(server) == before


def test_our_broker_in_another_database_is_no_hindrance(server: Any, tmp_path: Path) -> None:
    server.run(("SET", "a", 1), db=3)
    source = server.source()
    bind(server, "nightscan.restore")
    ours = server.restorer(tmp_path, db=3)
    assert ours.examine(source).problems == ()
    ours.stage(source)
    ours.swap()
    assert keys(server) == {b"_kombu.binding.nightscan.restore"}
