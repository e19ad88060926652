"""The tasks that put sets back. Acknowledged early, never retried, soon stale: a restore that comes
twice is worse than one that is lost.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from celery import Task, shared_task

from nightscan_tasks import wire
from nightscan_tasks.model import Json, SetId, Tier
from nightscan_tasks.restore import Choice, restore
from nightscan_tasks.restore.restoring import LIVE
from nightscan_tasks.system import System
from nightscan_tasks.tasks.trying import show

_RESTORE: dict[str, Any] = {
    "bind": True, "acks_late": False, "max_retries": 0, "retry_on_worker_lost": False,
    "reject_on_worker_lost": False, "expires": 3600,
}


@shared_task(name="nightscan.restore_full", **_RESTORE)
def restore_full(self: Task, **which: Any) -> dict[str, Json]:
    """Put database, Redis and user data back, from the newest complete set unless another is named.

    `which`: `set_id`, or `tier` and `index`, or `before` (ISO 8601); `store` to read from; `target_root`.
    """
    return _restore(self, LIVE, which)


@shared_task(name="nightscan.restore_database", **_RESTORE)
def restore_database(self: Task, **which: Any) -> dict[str, Json]:
    """Put the database back; `which` as for `restore_full`."""
    return _restore(self, ("database",), which)


@shared_task(name="nightscan.restore_redis", **_RESTORE)
def restore_redis(self: Task, **which: Any) -> dict[str, Json]:
    """Put Redis back; `which` as for `restore_full`."""
    return _restore(self, ("redis",), which)


@shared_task(name="nightscan.restore_user_data", **_RESTORE)
def restore_user_data(self: Task, **which: Any) -> dict[str, Json]:
    """Put the user's files back; `which` as for `restore_full`."""
    return _restore(self, ("user_data",), which)


@shared_task(name="nightscan.restore_system_config", **_RESTORE)
def restore_system_config(self: Task, **which: Any) -> dict[str, Json]:
    """Unpack the system configuration into `target_root`; `which` as for `restore_full`."""
    return _restore(self, ("system_config",), which)


@shared_task(name="nightscan.restore_source_code", **_RESTORE)
def restore_source_code(self: Task, **which: Any) -> dict[str, Json]:
    """Unpack the application's code into `target_root`; `which` as for `restore_full`."""
    return _restore(self, ("source_code",), which)


def _restore(task: Task, components: tuple[str, ...], which: dict[str, Any]) -> dict[str, Json]:
    root = which.pop("target_root", None)
    done = restore(System.from_env(), choice(**which), components, target_root=Path(root) if root else None,
                   watch=show(task))
    result: dict[str, Json] = wire.plain(done)
    return result


def choice(*, set_id: str | None = None, tier: str | None = None, index: int = 1, before: str | None = None,
           store: str = "primary") -> Choice:
    """A choice as a message writes it."""
    return Choice(set_id=SetId.parse(set_id) if set_id else None, tier=Tier(tier) if tier else None,
                  index=index, before=datetime.fromisoformat(before) if before else None, store=store)
