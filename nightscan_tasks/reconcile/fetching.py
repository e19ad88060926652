"""Files that are missing, out of the archives that have them, into their places."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nightscan_tasks.components.extraction import extract
from nightscan_tasks.components.problems import Problems, shown
from nightscan_tasks.components.tree import GrowingTree, Tree
from nightscan_tasks.errors import Busy, NightscanError, RestoreRefused
from nightscan_tasks.reconcile.moving import Place, move
from nightscan_tasks.reconcile.searching import Saved, Search, Source

STAGED = ".nightscan_reconcile"
_BATCH = 1000
Before = Callable[[str], None]
"""Called with the name of each step before it is done: a test stops there."""


@dataclass(frozen=True)
class Fetching:
    """Where files go to. `folders` are those that columns name, and may be symlinks."""

    scratch: sqlite3.Connection
    root: Path
    folders: frozenset[bytes]
    saved: Saved
    before: Before
    problems: Problems

    def fetch(self, search: Search) -> int:
        """Put back all that was located; how many files. What stood in the way of others is a problem.

        An archive that turns out to be damaged gives nothing, and what it was to give is looked for in
        other stores and older sets.
        """
        fetched = 0
        while source := self._next(search):
            with _staging(self.root) as staged, self.saved.keep(source.manifest.set_id):
                try:
                    self._extract(source, search.number(source), staged)
                except NightscanError as exc:
                    search.reject(source, str(exc))
                    search.locate()
                except OSError as exc:  # no room, no right: the next archive would meet the same
                    self.problems.note(f"nothing more could be put back below {self.root}: {exc.strerror}")
                    return fetched
                else:
                    fetched += self._place(search.number(source), staged)
        return fetched

    def _next(self, search: Search) -> Source | None:
        row = self.scratch.execute("SELECT min(source) FROM missing WHERE NOT fetched").fetchone()
        return None if row[0] is None else search.sources[row[0]]

    def _extract(self, source: Source, number: int, staged: Path) -> None:
        """Unpack what is wanted of one archive, and the folders above it; every hash is compared."""
        def wanted(path: bytes) -> bool:
            return self.scratch.execute(
                "SELECT 1 FROM missing WHERE source = ?1 AND stored = ?2 UNION ALL "
                "SELECT 1 FROM missing WHERE source = ?1 AND target = ?2 UNION ALL "
                "SELECT 1 FROM missing WHERE source = ?1 AND stored > ?3 AND stored < ?4 LIMIT 1",
                (number, path, path + b"/", path + b"0")).fetchone() is not None

        self.before("extract")
        with (self.saved.open_artifact(source.catalog, source.manifest, source.archive) as chunks,
              self.saved.open_artifact(source.catalog, source.manifest, source.index) as index):
            extract(chunks, staged, index=index, include=wanted, told=source.pair)
            for _ in index:  # to its end, where it is checked
                pass

    def _place(self, number: int, staged: Path) -> int:
        placed = 0
        with GrowingTree(self.root, self.folders) as live, Tree(staged) as new:
            for key, path in self._batches(number):
                self.before("place")
                problem = _place(path, new=new, live=live, root=self.root)
                self.scratch.execute("UPDATE missing SET fetched = 1 WHERE id = ?", (key,))
                if problem:
                    self.problems.note(problem)
                else:
                    placed += 1
        return placed

    def _batches(self, number: int) -> Iterator[tuple[int, bytes]]:
        """What an archive has, in the order of paths; read in batches, since each is then written to."""
        while rows := self.scratch.execute(
                "SELECT id, stored FROM missing WHERE source = ? AND NOT fetched ORDER BY stored LIMIT ?",
                (number, _BATCH)).fetchall():
            yield from rows


def _place(path: bytes, *, new: Tree, live: GrowingTree, root: Path) -> str:
    """Move one file into its place; what stands in the way, or nothing."""
    try:
        made = _missing_folders(os.fsencode(root), path)
        live.locate(path)  # makes them
        for folder in made:
            _dress_folder(folder, new, live)
        source = Place(*new.locate(path))
        target = Place(*live.locate(path))
        if move(source, target):
            return ""
    except OSError as exc:
        return f"{shown(path)} could not be put back: {exc.strerror}"
    return f"{shown(path)} is there now, and was left alone"


def _missing_folders(root: bytes, path: bytes) -> list[bytes]:
    steps = path.split(b"/")
    above = [b"/".join(steps[:depth]) for depth in range(1, len(steps))]
    return [folder for folder in above if not os.path.lexists(root + b"/" + folder)]


def _dress_folder(path: bytes, new: Tree, live: GrowingTree) -> None:
    """A folder that had to be made gets the owner and mode that it was saved with."""
    with suppress(FileNotFoundError):  # an archive that did not list it
        status = new.lstat(path)
        folder, name = live.locate(path)
        if os.geteuid() == 0:
            os.chown(name, status.st_uid, status.st_gid, dir_fd=folder, follow_symlinks=False)
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=folder)


@contextmanager
def _staging(root: Path) -> Iterator[Path]:
    """An empty folder beside the live ones, gone afterwards; what a killed one left is removed.

    `Busy` while another process has it.
    """
    folder = root / STAGED
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as exc:
        raise RestoreRefused(f"{folder} cannot be made: {exc.strerror}; run as a user that may write to "
                             f"{root}") from exc
    try:
        _lock(descriptor, folder)
        content = folder / "content"
        shutil.rmtree(content, ignore_errors=True)
        content.mkdir(mode=0o700)
        try:
            yield content
        finally:
            shutil.rmtree(content, ignore_errors=True)
            folder.rmdir()
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine = os.path.samestat(os.fstat(descriptor), folder.stat())
    except (BlockingIOError, FileNotFoundError):
        mine = False
    if not mine:
        raise Busy(f"another reconciliation puts files back in {folder.parent}: wait until it is done")
