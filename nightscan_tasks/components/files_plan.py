"""Which names change places when files are restored, and where each folder of a set goes.

A whole restore exchanges each folder of the set as one: what is in it and not in the set goes with the old
state. It goes down into a folder only where something in it has to stay, or where it is a mount point, which
cannot be renamed. A restore of parts, and one of /etc, goes down everywhere, and exchanges file by file:
what is not in the set stays.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nightscan_tasks.components.files_journal import Exchange, Journal
from nightscan_tasks.components.files_places import Layout, Place
from nightscan_tasks.components.problems import shown
from nightscan_tasks.components.tree import Trees
from nightscan_tasks.errors import RestoreRefused

_MOUNTS = Path("/proc/self/mountinfo")


def plan_places(root: Path, prefix: bytes, layout: Layout, mounts: frozenset[bytes]) -> tuple[Place, ...]:
    """Where the set's folders go: the root, and folders that are symlinks or mount points."""
    main = (Place(prefix, root.parent, os.fsencode(root.name), root) if prefix
            else Place(b"", root, b"", root))
    places = [main]
    for folder in layout.folders:
        path = root / os.fsdecode(folder)
        real = path.resolve()
        mounted = os.fsencode(real) in mounts
        if mounted or (path.is_symlink() and path.is_dir()):
            places.append(Place(folder, real.parent, os.fsencode(real.name),
                                real if mounted else real.parent, mounted=mounted))
    return tuple(places)


def plan_exchanges(staged: Trees, live: Trees, journal: Journal) -> Iterator[Exchange]:
    """Every name that changes places, folders' own before what is below others; `RestoreRefused` where a
    file stands where the set has a folder, and only parts are restored.
    """
    mounted = {place.folder for place in journal.places if place.mounted}
    elsewhere = {place.folder for place in journal.places[1:]}
    planner = _Planner(staged, live, journal.layout, mounted, elsewhere, each_file=journal.each_file)
    tops = staged.names(b"")
    tops += [top for top in {folder.partition(b"/")[0] for folder in elsewhere} if top not in tops]
    for top in tops:
        yield from planner.below(top)


@dataclass(frozen=True)
class _Planner:
    staged: Trees
    live: Trees
    layout: Layout
    mounted: set[bytes]
    elsewhere: set[bytes]
    each_file: bool

    def below(self, path: bytes) -> Iterator[Exchange]:
        new, old = self.staged.lstat(path), self.live.lstat(path)
        if self.layout.spares(path) or new is None:
            return
        if old is None:
            yield Exchange(path, new.st_ino, None)
        elif stat.S_ISDIR(new.st_mode) and stat.S_ISDIR(old.st_mode) and self._goes_down(path):
            yield from self._inside(path)
        elif self.each_file and stat.S_IFMT(new.st_mode) != stat.S_IFMT(old.st_mode) and (
                stat.S_ISDIR(new.st_mode) or stat.S_ISDIR(old.st_mode)):
            raise RestoreRefused(
                f"{shown(path)} is a {_kind(old)} now and a {_kind(new)} in the set: move it away, or "
                f"restore the component as a whole")
        else:
            yield Exchange(path, new.st_ino, old.st_ino)

    def _goes_down(self, path: bytes) -> bool:
        return (self.each_file or path in self.mounted or self.layout.splits(path))

    def _inside(self, path: bytes) -> Iterator[Exchange]:
        names = self.staged.names(path)
        apart = [folder for folder in self.elsewhere if folder.rpartition(b"/")[0] == path]
        for child in sorted({*(path + b"/" + name for name in names), *apart}):
            yield from self.below(child)
        if self.each_file or not self.layout.gives_up(path):
            return
        for name in self.live.names(path):
            child = path + b"/" + name
            status = self.live.lstat(child)
            if (name not in names and status is not None and not self.layout.spares(child)
                    and not self.layout.splits(child)):
                yield Exchange(child, None, status.st_ino)


def _kind(status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return "symlink"
    return "folder" if stat.S_ISDIR(status.st_mode) else "file"


def mount_points() -> frozenset[bytes]:
    """Where something is mounted, as this process sees it; empty where the system does not say."""
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return frozenset()
    return frozenset(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), line.split(b" ")[4])
                     for line in lines)
