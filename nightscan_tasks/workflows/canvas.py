"""An opened run as one flat chord.

Its header has a chain for each part, `dump → upload` to the first offsite store, and a task for each
part and further store, so that one store that is down keeps nothing from another. Its body and its
error callback are both `nightscan.settle`, which reads the ledger, not the results. Flat, because a
chord inside a chord's header can stay pending for ever.
"""

from __future__ import annotations

from celery import Signature, chain, chord, signature

from nightscan_tasks.ledger import Run

_DUMPS = {
    "database": "nightscan.dump_database",
    "redis": "nightscan.dump_redis",
    "user_data": "nightscan.archive_user_data",
    "system_config": "nightscan.archive_system_config",
    "source_code": "nightscan.archive_source_code",
}


def canvas(run: Run) -> Signature:
    """The whole run: every part, then settle, whatever happened to them."""
    settle = settling(run.run_id)
    # A signature of its own: one that is its own error callback is a circle, which no message can hold.
    # On the body, and not on the chord: that fires once, after every header task has ended.
    settle.link_error(settling(run.run_id))
    further = [upload(run.run_id, part, store) for part in run.parts for store in run.offsites[1:]]
    return chord([*(part_chain(run, part) for part in run.parts), *further], settle)


def part_chain(run: Run, part: str) -> Signature:
    """Save one part, then copy it to the first offsite store. Messages carry ids, and nothing else."""
    saved = dump(run, part)
    return chain(saved, upload(run.run_id, part, run.offsites[0])) if run.offsites else saved


def work(run: Run, name: str) -> Signature:
    """One piece of work by its name: a part, or with `part@store` the copying of one."""
    part, _, store = name.partition("@")
    return upload(run.run_id, part, store) if store else part_chain(run, part)


def dump(run: Run, part: str) -> Signature:
    """The task that dumps a part."""
    return signature(_DUMPS[run.component(part)], args=(run.run_id, part), immutable=True)


def upload(run_id: str, part: str, store: str) -> Signature:
    """The task that copies a part to a store."""
    return signature("nightscan.upload", args=(run_id, part, store), immutable=True)


def settling(run_id: str, *, final: bool = False) -> Signature:
    """The task that settles a run; `final` belongs in here, for what is immutable takes nothing later."""
    return signature("nightscan.settle", args=(run_id,), kwargs={"final": final}, immutable=True)
