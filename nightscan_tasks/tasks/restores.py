"""The tasks that put sets back. Acknowledged early, never retried, soon stale: a restore that comes
twice is worse than one that is lost.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from celery import Task, shared_task

from nightscan_tasks import restore as restores
from nightscan_tasks import wire
from nightscan_tasks.errors import SettingsError
from nightscan_tasks.model import Json
from nightscan_tasks.restore import (
    FULL,
    Request,
    Targets,
    accept,
    has_password,
    plan_restore,
    restore,
    resume,
    rollback,
)
from nightscan_tasks.system import System
from nightscan_tasks.tasks.answering import refuse_unsigned
from nightscan_tasks.tasks.arguments import checked, fitting
from nightscan_tasks.tasks.trying import show
from nightscan_tasks.workflows.restore import targets_of, wanted

_RESTORE: dict[str, Any] = {
    "bind": True, "acks_late": False, "max_retries": 0, "retry_on_worker_lost": False,
    "reject_on_worker_lost": False, "expires": 3600,
}


def _wanted(what: str, *, dry_run: bool = False, **which: Any) -> tuple[Request, bool]:
    """What a message asks for, and whether only to plan it."""
    request = checked(wanted)(what, **which)
    _refuse_passwords(request.targets)
    return request, dry_run


@shared_task(name="nightscan.restore_full", **_RESTORE)
@fitting(partial(_wanted, FULL))
def restore_full(self: Task, **which: Any) -> dict[str, Json]:
    """Put database, Redis and user data back, from the newest complete set unless another is named.

    `which` is what `workflows.restore.wanted` takes: `set_id`, or `tier` and `index`, or `before`; `store`;
    `target_db`, `target_redis`, `target_root`; `safety`; `unsigned`; `limited`. `dry_run` answers with the
    plan alone.
    """
    return _restore(self, FULL, which)


@shared_task(name="nightscan.restore_database", **_RESTORE)
@fitting(partial(_wanted, "database"))
def restore_database(self: Task, **which: Any) -> dict[str, Json]:
    """Put the database back, or `tables` or `schemas` of it; else `which` as for `restore_full`."""
    return _restore(self, "database", which)


@shared_task(name="nightscan.restore_redis", **_RESTORE)
@fitting(partial(_wanted, "redis"))
def restore_redis(self: Task, **which: Any) -> dict[str, Json]:
    """Put Redis back, or `databases` or `keys` of it; else `which` as for `restore_full`."""
    return _restore(self, "redis", which)


@shared_task(name="nightscan.restore_user_data", **_RESTORE)
@fitting(partial(_wanted, "user_data"))
def restore_user_data(self: Task, **which: Any) -> dict[str, Json]:
    """Put the users' files back, or those that fit `paths`; else `which` as for `restore_full`."""
    return _restore(self, "user_data", which)


@shared_task(name="nightscan.restore_system_config", **_RESTORE)
@fitting(partial(_wanted, "system_config"))
def restore_system_config(self: Task, **which: Any) -> dict[str, Json]:
    """Put the system's configuration back, or `paths` of it; else `which` as for `restore_full`."""
    return _restore(self, "system_config", which)


@shared_task(name="nightscan.restore_source_code", **_RESTORE)
@fitting(partial(_wanted, "source_code"))
def restore_source_code(self: Task, **which: Any) -> dict[str, Json]:
    """Put the application's code back, or `paths` of it; else `which` as for `restore_full`."""
    return _restore(self, "source_code", which)


@shared_task(name="nightscan.restore_rollback", **_RESTORE)
@checked
def restore_rollback(self: Task, run_id: str, **targets: str) -> dict[str, Json]:  # noqa: ARG001 - bound, as all of them
    """Put the state back that was live before a restore."""
    result: dict[str, Json] = wire.plain(rollback(System.from_env(), run_id, _without_password(targets)))
    return result


@shared_task(name="nightscan.restore_accept", **_RESTORE)
@checked
def restore_accept(self: Task, run_id: str, **targets: str) -> dict[str, Json]:  # noqa: ARG001 - bound, as all of them
    """Let go of the state that a restore keeps and that is not live."""
    result: dict[str, Json] = wire.plain(accept(System.from_env(), run_id, _without_password(targets)))
    return result


@shared_task(name="nightscan.restore_resume", **_RESTORE)
@checked
def restore_resume(self: Task, run_id: str, **targets: str) -> dict[str, Json]:  # noqa: ARG001 - bound, as all of them
    """Go on with a restore that was cut off, or take it back."""
    result: dict[str, Json] = wire.plain(resume(System.from_env(), run_id, _without_password(targets)))
    return result


@shared_task(name="nightscan.reap_restores", acks_late=False, max_retries=0, retry_on_worker_lost=False)
def reap_restores() -> list[Json]:
    """Finish the restores into the application whose process died on this worker's host."""
    return [wire.plain(each) for each in restores.reap_restores(System.from_env())]


def _restore(task: Task, what: str, which: dict[str, Any]) -> dict[str, Json]:
    request, dry_run = _wanted(what, **which)
    system = System.from_env()
    refuse_unsigned(system, unsigned=request.choice.unsigned)
    done = plan_restore(system, request) if dry_run else restore(system, request, watch=show(task))
    result: dict[str, Json] = wire.plain(done)
    return result


def _without_password(given: dict[str, str]) -> Targets:
    targets = checked(targets_of)(**given)
    _refuse_passwords(targets)
    return targets


def _refuse_passwords(targets: Targets) -> None:
    """A message is seen by everybody who sees the broker, and stays in the results."""
    if has_password(targets.database) or has_password(targets.redis):
        raise SettingsError("a target with a password must not be in a message: restore with --local, or "
                            "leave it out and put it into the password file of the worker's user")
