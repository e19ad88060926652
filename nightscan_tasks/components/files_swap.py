"""The exchange of many names as one step: cut off anywhere, it goes on, or back.

What lies in the stash tells which names have changed places. The application may write meanwhile: it may
have replaced a live file, or removed it, so that inodes of the live side alone prove nothing.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable

from nightscan_tasks.components.exchange import (
    FEW,
    exchange,
    exchange_slowly,
    exists,
    move,
    sync,
    sync_name,
)
from nightscan_tasks.components.files_journal import Exchange, Journal, State
from nightscan_tasks.components.files_places import HIDDEN
from nightscan_tasks.components.files_unpacking import Step
from nightscan_tasks.components.problems import shown
from nightscan_tasks.components.tree import Trees
from nightscan_tasks.errors import NightscanError, RestoreRefused

_BEFORE, _UNDONE = 1, 2


class Swap:
    """The exchanges of one journal."""

    def __init__(self, journal: Journal, step: Step) -> None:
        self._journal = journal
        self._step = step

    def forward(self) -> Journal:
        """What is staged becomes live. Where it cannot, everything goes back: `RestoreRefused` says why."""
        journal = self._write(State.SWAPPING)
        try:
            self._run(_waits_forward)
        except OSError as exc:
            self._return()
            raise RestoreRefused(f"{journal.component}: {_facts(exc)}; everything is as it was") from exc
        self._name(_BEFORE)
        if not journal.kept:  # nothing but the folders that its files lay in
            for place in journal.places:
                shutil.rmtree(journal.stash(place), ignore_errors=True)
        return self._write(State.SWAPPED)

    def back(self) -> Journal:
        """What was live becomes live again."""
        journal = self._write(State.UNDOING)
        for place in journal.places:
            journal.stash(place).mkdir(mode=0o700, exist_ok=True)
        try:
            self._run(_waits_back)
        except OSError as exc:
            raise NightscanError(f"{journal.component} is on its way back, and not all of it is there: "
                                 f"{_facts(exc)}; then roll back again") from exc
        self._name(_UNDONE)
        return self._write(State.UNDONE)

    def _return(self) -> None:
        try:
            self._run(_waits_back)
        except OSError as exc:
            raise NightscanError(f"{self._journal.component} is in the middle of its exchange: "
                                 f"{_facts(exc)}; then roll back") from exc
        self._write(State.STAGED)

    def _run(self, waits: Callable[[Exchange, int | None, int | None], bool]) -> None:
        count = 0
        with Trees(*self._journal.stashes(), grow=True) as stash, Trees(*self._journal.live()) as live:
            for each in self._journal.exchanges():
                aside = HIDDEN + b"aside_%d" % (each.old or each.new or 0)
                here, there = stash.locate(each.path), live.locate(each.path)
                if exists((here[0], aside)):  # cut off between two of three renames
                    exchange_slowly(here, there, aside)
                if waits(each, _inode(stash, each.path), _inode(live, each.path)):
                    self._step("exchange", each.path)
                    self._switch(here, there, aside)
                    count += 1
                    if count <= FEW:
                        sync_name(here)
                        sync_name(there)
        if count <= FEW:
            return
        for folder in {place.beside for place in self._journal.places}:
            sync(folder)

    def _switch(self, here: tuple[int, bytes], there: tuple[int, bytes], aside: bytes) -> None:
        if not exists(here):
            move(there, here)
        elif not exists(there):
            move(here, there)
        elif not exchange(here, there):
            exchange_slowly(here, there, aside, step=lambda: self._step("rename", there[1]))

    def _name(self, number: int) -> None:
        self._step("name", self._journal.stash_names()[number].encode())
        self._journal.name_stashes(number)

    def _write(self, state: State) -> Journal:
        self._step("state", state.encode())
        self._journal = self._journal.write(state)
        return self._journal


def before(journal: Journal) -> str | None:
    """Where the old state is kept, for people."""
    if not journal.kept:
        return None
    return ", ".join(dict.fromkeys(str(journal.stash(place)) for place in journal.places))


def _waits_forward(each: Exchange, stash: int | None, live: int | None) -> bool:
    """Whether a name has still to become the new one, by what lies in the stash and what is live."""
    if each.old is None:
        return stash is not None
    if each.new is None:
        return stash is None and live is not None
    return stash == each.new or (stash != each.old and live == each.old)


def _waits_back(each: Exchange, stash: int | None, live: int | None) -> bool:
    """Whether a name has still to become the old one."""
    if each.old is None:
        return stash is None and live is not None
    if each.new is None:
        return stash == each.old
    return stash == each.old or (stash != each.new and live == each.new)


def _inode(trees: Trees, path: bytes) -> int | None:
    status = trees.lstat(path)
    return None if status is None else status.st_ino


def _facts(error: OSError) -> str:
    name = error.filename if isinstance(error.filename, bytes) else os.fsencode(error.filename or "")
    remedy = ("restore into another folder with --target-root, and move it there yourself"
              if error.errno in {errno.EXDEV, errno.EBUSY} else "let the user that restores write there")
    return f"{shown(name)} cannot be exchanged ({error.strerror}): {remedy}"
