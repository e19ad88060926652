"""Whether the host's limits can be kept, and what they mean for a backup and a restore."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from nightscan_tasks import runtime
from nightscan_tasks.doctor.finding import Check, Finding, fail, ok, warn
from nightscan_tasks.errors import NightscanError, SettingsError
from nightscan_tasks.settings import Settings
from nightscan_tasks.stores.build import is_s3
from nightscan_tasks.system import System
from nightscan_tasks.wording import count, duration, size


def limits(system: System) -> Iterator[Finding]:
    """What is set, and whether the processes of this host can share it."""
    settings = system.settings
    try:
        with runtime.opened(settings, "doctor"):
            pass
    except SettingsError as exc:
        yield fail("limits", str(exc))
        return
    if settings.ionice and shutil.which("ionice") is None:
        yield fail("limits", f"NIGHTSCAN_IONICE={settings.ionice} needs the program ionice",
                   "apt-get install util-linux, or unset it")
        return
    yield ok("limits", f"{_set(settings)}; shared in {runtime.folder_of(settings)}")
    yield from _too_low(system)


def _set(settings: Settings) -> str:
    rates = [f"{direction} {size(limit)}/s" if limit else f"{direction} no limit" for direction, limit in (
        ("up", settings.upload_bytes_per_second), ("down", settings.download_bytes_per_second))]
    back = [f"nice {settings.nice}"] if settings.nice else []
    disk = [f"ionice {settings.ionice}"] if settings.ionice else []
    return ", ".join([*rates, *back, *disk, count(settings.jobs, "job")])


def _too_low(system: System) -> Iterator[Finding]:
    """Whether a set like the newest gets to its offsite stores, and is read back, within the deadline."""
    settings, stores = system.settings, [store for store in system.stores if is_s3(store.url)]
    limits = {"UPLOAD": settings.upload_bytes_per_second, "DOWNLOAD": settings.download_bytes_per_second}
    if not stores or not any(limits.values()):
        return
    stored = _newest_bytes(system)
    for name, limit in limits.items():
        seconds = stored * len(stores) / limit if limit else 0.0
        if seconds > settings.deadline_seconds:
            yield warn("limits", f"at {size(limit)}/s a set like the newest, {size(stored)} for each of "
                                 f"{count(len(stores), 'bucket')}, takes {duration(seconds)}: more than the "
                                 f"{duration(settings.deadline_seconds)} that a run may take",
                       f"raise NIGHTSCAN_{name}_BYTES_PER_SECOND or NIGHTSCAN_DEADLINE_SECONDS")


def _newest_bytes(system: System) -> int:
    """What the newest set stores; 0 where there is none, or it cannot be read: others tell of that."""
    try:
        newest = system.catalog().pick()
    except NightscanError:
        return 0
    return sum(artifact.stored_bytes for artifact in newest.artifacts)


CHECKS = (Check("limits", limits),)
