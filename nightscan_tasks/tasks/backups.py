"""The tasks that beat and people call: each answers at once with the run that does it."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from nightscan_tasks.backup import Request
from nightscan_tasks.errors import TransientError
from nightscan_tasks.model import Json
from nightscan_tasks.system import System
from nightscan_tasks.tasks.arguments import fitting
from nightscan_tasks.tasks.running import begin
from nightscan_tasks.workflows import DAILY, MONTHLY, WEEKLY
from nightscan_tasks.workflows.manual import manual
from nightscan_tasks.workflows.pre_deploy import pre_deploy

# `Busy` is the short mutex around opening: it is free in a moment. A store that is down is not given up:
# a backup that was due stays due.
_OPENING: dict[str, Any] = {"autoretry_for": (TransientError,), "max_retries": None, "retry_backoff": 1,
                            "retry_backoff_max": 30}


@shared_task(name="nightscan.backup_daily", **_OPENING)
def backup_daily(*, rehash: bool = False) -> dict[str, Json]:
    """Save database, redis and of user_data what changed; kept 7 days. With `rehash` every file is read."""
    return begin(System.from_env(), Request(DAILY, rehash=rehash))


@shared_task(name="nightscan.backup_weekly", **_OPENING)
def backup_weekly() -> dict[str, Json]:
    """Save everything; kept 4 weeks."""
    return begin(System.from_env(), Request(WEEKLY))


@shared_task(name="nightscan.backup_monthly", **_OPENING)
def backup_monthly() -> dict[str, Json]:
    """Save everything; kept 12 months."""
    return begin(System.from_env(), Request(MONTHLY))


@shared_task(name="nightscan.backup_pre_deploy", **_OPENING)
def backup_pre_deploy(tag: str | None = None, *, full: bool = False) -> dict[str, Json]:
    """Save what a release can spoil, or with `full` everything; kept 30 days."""
    return begin(System.from_env(), Request(pre_deploy(full=full), tag))


@shared_task(name="nightscan.backup_manual", **_OPENING)
@fitting(lambda components=None, tag=None: (manual(components), tag))
def backup_manual(components: list[str] | None = None, tag: str | None = None) -> dict[str, Json]:
    """Save the components that are named, or all; kept until removed."""
    return begin(System.from_env(), Request(manual(components), tag))
