"""User data: saved, saved again, and put back, by whoever a user might choose."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from benchmarks.ask import Ask
from benchmarks.contest import Contender, Step, Task, contest
from benchmarks.data.plan import FILES, TOTAL_BYTES
from benchmarks.data.tree import Tree
from benchmarks.measuring import Command
from benchmarks.outcome import Found, Table, followed
from benchmarks.programs import RIVALS as PROGRAMS
from benchmarks.rivals import RIVALS, Rival
from benchmarks.scratch import Need, bytes_below, empty, put_away
from benchmarks.site import DECRYPT, ENCRYPT, USER_DATA, Site, site

_CONTENDERS = 5
GUIDE = "tar -cz | gpg (the guide)"
OURS = "nightscan"
SERVICES = ("gpg", "files", "postgres", "redis")  # a daily set has the database and Redis too: empty ones
TASKS = {
    "first": Task("First backup", "restic",
                  "nightscan: `nightscan backup daily --local`, with an empty database and an empty Redis in "
                  "the set; it reads back all that it stored, and publishes nothing that differs. The others "
                  "do not look at what they wrote."),
    "checked": Task("First backup, and all of it read back", "restic",
                    "restic: `check --read-data` after the backup. borg: `check --verify-data`. nightscan "
                    "does it anyway: the same rounds as above. tar and gpg have nothing to check against."),
    "unchanged": Task("Next backup, nothing changed", "restic",
                      "The second one into the same repository. All go by size, times and inode, and read no "
                      "file again."),
    "changed": Task("Next backup, 1 % of the files changed", "restic",
                    "One file in a hundred is rewritten or new, and some are gone."),
    "restore": Task("Restore", "restic",
                    "All of the newest backup into an empty folder. nightscan compares every file with what "
                    "was saved, and waits until it is on the disk; restic and borg verify what they read."),
    "synced": Task("Restore, and its bytes on the disk", "restic",
                   "The same rounds, and `sync` after each: what a power cut would not take."),
}


def need(ask: Ask) -> Need:
    """The data, a repository as large with what was added to it, and what is restored of it.

    What everybody restored leaves its files to the end, without their bytes.
    """
    trees = 2 + _CONTENDERS * ask.rounds
    return Need(int(4.5 * TOTAL_BYTES * ask.scale) + 100_000_000, int(trees * FILES * ask.scale) + 2_000)


def user_data(folder: Path, console: Console, ask: Ask) -> Found:
    """All tables of user data."""
    with site(folder, SERVICES) as place:
        tree = Tree(place.root, int(TOTAL_BYTES * ask.scale), int(FILES * ask.scale), ask.seed)
        console.print("writing user data …")
        tree.write()
        tables = contest(list(Contenders(place, tree).all()), TASKS, ask, console=console,
                         shared=place.reading().run)
        return Found(_with_checks(tables))


class Contenders:
    """Everybody who takes part. Each change of the tree is another day's, whoever sees it."""

    def __init__(self, place: Site, tree: Tree) -> None:
        self._site = place
        self._tree = tree
        self._days = itertools.count(1)
        self._target = place.folder / "restored"
        self._out = place.folder / "out"

    def all(self) -> Iterator[Contender]:
        """Those that are on this machine."""
        yield self._pipeline("tar -c", f"tar -cf out/tar -C {self._site.root} {USER_DATA}",
                             f"tar -xf out/tar -C {self._target}")
        yield self._pipeline(GUIDE, f"tar -cz -C {self._site.root} {USER_DATA} | {ENCRYPT} >out/tar.gz.gpg",
                             f"{DECRYPT} out/tar.gz.gpg | tar -xz -C {self._target}")
        for program in PROGRAMS:
            if program.there:
                yield self._rival(RIVALS[program.name](self._site))
        yield self._ours()

    def _pipeline(self, name: str, save: str, restore: str) -> Contender:
        command = self._site.command
        return Contender(name, (
            Step("first", command(save), stored=lambda: bytes_below(self._out)),
            self._restored(command(restore))), self._fresh_pipeline, self._fresh_pipeline)

    def _rival(self, rival: Rival) -> Contender:
        paths = " ".join(str(self._site.root / name) for name in USER_DATA.split())
        saves = {name: rival.command(rival.save.format(what=paths, name=name))
                 for name in ("first", "unchanged", "changed")}
        return Contender(rival.name, (
            Step("first", saves["first"], stored=rival.stored_bytes),
            Step("checked", rival.command(rival.check)),
            Step("unchanged", saves["unchanged"], stored=rival.stored_bytes),
            Step("changed", saves["changed"], self._change, rival.stored_bytes),
            self._restored(rival.command(rival.restore.format(target=self._target, name="changed"))),
        ), rival.fresh, rival.gone)

    def _ours(self) -> Contender:
        save = self._site.nightscan("backup daily --local --json")
        restore = self._site.nightscan(
            f"restore user_data --local --json --tier daily --target-root {self._target}")

        def stored() -> int:
            return bytes_below(self._site.backups)

        return Contender(OURS, (
            Step("first", save, stored=stored),
            Step("unchanged", save, stored=stored),
            Step("changed", save, self._change, stored),
            self._restored(restore)), self._fresh_ours, self._fresh_ours)

    def _restored(self, command: Command) -> Step:
        sync = self._site.command(f"sync -f {self._target}")
        return Step("restore", command, self._no_target, after=("synced", sync))

    def _no_target(self) -> None:
        put_away(self._target)
        self._target.mkdir()

    def _change(self) -> None:
        self._tree.change(next(self._days))

    def _fresh_pipeline(self) -> None:
        empty(self._out)
        put_away(self._target)

    def _fresh_ours(self) -> None:
        for folder in (self._site.backups, self._site.state):
            empty(folder)
        put_away(self._target)


def _with_checks(tables: tuple[Table, ...]) -> tuple[Table, ...]:
    """Reading back is told of together with the backup before it; whoever does it anyway is there too."""
    first = next(table for table in tables if table.title == TASKS["first"].title)
    rows = {row.name: row for row in first.rows}
    checks = next((table.rows for table in tables if table.title == TASKS["checked"].title), ())
    both = tuple(followed(rows[check.name], check) for check in checks)
    task = TASKS["checked"]
    ours = (rows[OURS],) if OURS in rows else ()
    checked = Table(task.title, task.against, (*both, *ours), task.note)
    rest = [table for table in tables if table.title not in {first.title, checked.title}]
    return (first, *([checked] if checked.rows else []), *rest)
