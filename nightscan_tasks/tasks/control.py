"""The tasks that settle, reap, verify, replicate and rotate."""

from __future__ import annotations

from celery import Task, chain, shared_task, signature

from nightscan_tasks import backup, rotation, wire
from nightscan_tasks.backup.dumping import Progress
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import Busy, DigestMismatch, NightscanError, StoreError, TransientError
from nightscan_tasks.ledger import Outcome, Run
from nightscan_tasks.model import Json, Manifest, SetId, Tier
from nightscan_tasks.replication import missing, replicate_set
from nightscan_tasks.retention import Rotation
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import System
from nightscan_tasks.tasks.arguments import checked
from nightscan_tasks.tasks.running import advance
from nightscan_tasks.tasks.signalling import tell_end
from nightscan_tasks.tasks.trying import show
from nightscan_tasks.verification import verify_set
from nightscan_tasks.watch.signalling import left_over, owe
from nightscan_tasks.workflows import RETENTION
from nightscan_tasks.workflows.canvas import settling, work


@shared_task(name="nightscan.settle", autoretry_for=(NightscanError,), max_retries=10, retry_backoff=2)
def settle(run_id: str, *, final: bool = False) -> dict[str, Json]:
    """Publish what a run saved, record how it ended, and start what follows from it."""
    system = System.from_env()
    before = system.ledger.outcome(run_id)
    owed = owe(system, run_id)
    outcome = backup.settle(system, run_id, final=final)
    if outcome is None:
        return {"run_id": run_id, "state": "unfinished"}
    if before is None:
        _follow_up(outcome)
    if owed:
        tell_end(system, outcome)
    result: dict[str, Json] = wire.plain(outcome)
    return result


@shared_task(name="nightscan.reap")
def reap() -> list[Json]:
    """Pick up what is left over: waiting runs, lost work, runs past their time, ends that nobody told."""
    system = System.from_env()
    for outcome in left_over(system):
        tell_end(system, outcome)
    return [_do(system, todo) for todo in backup.reap(system)]


@shared_task(name="nightscan.verify", bind=True, autoretry_for=(TransientError,), max_retries=5,
             retry_backoff=30)
@checked
def verify(self: Task, set_id: str, store: str = "primary", *, whole: bool = True) -> dict[str, Json]:
    """Read every stored byte of a set back from one store; `DigestMismatch` names what is damaged.

    Unless `whole`, what lies with earlier sets is as good as it was when those were read last.
    """
    system = System.from_env()
    catalog = system.catalog(store)
    manifest = catalog.get(SetId.parse(set_id))
    progress = Progress("verify", manifest.stored_bytes, show(self), phase="verifying")
    verified = verify_set(catalog, manifest, clock=system.clock, seen=progress.seen,
                          signatures=system.signatures,
                          known=None if whole else backup.known_in(system, catalog.store))
    system.ledger.verify(manifest.run_id, verified)
    if verified.problems:
        raise DigestMismatch("\n".join(verified.problems))
    return {"set_id": set_id, "store": store, "read_bytes": verified.read_bytes, "problems": []}


@shared_task(name="nightscan.rotate")
def rotate(*, dry_run: bool = False) -> list[Json]:
    """Remove what is past its time from every store; a newest set that is unverified is verified first.

    A store that is down keeps no other from its rotation; it is named in the error at the end.
    """
    system = System.from_env()
    results: list[Json] = []
    problems: list[str] = []
    for store in system.stores:
        try:
            results.append(_rotate(system, store, dry_run=dry_run))
        except NightscanError as exc:
            problems.append(str(exc))
    if problems:
        raise StoreError("\n".join(problems))
    if not dry_run:
        rotation.forget_old_runs(system)
    return results


def _rotate(system: System, store: Store, *, dry_run: bool) -> Json:
    if dry_run:
        return _rotation(rotation.plan(system, store, RETENTION), [])
    if unverified := _unverified(system, Catalog(store)):
        chain(_verifying(unverified, store.name), _rotating()).apply_async()
        return {"store": store.name, "state": "verifying", "set_id": str(unverified)}
    try:
        done = rotation.rotate(system, store, RETENTION)
    except Busy:
        return {"store": store.name, "state": "another rotation is under way"}
    return _rotation(done, rotation.sweep(system, store, RETENTION))


@shared_task(name="nightscan.replicate", bind=True)
def replicate(self: Task) -> list[Json]:
    """Copy to each offsite store the sets that it lacks: it was down when they were taken.

    What cannot be copied keeps nothing else; all of it is named in the error at the end.
    """
    system = System.from_env()
    copied: list[Json] = []
    problems: list[str] = []
    try:
        with system.leases.hold("replicate", f"{system.host} {self.request.id}"):
            for store in system.offsites:
                _catch_up(self, system, store, copied, problems)
    except Busy:
        return [{"state": "another replication is under way"}]
    if problems:
        raise StoreError("\n".join(problems))
    return copied


def _catch_up(task: Task, system: System, store: Store, copied: list[Json], problems: list[str]) -> None:
    """Copy what one store lacks, and tell what was copied and what could not be."""
    try:
        behind = _behind(system, store)
    except NightscanError as exc:
        problems.append(str(exc))
        return
    for manifest in behind:
        progress = Progress(f"{manifest.set_id}@{store.name}", manifest.stored_bytes, show(task),
                            phase="copying")
        try:
            replicate_set(system, manifest, store, seen=progress.seen)
            copied.append({"set_id": str(manifest.set_id), "store": store.name})
        except NightscanError as exc:
            problems.append(f"{manifest.set_id} to {store.name}: {exc}")


def _behind(system: System, store: Store) -> list[Manifest]:
    """The sets that a store lacks, but for what its own run copies now, and what is past its time."""
    now = system.clock()
    open_runs = {run.run_id for run in system.ledger.open_runs(now=now)}
    return [manifest for manifest in missing(system, store) if manifest.run_id not in open_runs
            and not RETENTION[manifest.set_id.tier].expired(manifest.set_id.taken_at, now=now)]


def _follow_up(outcome: Outcome) -> None:
    steps = [_verifying(outcome.set_id, store) for store in outcome.stores]
    if steps:
        chain(*steps, _rotating()).apply_async()
    signature("nightscan.reap", immutable=True).apply_async()  # whoever waits for the lease is next
    signature("nightscan.notify", immutable=True).apply_async()


def _verifying(set_id: SetId, store: str) -> object:
    return signature("nightscan.verify", args=(str(set_id), store), kwargs={"whole": False}, immutable=True)


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
    """A newest complete set of its tier that was never read back from the store, or None."""
    newest: dict[Tier, Manifest] = {}
    for manifest in catalog.sets():
        if manifest.complete:
            newest.setdefault(manifest.set_id.tier, manifest)
    for manifest in newest.values():
        verified = system.ledger.verified(manifest.run_id, catalog.store.name)
        if not verified or verified.url != catalog.store.url:
            return manifest.set_id
    return None  # sound, or found damaged: then the rotation says what stays for that


def _rotation(done: Rotation, swept: list[str]) -> Json:
    return {"store": done.store, "held": done.held,
            "frozen": {str(tier): why for tier, why in done.frozen.items()},
            "removed": [str(each) for each in done.remove], "kept": len(done.keep), "swept": len(swept)}
