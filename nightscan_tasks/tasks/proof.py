"""The tasks that prove that what is live is in order. They change nothing, unless told to apply."""

from __future__ import annotations

from collections.abc import Sequence

from celery import Task, shared_task

from nightscan_tasks import health, settings, validation, wire
from nightscan_tasks.backup.dumping import Progress
from nightscan_tasks.model import Json
from nightscan_tasks.restore.putting_right import put_right
from nightscan_tasks.system import System
from nightscan_tasks.tasks.arguments import checked
from nightscan_tasks.tasks.trying import show
from nightscan_tasks.workflows.validate import chosen


@shared_task(name="nightscan.health_check")
def health_check() -> dict[str, Json]:
    """Look at all that is live; `level` and `findings`. It goes where restores go, which see all of it."""
    # Not `from_env`: a broker that shares the Redis is a finding here, and no end.
    result: dict[str, Json] = wire.plain(health.check(System(settings.load())))
    return result


@shared_task(name="nightscan.reconcile_user_data")
def reconcile_user_data(*, apply: bool = False) -> dict[str, Json]:
    """Compare rows with files and with all sets; with `apply` fetch what is missing, move what is not named.

    It needs the private key, which reads the sets. May be repeated, and cut off at any point.
    """
    system = System.from_env()
    found = put_right(system, apply=apply)
    result: dict[str, Json] = {**wire.plain(found), "in_order": found.in_order}
    return result


@shared_task(name="nightscan.validate_user_data", bind=True)
@checked
def validate_user_data(self: Task, *, set_id: str | None = None, tier: str | None = None,
                       paths: Sequence[str] = ()) -> dict[str, Json]:
    """Compare every live file with the hash that the newest set, or the one that is named, recorded of it."""
    system = System.from_env()
    manifest, open_index = chosen(system, set_id, tier)
    progress = Progress("validate", manifest.plain_bytes, show(self), phase="validating")
    return dict(validation.validate_user_data(system, manifest, open_index, paths=tuple(paths),
                                              seen=progress.seen).as_json())
