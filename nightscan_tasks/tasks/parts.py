"""The tasks that move bytes: one part of one run each."""

from __future__ import annotations

from functools import partial
from typing import Any

from celery import Task, shared_task

from nightscan_tasks import backup
from nightscan_tasks.model import Json
from nightscan_tasks.system import System
from nightscan_tasks.tasks.trying import attempt, show

# What died with its child is tried again soon, and then waits for the lease of the dead one.
_PART: dict[str, Any] = {"bind": True, "track_started": True, "default_retry_delay": 10}


@shared_task(name="nightscan.dump_database", **_PART)
def dump_database(self: Task, run_id: str, part: str, *, waited: int = 0) -> dict[str, Json]:  # noqa: ARG001 - counted by attempt
    """Dump the database with `pg_dump`."""
    return _dump(self, run_id, part)


@shared_task(name="nightscan.dump_redis", **_PART)
def dump_redis(self: Task, run_id: str, part: str, *, waited: int = 0) -> dict[str, Json]:  # noqa: ARG001 - counted by attempt
    """Take Redis as an RDB, through replication."""
    return _dump(self, run_id, part)


@shared_task(name="nightscan.archive_user_data", **_PART)
def archive_user_data(self: Task, run_id: str, part: str, *, waited: int = 0) -> dict[str, Json]:  # noqa: ARG001 - counted by attempt
    """Archive one share of the user data."""
    return _dump(self, run_id, part)


@shared_task(name="nightscan.archive_system_config", **_PART)
def archive_system_config(self: Task, run_id: str, part: str, *, waited: int = 0) -> dict[str, Json]:  # noqa: ARG001 - counted by attempt
    """Archive the system configuration."""
    return _dump(self, run_id, part)


@shared_task(name="nightscan.archive_source_code", **_PART)
def archive_source_code(self: Task, run_id: str, part: str, *, waited: int = 0) -> dict[str, Json]:  # noqa: ARG001 - counted by attempt
    """Archive the application's code."""
    return _dump(self, run_id, part)


@shared_task(name="nightscan.upload", **_PART)
def upload(self: Task, run_id: str, part: str, store: str, *, waited: int = 0) -> dict[str, Json]:  # noqa: ARG001 - counted by attempt
    """Copy one saved part to an offsite store, and read it back there."""
    system = System.from_env()
    copied = attempt(self, system, lambda: backup.upload(system, run_id, part, store, watch=show(self)),
                     partial(backup.give_up, system, run_id, f"{part}@{store}"))
    if copied is None:
        return {"run_id": run_id, "part": part, "store": store, "skipped": "the part failed"}
    return {"run_id": run_id, "part": part, "store": store, "stored_bytes": copied.stored_bytes}


def _dump(task: Task, run_id: str, part: str) -> dict[str, Json]:
    system = System.from_env()
    record = attempt(task, system, lambda: backup.dump(system, run_id, part, watch=show(task)),
                     partial(backup.give_up, system, run_id, part))
    return {"run_id": run_id, "part": part,
            "plain_bytes": sum(each.plain_bytes for each in record.artifacts),
            "stored_bytes": sum(each.stored_bytes for each in record.artifacts)}
