"""A saved dump in either format, read as the statements and rows that make the database.

What is in the directory format is restored by the same hands as plain SQL: its contents become SQL, which is
read as strictly, and the rows of its files go where that SQL says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nightscan_tasks.components.database_contents import Contents, restore_tool
from nightscan_tasks.components.database_pieces import Member, NotPieces, members
from nightscan_tasks.components.database_script import Item, NotUnderstood, ObjectBytes, Rows, items
from nightscan_tasks.components.private_folder import private_folder
from nightscan_tasks.components.restorer import Source
from nightscan_tasks.errors import ProcessFailed
from nightscan_tasks.model import Artifact, Buffer, Chunks
from nightscan_tasks.programs import ProgramMissing, Tool

_PREFIX = "nightscan-contents-"
_LARGE_OBJECT = re.compile(r"blob_(\d{1,10})\.dat")
_OF_LARGE_OBJECTS = re.compile(r"blobs(?:_\d+)?\.toc")
_END_OF_ROWS = b"\\.\n\n\n"


@dataclass(frozen=True)
class Saved:
    """The database of one set; its contents lie in a folder below `temp_dir` while it is read."""

    source: Source
    temp_dir: Path

    @property
    def script(self) -> Callable[[], AbstractContextManager[Iterable[Buffer]]] | None:
        """Its SQL as it was written; None where it is in the directory format."""
        artifact = self._named(".sql.")
        return None if artifact is None else lambda: self.source.open(artifact)

    def problems(self) -> Iterator[str]:
        """What stands in the way of reading it here."""
        if self.script is None:
            try:
                self._pg_restore()
            except ProgramMissing as exc:
                yield str(exc)

    @contextmanager
    def items(self) -> Iterator[Iterable[Item]]:
        """Its statements and rows, in an order in which they can be loaded.

        `NotUnderstood` out of them where they are not as pg_dump writes them.
        """
        script = self.script
        if script is not None:
            with script() as chunks:
                yield items(chunks)
            return
        contents, data = self._named(".toc."), self._named(".data.tar.")
        if contents is None or data is None:
            raise NotUnderstood("the set lacks a part of its database")
        pg_restore = self._pg_restore()
        with private_folder(self.temp_dir, _PREFIX) as folder:
            with self.source.open(contents) as chunks, (folder / "toc.dat").open("wb") as file:
                file.writelines(chunks)
            with self.source.open(data) as chunks:
                yield _items(Contents(folder, pg_restore.path), chunks)

    def _pg_restore(self) -> Tool:
        return restore_tool(self.source.report.versions.get("pg_dump", ""))

    def _named(self, part: str) -> Artifact | None:
        return next((each for each in self.source.artifacts
                     if part in f"{each.name}." and not is_roles(each)), None)


def is_roles(artifact: Artifact) -> bool:
    """Whether it holds the roles of the server, and nothing of the database."""
    return ".roles." in artifact.name


def _items(contents: Contents, chunks: Chunks) -> Iterator[Item]:
    try:
        yield from contents.before_rows()
        yield from _rows(contents, chunks)
        yield from contents.after_rows()
    except NotPieces as exc:
        raise NotUnderstood(f"the data of the dump: {exc}") from exc
    except ProcessFailed as exc:
        raise NotUnderstood(f"the contents of the dump cannot be read: {exc}") from exc


def _rows(contents: Contents, chunks: Chunks) -> Iterator[Rows | ObjectBytes]:
    """What the files hold, wherever it belongs; each table has to be there, to its end."""
    tables = {name: _Table(copy) for name, copy in contents.copies.items()}
    for member in members(chunks):
        if found := _LARGE_OBJECT.fullmatch(member.name):
            yield ObjectBytes(int(found[1]), member.offset, bytes(member.block))
        elif table := tables.get(member.name):
            yield from table.add(member)
        elif not _OF_LARGE_OBJECTS.fullmatch(member.name):
            raise NotUnderstood(f"the file {member.name} belongs to nothing of its contents")
    for name, table in tables.items():
        yield from table.end(name)


@dataclass
class _Table:
    """The rows of one table, given away in blocks of whole ones, without their end mark."""

    copy: bytes
    _rest: bytearray = field(default_factory=bytearray)
    _ended: bool = False

    def add(self, member: Member) -> Iterator[Rows]:
        if self._ended:
            raise NotUnderstood(f"the file {member.name} comes twice")
        self._rest += member.block
        if member.last:
            yield from self.end(member.name)
            return
        # Never so much that a piece of the end mark would be taken for a row.
        cut = self._rest.rfind(b"\n", 0, max(0, len(self._rest) - len(_END_OF_ROWS))) + 1
        if cut:
            yield Rows(self.copy, bytes(memoryview(self._rest)[:cut]))
            del self._rest[:cut]

    def end(self, name: str) -> Iterator[Rows]:
        """What is left, once; `NotUnderstood` where the rows do not end as they have to."""
        if self._ended:
            return
        rows = self._rest.removesuffix(_END_OF_ROWS)
        if len(rows) == len(self._rest) or (rows and not rows.endswith(b"\n")):
            raise NotUnderstood(f"the rows of {name} break off")
        self._ended = True
        self._rest = bytearray()
        if rows:
            yield Rows(self.copy, bytes(rows))
