"""The task that proves that restores work."""

from __future__ import annotations

from celery import Task, shared_task

from nightscan_tasks import drill as drills
from nightscan_tasks import wire
from nightscan_tasks.errors import DrillFailed
from nightscan_tasks.model import Json, Tier
from nightscan_tasks.system import System
from nightscan_tasks.tasks.answering import refuse_unsigned
from nightscan_tasks.tasks.arguments import checked
from nightscan_tasks.tasks.trying import show


@shared_task(name="nightscan.drill", bind=True, acks_late=False, max_retries=0, retry_on_worker_lost=False)
@checked
def drill(self: Task, *, tier: str | None = None, store: str | None = None, simulate_loss: bool = False,
          key: bool = False, unsigned: bool = False, scheduled: bool = False) -> Json:
    """Restore the newest set into a scratch NightScan, compare, measure, and record it.

    `key` only proves that the private key opens the newest sets. A drill that `scheduled` says nobody
    watches fails as a task when it did not hold, so that it is heard of.
    """
    system = System.from_env()
    refuse_unsigned(system, unsigned=unsigned)
    if key:
        return [wire.plain(each) for each in drills.prove_key(system)]
    done = drills.drill(system, tier=Tier(tier) if tier else None, store=store, simulate_loss=simulate_loss,
                        unsigned=unsigned, watch=show(self))
    if scheduled and done.problems:
        raise DrillFailed("\n".join(done.problems))
    result: Json = wire.plain(done)
    return result
