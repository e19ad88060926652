"""Files, put back: unpacked beside the live ones, compared with what was saved, and exchanged by rename.

    <root>/.nightscan_staged_<run>_<component>/     what was unpacked; after the swap its name is
    <root>/.nightscan_before_<time>_<component>/    and it holds what was live; after `undo` its name is
    <root>/.nightscan_undone_<time>_<component>/    and it holds what was restored
    <root>/.nightscan_journal_<run>_<component>/    how far the run is

A folder that is a symlink, or a mount point, has a stash of its own on its own file system.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from nightscan_tasks.components.exchange import FEW, sync_tree
from nightscan_tasks.components.files_examination import examine
from nightscan_tasks.components.files_journal import Journal, State, journal_folder, read_journal
from nightscan_tasks.components.files_places import Layout, Place
from nightscan_tasks.components.files_plan import mount_points, plan_exchanges, plan_places
from nightscan_tasks.components.files_source import Archives
from nightscan_tasks.components.files_staged import prune, vanishing
from nightscan_tasks.components.files_swap import Swap, before
from nightscan_tasks.components.files_task import prefix_of
from nightscan_tasks.components.files_unpacking import Step, refusal, unpack
from nightscan_tasks.components.paths import Paths
from nightscan_tasks.components.restorer import Outlook, Position, Source, Staged, Swapped
from nightscan_tasks.components.tree import Trees
from nightscan_tasks.errors import RestoreRefused

_STAMP = "%Y%m%dT%H%M%SZ"
_POSITIONS = {
    State.STAGING: Position.STAGED, State.STAGED: Position.STAGED, State.SWAPPING: Position.SWAPPING,
    State.UNDOING: Position.SWAPPING, State.SWAPPED: Position.SWAPPED, State.ACCEPTING: Position.SWAPPED,
    State.UNDONE: Position.UNDONE}


def utc_now() -> datetime:
    """The clock of this machine, aware."""
    return datetime.now(UTC)


class FilesRestorer:
    """user_data, system_config or source_code, going live below `root`.

    `paths` are patterns that choose files; none means all. `layout` says what of the root is whose: `stage`
    and `examine` need both, the other steps find everything in the run's journal. `step` is called with the
    name of each step just before it is done: tests end the process there.
    """

    def __init__(self, component: str, root: Path, run_id: str, *, paths: tuple[str, ...] = (),
                 layout: Layout | None = None, clock: Callable[[], datetime] = utc_now,
                 step: Step | None = None) -> None:
        if "/" in run_id:
            raise ValueError(f"not a run id: {run_id!r}")
        self._component = component
        self._root = root.resolve()
        self._run_id = run_id
        self._patterns = paths
        self._layout = layout or Layout()
        self._clock = clock
        self._step = step or _nothing
        self._each_file = bool(paths) or component == "system_config"

    def examine(self, source: Source) -> Outlook:
        """What would be replaced, and what stands in the way."""
        return examine(self._root, Archives(self._component, source), Paths(self._patterns), self._places(),
                       self._layout, each_file=self._each_file)

    def stage(self, source: Source) -> Staged:
        """Unpack into the stashes; every file's hash, and the whole's fingerprint, are compared."""
        if (journal := self._journal()) and journal.state not in {State.STAGING, State.STAGED}:
            raise RestoreRefused(f"{self._run_id} restored {self._component} already: it is "
                                 f"{journal.state}; begin another restore")
        self.discard()
        try:
            return self._stage(Archives(self._component, source))
        except OSError as exc:
            self.discard()
            raise refusal(exc, self._component, self._root) from exc
        except BaseException:
            self.discard()
            raise

    def swap(self) -> Swapped:
        """Exchange what is staged with what is live."""
        journal = self._journal()
        if journal is None or journal.state in {State.STAGING, State.UNDONE, State.ACCEPTING}:
            raise RestoreRefused(
                f"nothing of {self._run_id} is ready to take the place of {self._component} in {self._root}"
                f"{f': it is {journal.state}' if journal else ''}; begin another restore")
        if journal.state is State.STAGED:
            journal = self._begin_swap(journal)
        if journal.state is not State.SWAPPED:
            journal = Swap(journal, self._step).forward()
        return Swapped(before(journal))

    def undo(self) -> None:
        """Exchange them back."""
        journal = self._journal()
        if journal is None or journal.state in {State.STAGING, State.STAGED}:
            self.discard()
        elif journal.state is State.ACCEPTING:
            raise RestoreRefused(f"{self._run_id} was accepted: the old {self._component} is being removed, "
                                 f"and cannot come back; `nightscan restore accept` finishes that")
        elif journal.state is not State.UNDONE:
            Swap(journal, self._step).back()

    def accept(self) -> tuple[str, ...]:
        """Remove what is kept: the old state, or after `undo` the restored one."""
        journal = self._journal()
        if journal is None or journal.state in {State.STAGING, State.STAGED}:
            return ()
        if journal.state in {State.SWAPPING, State.UNDOING}:
            raise RestoreRefused(f"{self._run_id} is in the middle of {self._component}: complete it first, "
                                 f"forwards or back")
        went = tuple(dict.fromkeys(str(stash) for place in journal.places
                                   if (stash := journal.stash(place)).is_dir()))
        journal = journal.write(State.ACCEPTING)
        self._remove_stashes(journal)
        return went

    def discard(self) -> None:
        """Remove what was staged."""
        journal = self._journal()
        if journal is not None and journal.state in {State.STAGING, State.STAGED}:
            if journal.state is State.STAGED:
                journal = journal.write(State.STAGING)  # so that nobody swaps what is half removed
            self._remove_stashes(journal)
        elif journal is None:
            with suppress(FileNotFoundError):
                shutil.rmtree(journal_folder(self._root, self._run_id, self._component))

    def position(self) -> Position:
        """Where this run is, as its journal says."""
        journal = self._journal()
        return Position.ABSENT if journal is None else _POSITIONS[journal.state]

    def _journal(self) -> Journal | None:
        return read_journal(self._root, self._run_id, self._component)

    def _stage(self, archives: Archives) -> Staged:
        self._root.mkdir(parents=True, exist_ok=True)
        places = self._places()
        # Written before anything else is made, so that whoever comes later knows where to look.
        journal = Journal(self._root, self._run_id, self._component, State.STAGING, places,
                          self._layout, self._each_file).write(State.STAGING)
        for place in places:
            journal.stash(place).mkdir(mode=0o700, exist_ok=True)
        done = unpack(archives, journal.stashes(), paths=Paths(self._patterns), step=self._step)
        notes = self._settle(journal, few=done.files <= FEW)
        self._step("state", b"staged")
        journal.write(State.STAGED)
        return Staged(done.fingerprint, (*done.notes, *notes))

    def _places(self) -> tuple[Place, ...]:
        return plan_places(self._root, prefix_of(self._component), self._layout, mount_points())

    def _settle(self, journal: Journal, *, few: bool) -> tuple[str, ...]:
        """Take away what is not to be touched, plan once to see that it can be, and write it all to disk."""
        with Trees(*journal.stashes()) as staged, Trees(*journal.live()) as live:
            notes = prune(staged, journal.layout)
            notes += vanishing(staged, live, plan_exchanges(staged, live, journal))
        for stash in {journal.stash(place) for place in journal.places}:
            sync_tree(stash, few=few)
        return notes

    def _begin_swap(self, journal: Journal) -> Journal:
        """Write down every name that will change places, before the first does."""
        stamp = self._stamp(journal)
        try:
            with Trees(*journal.stashes()) as staged, Trees(*journal.live()) as live:
                _, kept = journal.write_exchanges(plan_exchanges(staged, live, journal))
        except OSError as exc:
            raise refusal(exc, self._component, self._root) from exc
        self._step("state", b"swapping")
        return journal.write(State.SWAPPING, stamp=stamp, kept=kept)

    def _stamp(self, journal: Journal) -> str:
        """The time, as a name that nothing kept here has yet."""
        now = self._clock().astimezone(UTC).strftime(_STAMP)
        stamp, number = now, 1
        while any((place.beside / f".nightscan_{kind}_{stamp}_{self._component}").exists()
                  for place in journal.places for kind in ("before", "undone")):
            number += 1
            stamp = f"{now}.{number}"
        return stamp

    def _remove_stashes(self, journal: Journal) -> None:
        for stash in {journal.stash(place) for place in journal.places}:
            self._step("remove", os.fsencode(stash))
            if stash.is_dir():
                shutil.rmtree(stash)
        self._step("remove", b"journal")
        journal.remove()


def _nothing(_step: str, _path: bytes) -> None:
    return
