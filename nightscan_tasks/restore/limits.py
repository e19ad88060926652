"""The host's limits as a restore meets them: told while it goes on, and lifted when somebody says so."""

from __future__ import annotations

from dataclasses import replace

from nightscan_tasks.model import Json
from nightscan_tasks.restore.reading import Watch
from nightscan_tasks.stores.base import Store
from nightscan_tasks.stores.build import reads_at_most
from nightscan_tasks.system import System
from nightscan_tasks.wording import size


def unlimited(system: System) -> System:
    """The same system in a hurry: what it reads and sends waits for no turn."""
    return replace(system, settings=system.settings.model_copy(
        update={"upload_bytes_per_second": 0, "download_bytes_per_second": 0}))


def note_of(system: System, store: Store) -> tuple[str, ...]:
    """What a plan says of the limit that a store is read with; nothing where there is none."""
    limit = reads_at_most(store.url, system.settings)
    if not limit:
        return ()
    note = (f"{store.name} is read no faster than {size(limit)}/s, which the whole host shares; --no-limit "
            "lifts that for this restore, NIGHTSCAN_DOWNLOAD_BYTES_PER_SECOND=0 for all")
    return (note,)


def telling(watch: Watch | None, system: System, store: Store) -> Watch | None:
    """A watcher that is told of the limit with each progress."""
    limit = reads_at_most(store.url, system.settings)
    if watch is None or not limit:
        return watch

    def told(progress: dict[str, Json]) -> None:
        watch({**progress, "phase": f"{progress['phase']}, held to {size(limit)}/s,"})

    return told
