"""Whether the disks have room."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nightscan_tasks.doctor.finding import Finding, Level, fail, ok, warn
from nightscan_tasks.health.sets import Newest
from nightscan_tasks.system import System
from nightscan_tasks.wording import size

_WARN_SHARE, _FAIL_SHARE = 0.10, 0.02
_ADVICE = "make room; `nightscan rotate --dry-run` says what of the sets could go"


@dataclass(frozen=True)
class Disk:
    """One file system: where it was met, and its room as a user who is not root has it."""

    paths: tuple[str, ...]
    free_bytes: int
    total_bytes: int


def judge(disk: Disk, *, needed_bytes: int = 0) -> Level:
    """A warning under 10 % of room, a failure under 2 %, or where the next set would not fit."""
    share = disk.free_bytes / disk.total_bytes if disk.total_bytes else 0
    if share < _FAIL_SHARE or disk.free_bytes < needed_bytes:
        return Level.FAIL
    return Level.WARN if share < _WARN_SHARE else Level.OK


def left(system: System, *, newest: Newest) -> Iterator[Finding]:
    """Room for the application's folder, the sets in a directory, and scratch servers."""
    folders = {"root": system.settings.root, "temp": system.settings.temp_dir}
    needed_bytes, store = 0, Path(system.primary.url)
    if "://" not in system.primary.url:
        folders["backups"] = store
        manifest = newest.of()
        needed_bytes = manifest.stored_bytes if manifest else 0
    for disk in _disks(folders):
        needed = needed_bytes if "backups" in disk.paths else 0
        yield _finding(disk, judge(disk, needed_bytes=needed), needed)


def _finding(disk: Disk, level: Level, needed_bytes: int) -> Finding:
    name = f"space {', '.join(disk.paths)}"
    share = 100 * disk.free_bytes / disk.total_bytes if disk.total_bytes else 0
    found = f"{size(disk.free_bytes)} free of {size(disk.total_bytes)}, {share:.0f} %"
    if needed_bytes:
        found += f"; the newest set takes {size(needed_bytes)}"
    if level is Level.OK:
        return ok(name, found)
    return (fail if level is Level.FAIL else warn)(name, found, _ADVICE)


def _disks(folders: Mapping[str, Path]) -> list[Disk]:
    """The file systems of these folders, each once; of one that is missing, that of its parent."""
    names: dict[int, list[str]] = {}
    places: dict[int, Path] = {}
    for name, folder in folders.items():
        place = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
        device = place.stat().st_dev
        names.setdefault(device, []).append(name)
        places[device] = place
    return [_disk(tuple(names[device]), place) for device, place in places.items()]


def _disk(names: tuple[str, ...], place: Path) -> Disk:
    status = os.statvfs(place)
    used = status.f_blocks - status.f_bfree
    return Disk(names, status.f_bavail * status.f_frsize, (used + status.f_bavail) * status.f_frsize)
