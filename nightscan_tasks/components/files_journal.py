"""What a restore of files has written down beside its target, so that another process knows how far it was.

Below the target's root, for each run and component, `.nightscan_journal_<run>_<component>/` holds two files:
`journal.json`, which is replaced as a whole at every step, and `exchanges.jsonl`, a line for each name that
is to change places, with the inodes of both. Whether it did is seen from the stash, which is ours alone:
there lies the one or the other.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from nightscan_tasks.components.entry import quoted, unquoted
from nightscan_tasks.components.exchange import exchange
from nightscan_tasks.components.files_places import Layout, Place
from nightscan_tasks.components.tree import Elsewhere
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.model import Json

_FORMAT = 1
_FILE, _SPARE, _LINES = "journal.json", "journal.spare", "exchanges.jsonl"
_PAGE_BYTES = 4096


class State(StrEnum):
    """How far a restore is. Each is written before the first step of it is done."""

    STAGING = "staging"
    STAGED = "staged"
    SWAPPING = "swapping"
    SWAPPED = "swapped"
    UNDOING = "undoing"
    UNDONE = "undone"
    ACCEPTING = "accepting"


class Exchange(NamedTuple):
    """A name that changes places: the inodes of what is staged and what is live, None for nothing."""

    path: bytes
    new: int | None
    old: int | None


@dataclass(frozen=True)
class Journal:
    """The state of one component's restore. `stamp` names what is kept; `kept`: whether anything is.

    `layout` and `each_file` are how it was planned: whoever goes on plans in the same way.
    """

    root: Path
    run_id: str
    component: str
    state: State
    places: tuple[Place, ...]
    layout: Layout
    each_file: bool
    stamp: str = ""
    kept: bool = False

    @property
    def folder(self) -> Path:
        """Where it is written."""
        return journal_folder(self.root, self.run_id, self.component)

    def stash_names(self) -> tuple[str, ...]:
        """The names that a stash has in turn: staged, with the old state, and with the undone one."""
        staged = f".nightscan_staged_{self.run_id}_{self.component}"
        if not self.stamp:
            return (staged,)
        return (staged, f".nightscan_before_{self.stamp}_{self.component}",
                f".nightscan_undone_{self.stamp}_{self.component}")

    def stash(self, place: Place) -> Path:
        """Where the stash of a place is now; its first name if it is not there."""
        names = [place.beside / name for name in self.stash_names()]
        return next((path for path in names if path.is_dir()), names[0])

    def name_stashes(self, number: int) -> None:
        """Give every stash the name of that number."""
        for place in self.places:
            now, wanted = self.stash(place), place.beside / self.stash_names()[number]
            if now != wanted and now.is_dir():
                now.rename(wanted)

    def stashes(self) -> tuple[Path, Elsewhere]:
        """Where the set's names lie in the stashes: the main one, and what lies elsewhere."""
        main, *others = self.places
        return self.stash(main), {place.folder: (self.stash(place), place.folder) for place in others}

    def live(self) -> tuple[Path, Elsewhere]:
        """The same, of what is live."""
        main, *others = self.places
        where = {place.folder: (place.live, place.name) for place in others}
        return main.live, where | ({main.folder: (main.live, main.name)} if main.folder else {})

    def write(self, state: State, **changes: str | bool) -> Journal:
        """The same journal in another state, on disk before this returns."""
        after = replace(self, state=state, **changes)  # type: ignore[arg-type]  # its own fields
        self.folder.mkdir(mode=0o700, exist_ok=True)
        _replace(self.folder / _FILE, json.dumps(after.as_json()).encode())
        return after

    def write_exchanges(self, exchanges: Iterable[Exchange]) -> tuple[int, bool]:
        """Write down what will change places; how many names, and whether anything old is among them."""
        count, kept = 0, False

        def lines() -> Iterator[bytes]:
            nonlocal count, kept
            for each in exchanges:
                count, kept = count + 1, kept or each.old is not None
                yield json.dumps([quoted(each.path), each.new, each.old]).encode() + b"\n"

        _write(self.folder / _LINES, lines())
        return count, kept

    def exchanges(self) -> Iterator[Exchange]:
        """What `write_exchanges` was given."""
        with (self.folder / _LINES).open("rb") as file:
            for line in file:
                path, new, old = json.loads(line)
                yield Exchange(unquoted(path), new, old)

    def remove(self) -> None:
        """Forget the restore; whatever is left of it belongs to nobody afterwards."""
        for name in (_LINES, _SPARE, _FILE):
            (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)  # a draft that was cut off is all that can be left

    def as_json(self) -> dict[str, Json]:
        """What `journal.json` holds."""
        return {"format": _FORMAT, "run_id": self.run_id, "component": self.component,
                "folders": list(map(quoted, self.layout.folders)),
                "spared": list(map(quoted, self.layout.spared)), "each_file": self.each_file,
                "state": self.state.value, "stamp": self.stamp, "kept": self.kept,
                "places": [[quoted(place.folder), str(place.live), quoted(place.name), str(place.beside),
                            place.mounted] for place in self.places]}


def journal_folder(root: Path, run_id: str, component: str) -> Path:
    """Where a run's journal of a component is, below the root that it restores to."""
    return root / f".nightscan_journal_{run_id}_{component}"


def read_journal(root: Path, run_id: str, component: str) -> Journal | None:
    """A run's journal; None if it left nothing here."""
    path = journal_folder(root, run_id, component) / _FILE
    try:
        found = json.loads(path.read_bytes())
        places = tuple(Place(unquoted(folder), Path(live), unquoted(name), Path(beside), mounted)
                       for folder, live, name, beside, mounted in found["places"])
        layout = Layout(tuple(map(unquoted, found["folders"])), tuple(map(unquoted, found["spared"])))
        return Journal(root, run_id, component, State(found["state"]), places, layout, found["each_file"],
                       found["stamp"], found["kept"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as exc:
        raise RestoreRefused(f"{path} is damaged ({exc}): how far {run_id} was cannot be told; look at the "
                             f".nightscan_ folders beside it") from exc


def _replace(path: Path, data: bytes) -> None:
    """Let a file have another content, on disk before this returns; it is never seen half written.

    What it was before keeps its room and is written over the next time: whoever goes back because the disk
    is full has to be able to.
    """
    spare = path.with_name(_SPARE)
    _overwrite(spare, data)
    if not path.exists():
        spare.rename(path)
    else:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if not exchange((folder, os.fsencode(_SPARE)), (folder, os.fsencode(_FILE))):
                spare.replace(path)
        finally:
            os.close(folder)
    _sync_folders(path)


def _overwrite(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data + b" " * (-len(data) % _PAGE_BYTES))
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _write(path: Path, lines: Iterable[bytes]) -> None:
    """Write the whole file or nothing of it; on disk before this returns."""
    draft = path.with_name(f"{path.name}.new")
    with draft.open("wb") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    _sync_folders(path)


def _sync_folders(path: Path) -> None:
    for folder in (path.parent, path.parent.parent):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
