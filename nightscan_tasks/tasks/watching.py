"""The tasks that watch: what is not well is noticed, and told."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from celery import Task, shared_task

from nightscan_tasks.errors import Busy, NightscanError
from nightscan_tasks.model import Json
from nightscan_tasks.report.metrics import MetricsUnwritten, write_metrics
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import PRIMARY, System
from nightscan_tasks.tasks.glancing import glance
from nightscan_tasks.watch.overview import Overview
from nightscan_tasks.watch.problem import Kind, Problem, Severity
from nightscan_tasks.watch.samples import Sample, Samples
from nightscan_tasks.watch.telling import Telling, tell

# Another look is being told: this one comes right after it, for what it alone may have seen.
_TELLING: dict[str, Any] = {"bind": True, "autoretry_for": (Busy,), "max_retries": 20, "retry_backoff": 1,
                            "retry_backoff_max": 15}


@shared_task(name="nightscan.check_freshness", **_TELLING)
def check_freshness(self: Task) -> dict[str, Json]:
    """Look at everything, sample how full the stores are, and tell of it."""
    system = System.from_env()
    with suppress(NightscanError):  # the primary store is away: the look says so
        for store in system.stores:
            _sample(system, store)
    return _tell(system, _thorough(system, self))


@shared_task(name="nightscan.notify", **_TELLING)
def notify(self: Task, *, thorough: bool = False) -> dict[str, Json]:
    """Look at what the ledger and the stores say, and tell of it; the rest is as the last check found it.

    With `thorough` also at the broker, its workers and the key ring: that takes seconds, and writes the
    file of metrics.
    """
    system = System.from_env()
    return _tell(system, _thorough(system, self) if thorough else glance(system))


def _thorough(system: System, task: Task) -> Overview:
    return _written(system.settings.metrics_file, glance(system, task.app, keys=True))


def _tell(system: System, overview: Overview) -> dict[str, Json]:
    told = tell(system, overview)
    return {"health": overview.health.value, "problems": [each.key for each in overview.problems],
            **_as_json(told)}


def _written(path: Path | None, overview: Overview) -> Overview:
    """The overview, which goes into the file of metrics where there is one; that it cannot is a problem."""
    if path is None:
        return overview
    try:
        write_metrics(path, overview)
    except MetricsUnwritten as exc:
        problem = Problem(Kind.UNWRITTEN, "metrics", Severity.WARNING, None,
                          {"path": str(path), "problem": str(exc).partition("\n")[0]})
        others = tuple(each for each in overview.problems if each.key != problem.key)
        return replace(overview, problems=(*others, problem))
    return replace(overview, problems=tuple(each for each in overview.problems
                                            if each.kind is not Kind.UNWRITTEN),
                   blind=tuple(each for each in overview.blind if not each.startswith(Kind.UNWRITTEN)))


def _as_json(told: Telling) -> dict[str, Json]:
    return {"raised": [each.key for each in told.raised], "over": [each.key for each in told.over],
            "told": list(told.told), "untold": list(told.problems)}


def _sample(system: System, store: Store) -> None:
    """Keep how much room a store has; one that does not answer is another's to tell."""
    quota = system.settings.quota_bytes(store.name)
    try:
        free_bytes = (store.probe().free_bytes if quota is None
                      else max(0, quota - sum(entry.stored_bytes for entry in store.list())))
    except NightscanError:
        if store.name == PRIMARY:
            raise
        return
    if free_bytes is not None:
        Samples(system.primary).add(store, Sample(system.clock(), free_bytes), total_bytes=quota)
