"""The database in pg_dump's directory format: its files as one tar, and its table of contents.

The contents are an artifact of their own: pg_dump writes them last, and a restore wants them first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from nightscan_tasks.components.base import PlainStream
from nightscan_tasks.components.database_contents import restore_tool, rows_of
from nightscan_tasks.components.database_group import Group, group
from nightscan_tasks.components.database_spool import Spool, require_bounded
from nightscan_tasks.components.private_folder import private_folder, sweep_folders
from nightscan_tasks.errors import DumpIncomplete, ProcessFailed, ProcessKilled, SourceRefused
from nightscan_tasks.model import Chunks
from nightscan_tasks.process import CHUNK_BYTES
from nightscan_tasks.programs import Tool

DATA, CONTENTS = "database.data.tar", "database.toc"
_PREFIX = "nightscan-dump-"
_KILLED = "a worker process died unexpectedly"  # of pg_dump's own: it says no more
_NO_ROOM = "no space left on device"


def sweep(temp_dir: Path) -> None:
    """Remove what dumps left that were killed together with all that would have removed it."""
    sweep_folders(temp_dir, _PREFIX)


def examine(temp_dir: Path, pg_dump: Tool) -> None:
    """`SourceRefused`, `ProgramMissing` where no dump in this format can be made here; says what to do."""
    restore_tool(str(pg_dump), beside=pg_dump.path)
    with private_folder(temp_dir, _PREFIX) as folder:
        require_bounded(folder)


@dataclass
class DirectoryDump:
    """One dump by several connections. `argv` is pg_dump with all options but those of the format.

    `stack` ends what it starts. Nothing but a bounded share of it ever lies in a folder below `temp_dir`.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    jobs: int
    temp_dir: Path
    pg_restore: Path
    stack: ExitStack
    _spool: Spool | None = field(default=None, init=False)

    def streams(self) -> Iterator[PlainStream]:
        """The files, then the contents. `ProcessFailed`, `DumpIncomplete` out of their chunks."""
        yield PlainStream(DATA, self._data())
        yield PlainStream(CONTENTS, self._contents())

    def _data(self) -> Chunks:
        folder = self.stack.enter_context(private_folder(self.temp_dir, _PREFIX))
        require_bounded(folder)
        running = self.stack.enter_context(group(self._argv(folder), env=self.env, folder=folder))
        self._spool = spool = Spool(folder, running)
        try:
            yield from spool.chunks()
        except DumpIncomplete:
            self._finish(running)  # which knows better why a file is not whole
            raise
        self._finish(running)
        if not spool.contents.exists():
            raise DumpIncomplete("pg_dump wrote no table of contents, though it reported no error")
        if missing := rows_of(spool.contents, self.pg_restore) - spool.taken:
            raise DumpIncomplete(f"pg_dump lists {len(missing)} files that it did not write: "
                                 f"{', '.join(sorted(missing)[:5])}")

    def _finish(self, running: Group) -> None:
        try:
            running.program.finish()
        except ProcessFailed as exc:
            if _KILLED in str(exc):
                raise ProcessKilled(str(exc)) from exc
            if _NO_ROOM in str(exc).lower():
                raise SourceRefused(f"{self.temp_dir} lacks room for what pg_dump writes until it is stored, "
                                    f"about 256 MiB: let NIGHTSCAN_TEMP_DIR name another: {exc}") from exc
            raise

    def _argv(self, folder: Path) -> list[str]:
        return [*self.argv, "--format=directory", f"--jobs={self.jobs}", "--compress=0", "--no-sync",
                f"--file={folder}"]

    def _contents(self) -> Chunks:
        if self._spool is None:
            raise DumpIncomplete("the table of contents was asked for before the data was read")
        with self._spool.contents.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
