"""What a restore of files would meet, found without changing anything."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nightscan_tasks.components.entry import Kind
from nightscan_tasks.components.files_places import Layout, Place
from nightscan_tasks.components.files_plan import mount_points
from nightscan_tasks.components.files_source import Archives
from nightscan_tasks.components.paths import Paths
from nightscan_tasks.components.problems import shown
from nightscan_tasks.components.restorer import Outlook
from nightscan_tasks.components.tree import Trees
from nightscan_tasks.wording import size

_BLOCK_BYTES = 4096
_SLACK_BYTES = 32 << 20
_NAMED = 4


@dataclass
class Survey:
    """What a set holds of a component, from its indexes: what there is to do for each place."""

    places: tuple[Place, ...]
    needed_bytes: Counter[bytes] = field(default_factory=Counter)
    tops: set[bytes] = field(default_factory=set)
    files: int = 0
    owners: set[int] = field(default_factory=set)

    def read(self, archives: Archives, paths: Paths) -> None:
        """Look at every index; `RestoreRefused` if a pattern means nothing."""
        for pair in archives.pairs:
            for each in archives.listed(pair):
                entry = each.entry
                if not paths.matches(entry.path):
                    continue
                self.files += entry.kind is not Kind.DIRECTORY
                self.owners.add(entry.uid)
                self.tops.add(entry.path if paths and entry.kind is not Kind.DIRECTORY
                              else entry.path.partition(b"/")[0])
                self.needed_bytes[self._place(entry.path)] += _BLOCK_BYTES + (
                    -(-entry.content_bytes // _BLOCK_BYTES) * _BLOCK_BYTES if entry.kind is Kind.FILE else 0)
        paths.check(f"{archives.component} of the set")

    def _place(self, path: bytes) -> bytes:
        for place in self.places[1:]:
            if path == place.folder or path.startswith(place.folder + b"/"):
                return place.folder
        return self.places[0].folder


def examine(root: Path, archives: Archives, paths: Paths, places: tuple[Place, ...],
            layout: Layout, *, each_file: bool) -> Outlook:
    """Room, rights and mount points, and what is there now."""
    survey = Survey(places)
    survey.read(archives, paths)
    plain_bytes = sum(pair.tar.plain_bytes for pair in archives.pairs)
    problems = [*_room(survey, plain_bytes), *_rights(places)]
    if not each_file:
        problems += _mounted_inside(places, survey.tops, root)
        problems += _immovable(root, survey.tops)
    tops = sorted(top for top in survey.tops if not layout.spares(top))
    there, replaced_bytes = _there(places, tops) if root.is_dir() else ([], None)
    replaces = f"{root}: {_some(there)}" if there else ""
    return Outlook(str(root), replaces, replaced_bytes, tuple(problems), tuple(_owners(survey)))


def _room(survey: Survey, plain_bytes: int) -> Iterator[str]:
    for place in survey.places:
        # A file with holes takes less than its length; the archive is never much smaller than its files.
        needed = min(survey.needed_bytes[place.folder], plain_bytes + _SLACK_BYTES)
        folder = _nearest(place.beside)
        status = os.statvfs(folder)
        free = status.f_bavail * status.f_frsize
        if needed + _SLACK_BYTES > free:
            yield (f"{folder} has {size(free)} free, and {size(needed + _SLACK_BYTES)} are needed beside the "
                   f"old state: free some, or restore to another --target-root")


def _rights(places: tuple[Place, ...]) -> Iterator[str]:
    for place in places:
        folder = _nearest(place.beside)
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            yield (f"{folder} cannot be written by this user ({os.geteuid()}): restore as its owner, or "
                   f"as root")
    main = places[0]
    target = main.live / os.fsdecode(main.name)
    if target.exists() and not target.is_dir():
        yield f"{target} is not a folder: move it away"


def _mounted_inside(places: tuple[Place, ...], tops: set[bytes], root: Path) -> Iterator[str]:
    """Mount points below a folder that is to be renamed: they would go with it, out of sight."""
    own = {os.fsencode(place.live) + b"/" + place.name for place in places if place.mounted}
    folders = [os.fsencode(root) + b"/" + top for top in tops]
    folders += [os.fsencode(place.live) + b"/" + place.name for place in places[1:]]
    for mount in sorted(mount_points() - own):
        for folder in folders:
            if mount == folder or mount.startswith(folder + b"/"):
                yield (f"{shown(mount)} is a mount point, which cannot be exchanged with what holds it: "
                       f"unmount it, or restore what is in it with --path")
                break


def _immovable(root: Path, tops: set[bytes]) -> Iterator[str]:
    """Folders that this user may not write: they would get another parent, which is written in them."""
    for top in sorted(tops):
        folder = root / os.fsdecode(top)
        if folder.is_dir() and not os.access(folder, os.W_OK, effective_ids=True):
            yield f"{folder} cannot be moved by this user ({os.geteuid()}): restore as its owner, or as root"


def _there(places: tuple[Place, ...], tops: list[bytes]) -> tuple[list[str], int]:
    """Which of the names are there now, and how many bytes their files have."""
    main, *others = places
    where = {place.folder: (place.live, place.name) for place in others}
    if main.folder:
        where[main.folder] = main.live, main.name
    found, total = [], 0
    with Trees(main.live, where) as live:
        for top in tops:
            try:
                status = live.lstat(top)
            except NotADirectoryError:
                continue
            if status is not None:
                found.append(shown(top))
                total += _bytes(live, top)
    return found, total


def _bytes(live: Trees, top: bytes) -> int:
    total, waiting = 0, [top]
    while waiting:
        path = waiting.pop()
        status = live.lstat(path)
        if status is None:
            continue
        if stat.S_ISDIR(status.st_mode):
            try:
                waiting += [path + b"/" + name for name in live.names(path)]
            except PermissionError:
                continue
        elif stat.S_ISREG(status.st_mode):
            total += status.st_size
    return total


def _owners(survey: Survey) -> Iterator[str]:
    if os.geteuid() and survey.owners - {os.geteuid()}:
        yield ("files of other users will belong to this user: only root can give them back")


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    while not folder.is_dir():
        folder = folder.parent
    return folder


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
