"""What was unpacked beside the live files, looked at before it takes their place."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable

from nightscan_tasks.components.files_journal import Exchange
from nightscan_tasks.components.files_places import Layout
from nightscan_tasks.components.problems import shown
from nightscan_tasks.components.tree import Trees

_NAMED = 5


def prune(staged: Trees, layout: Layout) -> tuple[str, ...]:
    """Remove what the set has of folders that are not to be touched; says which."""
    notes = []
    for path in layout.spared:
        status = staged.lstat(path)
        if status is None:
            continue
        folder, name = staged.locate(path)
        if stat.S_ISDIR(status.st_mode):
            shutil.rmtree(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)
        notes.append(f"{shown(path)} is in the set, and is left alone: it belongs to another component, "
                     f"or is a store")
    return tuple(notes)


def vanishing(staged: Trees, live: Trees, exchanges: Iterable[Exchange]) -> tuple[str, ...]:
    """What is live, and goes with the old state though nothing takes its place: left out of backups
    (excluded names, older logs), or made since. One note, with the number of names and the first of them.
    """
    count, first = 0, list[str]()
    for each in exchanges:
        if each.old is None:
            continue
        for path in _lacking(staged, live, each.path) if each.new is not None else [each.path]:
            count += 1
            if len(first) < _NAMED:
                first.append(shown(path))
    if not count:
        return ()
    more = ", …" if count > len(first) else ""
    return ((f"{count} names that are live are not in the set (left out of it, as caches and older logs are, "
             f"or newer): they are kept with the old state: {', '.join(first)}{more}"),)


def _lacking(staged: Trees, live: Trees, top: bytes) -> Iterable[bytes]:
    """Names below a live folder that the staged one lacks; a folder stands for all in it."""
    waiting = [top]
    while waiting:
        path = waiting.pop()
        there = live.lstat(path)
        if there is None or not stat.S_ISDIR(there.st_mode):
            continue
        have = set(staged.names(path))
        for name in live.names(path):
            if name in have:
                waiting.append(path + b"/" + name)
            else:
                yield path + b"/" + name
