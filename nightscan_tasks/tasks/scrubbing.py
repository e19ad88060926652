"""The task that reads every stored byte again, a share each night, and mends what is damaged."""

from __future__ import annotations

from celery import Task, shared_task, signature

from nightscan_tasks import wire
from nightscan_tasks.errors import Busy, TransientError
from nightscan_tasks.model import Json
from nightscan_tasks.scrub import Wish
from nightscan_tasks.scrub import scrub as scrub_store
from nightscan_tasks.system import System
from nightscan_tasks.tasks.trying import show
from nightscan_tasks.workflows import RETENTION


@shared_task(name="nightscan.scrub", bind=True, autoretry_for=(TransientError,), max_retries=5,
             retry_backoff=30)
def scrub(self: Task, store: str | None = None, *, read_bytes: int | None = None, everything: bool = False,
          repair: bool = True) -> dict[str, Json]:
    """Read this night's share of one store, or send a task like this one for each store there is.

    What was found is the answer, and in the log; a store that is down keeps no other from its scrub.
    """
    system = System.from_env()
    if store is None:
        wish = {"read_bytes": read_bytes, "everything": everything, "repair": repair}
        for each in system.stores:
            signature("nightscan.scrub", args=(each.name,), kwargs=wish, immutable=True).apply_async()
        return {"sent": [each.name for each in system.stores]}
    try:
        done = scrub_store(system, store, Wish(read_bytes, everything, repair, RETENTION), watch=show(self))
    except Busy as exc:
        return {"store": store, "busy": str(exc)}
    result: dict[str, Json] = wire.plain(done)
    return result
