"""One part of a running backup, copied to an offsite store while the others are still dumped."""

from __future__ import annotations

from collections.abc import Callable

from nightscan_tasks.backup.dumping import Progress, holder
from nightscan_tasks.backup.opening import lease_of
from nightscan_tasks.errors import Busy, LeaseLost
from nightscan_tasks.jobs import job
from nightscan_tasks.ledger import Copied, Run
from nightscan_tasks.model import Json, PartRecord
from nightscan_tasks.priority import standing_back
from nightscan_tasks.replication import after, copy_artifact, has
from nightscan_tasks.system import System


def upload(system: System, run_id: str, part: str, store_name: str, *,
           watch: Callable[[dict[str, Json]], None] | None = None) -> Copied | None:
    """Copy a part's artifacts to an offsite store and read them back. Done before: returns at once.

    None: the part failed, so there is nothing to copy. `Busy`: the part is not saved yet, this host has
    jobs enough, or another worker copies it: ask again.
    """
    run = system.ledger.opened(run_id)
    started = system.ledger.started(run_id)
    if started is None or system.ledger.outcome(run_id) is not None:
        raise LeaseLost(f"{run_id} is not running: nothing of it is copied any more")
    record = system.ledger.part(run_id, part)
    if record is None and system.ledger.failure(run_id, part):
        return None
    if record is None:
        raise Busy(f"{part} of {run_id} is not saved yet, so it cannot be copied to {store_name}")
    copied = system.ledger.copied(run_id, part, store_name)
    if copied and copied.is_of(record) and has(system.store(store_name), run.set_id, record):
        return copied
    work = f"{part}@{store_name}"
    own_bytes = sum(each.stored_bytes for each in record.artifacts if each.set_id is None)
    progress = Progress(work, own_bytes, watch, phase="copying")
    with job(system.settings), system.leases.hold(f"{run_id}/{work}", holder(system), along=[
            lease_of(system, run, started)], progress=progress.values) as check:
        progress.check = check
        copied = standing_back(system.settings, lambda: _copy(system, run, record, store_name, progress))
        check()
        system.ledger.copy(run_id, copied)
    return copied


def _copy(system: System, run: Run, record: PartRecord, store_name: str, progress: Progress) -> Copied:
    done = 0
    for artifact in record.artifacts:
        if artifact.set_id is not None:  # that set is copied by its own run, or by replication
            continue
        copy_artifact(system.primary, system.store(store_name), run.set_id, artifact,
                      seen=after(done, progress.seen))
        done += artifact.stored_bytes
    return Copied(record.part, store_name, done, system.clock(),
                  {each.name: each.stored_sha256 for each in record.artifacts})
