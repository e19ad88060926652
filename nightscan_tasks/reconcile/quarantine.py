"""Where files go that no row names: moved, recorded, never deleted."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from nightscan_tasks.components.entry import quoted
from nightscan_tasks.components.problems import Problems, shown
from nightscan_tasks.components.tree import GrowingTree, Tree
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.reconcile.fetching import Before
from nightscan_tasks.reconcile.moving import Place, move
from nightscan_tasks.stores.folders import Owner, made

RECORD = "moves.jsonl"
_BATCH = 1000
_NAMES = 100


@dataclass(frozen=True)
class Quarantine:
    """A folder with one folder for each day, in which files keep their paths."""

    folder: Path
    now: datetime

    @property
    def today(self) -> Path:
        """Where what is moved now goes."""
        return self.folder / f"{self.now:%Y-%m-%d}"

    def take(self, scratch: sqlite3.Connection, root: Path, folders: frozenset[bytes],
             before: Before, problems: Problems) -> int:
        """Move every orphan; how many. Why others stayed is a problem. Each is recorded before it moves."""
        moved = 0
        if scratch.execute("SELECT 1 FROM orphan LIMIT 1").fetchone() is None:
            return 0
        try:
            with made(self.folder.absolute(), (), Owner()):  # 0750, whatever the umask
                self.today.mkdir(exist_ok=True, mode=0o700)
        except OSError as exc:
            problems.note(f"{self.today} cannot be made: {exc.strerror}; set NIGHTSCAN_QUARANTINE_DIR")
            return 0
        with Tree(root, folders) as live, GrowingTree(self.today) as kept, self._record() as record:
            for path, changed_ns, inode in _orphans(scratch):
                before("quarantine")
                problem = self._move(path, (changed_ns, inode), (live, kept), record)
                scratch.execute("UPDATE orphan SET moved = 1 WHERE path = ?", (path,))
                if problem:
                    problems.note(problem)
                else:
                    moved += 1
        return moved

    def _move(self, path: bytes, listed: tuple[int, int], trees: tuple[Tree, GrowingTree],
              record: IO[str]) -> str:
        """Move one; why it stayed, or nothing."""
        live, kept = trees
        try:
            status = live.lstat(path)
            if (max(status.st_mtime_ns, status.st_ctime_ns), status.st_ino) != listed:
                return f"{shown(path)} has changed since it was listed, and was left alone"
            source = Place(*live.locate(path))
            for number in range(_NAMES):  # of an earlier file of that name, on the same day
                name = path + (f".{number}".encode() if number else b"")
                self._write(record, path, name, status)
                if move(source, Place(*kept.locate(name))):
                    return ""
        except FileNotFoundError:
            return f"{shown(path)} is gone"
        except OSError as exc:
            return f"{shown(path)} could not be moved: {exc.strerror}"
        except NightscanError as exc:
            return str(exc)
        return f"{shown(path)} could not be moved: {self.today} has {_NAMES} files of that name"

    def _write(self, record: IO[str], path: bytes, name: bytes, status: os.stat_result) -> None:
        line = {"at": self.now.isoformat(), "from": quoted(path),
                "to": f"{self.today.name}/{quoted(name)}", "bytes": status.st_size,
                "mtime_ns": status.st_mtime_ns}
        record.write(json.dumps(line) + "\n")
        record.flush()

    @contextmanager
    def _record(self) -> Iterator[IO[str]]:
        with (self.folder / RECORD).open("a", encoding="ascii") as record:
            yield record
            os.fsync(record.fileno())


def _orphans(scratch: sqlite3.Connection) -> Iterator[tuple[bytes, int, int]]:
    """In the order of paths, in batches, since each is then written to."""
    while rows := scratch.execute("SELECT path, changed_ns, inode FROM orphan WHERE NOT moved "
                                  "ORDER BY path LIMIT ?", (_BATCH,)).fetchall():
        yield from rows
