"""The table of contents of a dump in directory format, read by `pg_restore`, which alone knows it all.

`pg_restore` turns it into SQL, with rows where they belong. It is given files of one line each, which name
themselves, in the place of the rows: so its SQL says which file is whose, and the rows come by another way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from nightscan_tasks import programs
from nightscan_tasks.components.database_script import Item, NotUnderstood, Rows, items
from nightscan_tasks.model import Chunks
from nightscan_tasks.process import Program, run

_ENTRY = re.compile(rb"^(\d+); \d+ \d+ (TABLE DATA|BLOBS) ", re.MULTILINE)
_OLDER_LARGE_OBJECTS = "blobs.toc"  # of pg_dump before 17
_END_OF_ROWS = "\\.\n\n\n"
_LONGEST_MARKER = 20


def restore_tool(dumped_by: str, *, beside: Path | None = None) -> programs.Tool:
    """A `pg_restore` that reads what a pg_dump of that version wrote; `ProgramMissing` says what to install.

    The one `beside` that pg_dump is preferred.
    """
    major = dumped_by.partition(".")[0]
    wanted = (int(major),) if major.isdigit() else ()
    if beside is not None:
        for tool in programs.candidates("pg_restore"):
            if tool.path.parent == beside.parent and tool.version >= wanted:
                return tool
    return programs.find("pg_restore", at_least=wanted)


def rows_of(contents: Path, pg_restore: Path) -> set[str]:
    """The names of the files that hold the rows of tables, as the contents have them."""
    return {f"{number}.dat" for number, kind in _entries(contents, pg_restore) if kind == b"TABLE DATA"}


def _entries(contents: Path, pg_restore: Path) -> list[tuple[int, bytes]]:
    listed = run([str(pg_restore), "--list", str(contents.parent)])
    return [(int(number), kind) for number, kind in _ENTRY.findall(listed)]


class Contents:
    """The contents that lie in `folder`, as `toc.dat`, and nothing else."""

    def __init__(self, folder: Path, pg_restore: Path) -> None:
        self._folder = folder
        self._pg_restore = pg_restore
        self.copies: dict[str, bytes] = {}
        """By the name of its file, the COPY statement of each table."""

    def before_rows(self) -> Iterator[Item]:
        """What makes the tables, and then what else comes before their rows; `copies` are known at the end.

        `NotUnderstood` where the SQL is not as pg_dump's contents make it.
        """
        self._place_markers()
        yield from items(self._script("pre-data"))
        for item in items(self._script("data")):
            if isinstance(item, Rows):
                self._note(item)
            else:
                yield item
        if lost := len(list(self._folder.glob("[0-9]*.dat"))) - len(self.copies):
            raise NotUnderstood(f"{lost} files of rows that belong to no table")

    def after_rows(self) -> Iterator[Item]:
        """Indexes, keys, triggers and whatever else comes after the rows."""
        return items(self._script("post-data"))

    def _place_markers(self) -> None:
        for number, kind in _entries(self._folder / "toc.dat", self._pg_restore):
            if kind == b"BLOBS":
                (self._folder / f"blobs_{number}.toc").touch()
            else:
                (self._folder / f"{number}.dat").write_text(f"{number}\n{_END_OF_ROWS}")
        (self._folder / _OLDER_LARGE_OBJECTS).touch()

    def _note(self, rows: Rows) -> None:
        """One table's marker. Whatever else stands there was read from another file."""
        number = rows.block.removesuffix(b"\n")
        name = f"{number.decode()}.dat" if len(number) < _LONGEST_MARKER and number.isdigit() else ""
        if not name or name in self.copies or not (self._folder / name).exists():
            raise NotUnderstood("the contents name a file that is no part of the dump")
        self.copies[name] = rows.copy

    def _script(self, section: str) -> Chunks:
        argv = [str(self._pg_restore), f"--section={section}", "--file=-", str(self._folder)]
        with Program(argv) as program:
            yield from program.chunks()
