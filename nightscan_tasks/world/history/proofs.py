"""What proves the sets of the past: drills, a restore, readings of each night; as values."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from nightscan_tasks.drill.drilling import LOSS, ROUTINE
from nightscan_tasks.ledger.reads import Read, Scrubbed, SetReads
from nightscan_tasks.ledger.restore_records import (
    Drill,
    Part,
    Place,
    RestoredComponent,
    RestoreEnding,
    RestoreOutcome,
    RestoreRun,
)
from nightscan_tasks.model import COMPONENTS, Manifest
from nightscan_tasks.restore.rates import objective_seconds
from nightscan_tasks.restore.request import LIVE
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import PRIMARY, System
from nightscan_tasks.wording import duration
from nightscan_tasks.world.history.runs import HOST
from nightscan_tasks.world.history.sizes import restored_seconds

_TOO_SLOW = 1.4
_DIFFERS = ("database: public.detection has 2,118,330 rows, and the set says 2,120,004: what was restored is "
            "not what was saved")
_SCRUB_NIGHTS = 28


@dataclass(frozen=True)
class Drilling:
    """One drill to be made: when, of which set, and what is wrong with it."""

    at: datetime
    manifest: Manifest
    loss: bool = False
    slow: bool = False
    failed: bool = False


def make_drill(system: System, drilling: Drilling, chance: random.Random) -> Drill:
    """A drill as it is recorded."""
    manifest, at = drilling.manifest, drilling.at
    wanted = COMPONENTS if drilling.loss else LIVE
    components = tuple(_timed(system, manifest, name, chance, slow=drilling.slow and name == "database")
                       for name in wanted if manifest.of(name))
    problems = [f"{each.component} took {duration(each.elapsed_seconds)}, and may take "
                f"{duration(each.objective_seconds)}" for each in components if not each.met]
    took = sum(each.elapsed_seconds for each in components) + chance.uniform(9, 16)
    loss = (at - manifest.opened_at).total_seconds()
    allowed = system.settings.objective_loss_seconds
    if loss > allowed:
        problems.append(f"data since {manifest.opened_at:%Y-%m-%d %H:%M} UTC, {duration(loss)} ago, would be "
                        f"lost, and {duration(allowed)} may be")
    store = system.offsites[0].name if drilling.loss and system.offsites else PRIMARY
    return Drill(
        f"drill-{at:%Y%m%dT%H%M%S%fZ}", manifest.set_id, store, LOSS if drilling.loss else ROUTINE, at,
        round(took, 3), components, manifest.opened_at, loss,
        (*([_DIFFERS] if drilling.failed else ()), *problems), (),
        tuple((each.component, each.elapsed_seconds) for each in components))


def make_restore(system: System, manifest: Manifest, at: datetime,
                 chance: random.Random) -> tuple[RestoreRun, RestoreOutcome]:
    """A user's lost pictures, put back."""
    run_id = f"restore-{at:%Y%m%dT%H%M%S%fZ}"
    part = Part(paths=("uploads/vercors/",))
    run = RestoreRun(run_id, manifest.set_id, PRIMARY, system.primary.url, ("user_data",), Place(), part, at,
                     HOST)
    timed = _timed(system, manifest, "user_data", chance, slow=False)
    timed = replace(timed, plain_bytes=timed.plain_bytes // 20,
                    elapsed_seconds=round(timed.elapsed_seconds / 12, 3))
    ended = at + timedelta(seconds=timed.elapsed_seconds + 6)
    return run, RestoreOutcome(run_id, RestoreEnding.RESTORED, ended, (ended - at).total_seconds(), (timed,))


def make_reads(store: Store, manifests: Sequence[Manifest], scrubbed_at: datetime,
               chance: random.Random) -> Iterator[SetReads]:
    """What the scrubs of the last nights read in a store: each artifact once in four weeks."""
    for manifest in manifests:
        nights = min(_SCRUB_NIGHTS, max(0, (scrubbed_at - manifest.settled_at).days))
        reads = []
        for artifact in manifest.artifacts:
            at = max(manifest.settled_at, scrubbed_at - timedelta(days=chance.randint(0, nights)))
            reads.append(Read(artifact.name, at, artifact.stored_bytes, at))
        yield SetReads(manifest.set_id, store.name, store.url, tuple(reads))


def make_scrub(store: Store, reads: Sequence[SetReads], scrubbed_at: datetime) -> Scrubbed:
    """How the last scrub of a store went."""
    files = [(each.read_at, each.read_bytes, one.set_id.key(each.name)) for one in reads
             for each in one.files]
    tonight = [size for at, size, _ in files if at >= scrubbed_at - timedelta(days=1)]
    oldest = min(files, default=None)
    return Scrubbed(store.name, store.url, scrubbed_at,
                    scrubbed_at + timedelta(seconds=20 + sum(tonight) / 180e6), len(tonight), sum(tonight),
                    oldest_at=oldest[0] if oldest else None, oldest_key=oldest[2] if oldest else "",
                    needs_bytes=sum(size for _, size, _ in files) // _SCRUB_NIGHTS)


def _timed(system: System, manifest: Manifest, component: str, chance: random.Random, *,
           slow: bool) -> RestoredComponent:
    plain = sum(each.plain_bytes for each in manifest.of(component))
    objective = objective_seconds(system.settings, component)
    took = restored_seconds(component, plain, chance)
    return RestoredComponent(component, plain, objective * _TOO_SLOW if slow else took, objective)
