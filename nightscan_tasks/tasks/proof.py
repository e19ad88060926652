"""The tasks that prove that what is live is in order. They change nothing, unless told to apply."""

from __future__ import annotations

from celery import shared_task

from nightscan_tasks import health, settings, wire
from nightscan_tasks.model import Json
from nightscan_tasks.system import System


@shared_task(name="nightscan.health_check")
def health_check() -> dict[str, Json]:
    """Look at all that is live; `level` and `findings`. It goes where restores go, which see all of it."""
    # Not `from_env`: a broker that shares the Redis is a finding here, and no end.
    result: dict[str, Json] = wire.plain(health.check(System(settings.load())))
    return result
