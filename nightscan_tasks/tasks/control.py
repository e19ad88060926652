"""The tasks that settle, tend, verify, replicate and rotate."""

from __future__ import annotations

from celery import Task, chain, shared_task, signature

from nightscan_tasks import backup, rotation, wire
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import DigestMismatch, NightscanError
from nightscan_tasks.ledger import Outcome, Run
from nightscan_tasks.model import Json, SetId
from nightscan_tasks.replication import missing, replicate_set
from nightscan_tasks.retention import Rotation
from nightscan_tasks.system import System
from nightscan_tasks.tasks.running import advance
from nightscan_tasks.tasks.trying import show
from nightscan_tasks.verification import verify_set
from nightscan_tasks.workflows import RETENTION
from nightscan_tasks.workflows.canvas import settling, work


@shared_task(name="nightscan.settle", autoretry_for=(NightscanError,), max_retries=10, retry_backoff=2)
def settle(run_id: str, *, final: bool = False) -> dict[str, Json]:
    """Publish what a run saved, record how it ended, and start what follows from it."""
    system = System.from_env()
    before = system.ledger.outcome(run_id)
    outcome = backup.settle(system, run_id, final=final)
    if outcome is None:
        return {"run_id": run_id, "state": "unfinished"}
    if before is None:
        _follow_up(outcome)
    result: dict[str, Json] = wire.plain(outcome)
    return result


@shared_task(name="nightscan.tend")
def tend() -> list[Json]:
    """Pick up what is left over: waiting runs, lost work, runs past their time."""
    system = System.from_env()
    return [_do(system, todo) for todo in backup.tend(system)]


@shared_task(name="nightscan.verify", bind=True, autoretry_for=(ConnectionError,), max_retries=3)
def verify(self: Task, set_id: str, store: str = "primary") -> dict[str, Json]:
    """Read every stored byte of a set back from one store; `DigestMismatch` names what is damaged."""
    system = System.from_env()
    catalog = system.catalog(store)
    manifest = catalog.get(SetId.parse(set_id))
    watch = show(self)
    total = manifest.stored_bytes
    verified = verify_set(catalog, manifest, clock=system.clock, seen=lambda count: watch(
        {"phase": "verifying", "bytes": count, "of_bytes": total, "bytes_per_second": 0}))
    system.ledger.verify(manifest.run_id, verified)
    if verified.problems:
        raise DigestMismatch("\n".join(verified.problems))
    return {"set_id": set_id, "store": store, "read_bytes": verified.read_bytes, "problems": []}


@shared_task(name="nightscan.rotate")
def rotate(*, dry_run: bool = False) -> list[Json]:
    """Remove what is past its time from every store; a newest set that is unverified is verified first."""
    system = System.from_env()
    results: list[Json] = []
    for store in system.stores:
        unverified = None if dry_run else _unverified(system, Catalog(store))
        if unverified:
            chain(_verifying(unverified, store.name), _rotating()).apply_async()
            results.append({"store": store.name, "state": "verifying", "set_id": str(unverified)})
        else:
            done = (rotation.plan if dry_run else rotation.rotate)(system, store, RETENTION)
            swept = [] if dry_run else rotation.sweep(system, store)
            results.append(_rotation(done, swept))
    if not dry_run:
        rotation.forget_old_runs(system)
    return results


@shared_task(name="nightscan.replicate")
def replicate() -> list[Json]:
    """Copy to each offsite store the sets that it lacks: it was down when they were taken."""
    system = System.from_env()
    results: list[Json] = []
    for store in system.offsites:
        for manifest in missing(system, store):
            if any(run.run_id == manifest.run_id for run in system.ledger.open_runs(now=system.clock())):
                continue  # its own run is about to copy it
            replicate_set(system, manifest, store)
            results.append({"set_id": str(manifest.set_id), "store": store.name})
    return results


def _follow_up(outcome: Outcome) -> None:
    steps = [_verifying(outcome.set_id, store) for store in outcome.stores]
    if steps:
        chain(*steps, _rotating()).apply_async()
    signature("nightscan.tend", immutable=True).apply_async()  # whoever waits for the lease is next


def _verifying(set_id: SetId, store: str) -> object:
    return signature("nightscan.verify", args=(str(set_id), store), immutable=True)


def _rotating() -> object:
    return signature("nightscan.rotate", immutable=True)


def _do(system: System, todo: backup.Todo) -> Json:
    run: Run = system.ledger.opened(todo.run_id)
    if todo.start:
        return {"run_id": run.run_id, **advance(system, run)}
    for name in todo.work:
        work(run, name).apply_async()
    if todo.settle:
        settling(run.run_id, final=todo.final).apply_async()
    return {"run_id": run.run_id, "again": list(todo.work), "settle": todo.settle}


def _unverified(system: System, catalog: Catalog) -> SetId | None:
    newest = next((manifest for manifest in catalog.sets() if manifest.complete), None)
    if newest is None or system.ledger.verified(newest.run_id, catalog.store.name):
        return None  # verified, or found damaged: then the rotation says that it holds
    return newest.set_id


def _rotation(done: Rotation, swept: list[str]) -> Json:
    return {"store": done.store, "held": done.held, "removed": [str(each) for each in done.remove],
            "kept": len(done.keep), "swept": len(swept)}
