"""The folder that pg_dump writes to: gone with a process that is killed, told apart when the disk is full."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components import database_spool
from nightscan_tasks.components.base import PlainStream
from nightscan_tasks.components.database_spool import free, require_bounded
from nightscan_tasks.doctor import sources
from nightscan_tasks.errors import DumpIncomplete, NightscanError, ProcessFailed, ProcessKilled, SourceRefused
from nightscan_tasks.settings import load
from nightscan_tasks.system import System

LARGE = ("CREATE TABLE large AS SELECT g, repeat(md5(g::text), 30) AS t "
         "FROM generate_series(1, 60000) g")
DUMP = """
import sys
from nightscan_tasks.components import database_spool
from nightscan_tasks.components.base import Shared
from nightscan_tasks.components.database import Database
from nightscan_tasks.settings import load

database_spool.MOST_BYTES = 4 << 20
settings = load({"NIGHTSCAN_DATABASE_URI": sys.argv[1], "NIGHTSCAN_TEMP_DIR": sys.argv[2],
                 "NIGHTSCAN_DATABASE_FORMAT": "directory"})
with Database(settings).open("database", Shared(announce=lambda: None, listing=None)) as dump:
    chunks = next(dump.streams()).chunks
    next(chunks)
    print("begun", flush=True)
    sys.stdin.read()
"""


def told_of(folder: Path) -> dict[int, str]:
    """The processes that have a folder among their arguments, and their state."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.fsencode(folder) in (entry / "cmdline").read_bytes():
                found[int(entry.name)] = (entry / "stat").read_text().rpartition(") ")[2][0]
        except OSError:
            continue
    return {pid: state for pid, state in found.items() if state not in "ZX" and pid != os.getpid()}


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_process_that_is_killed_leaves_neither_file_nor_program(scratch: Any, tmp_path: Path) -> None:
    scratch.run(LARGE)
    uri = scratch.dsn.get_secret_value()
    with subprocess.Popen([sys.executable, "-c", DUMP, uri, str(tmp_path)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        # Too much waits, and nobody takes it: so all of them stand still.
        until(lambda: "T" in told_of(tmp_path).values())
        assert list(tmp_path.glob("nightscan-dump-*/*.dat"))
        process.send_signal(signal.SIGKILL)
        process.wait()
        until(lambda: not told_of(tmp_path))
        until(lambda: not list(tmp_path.iterdir()))
    until(lambda: scratch.rows("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                               "AND pid <> pg_backend_pid()") == [(0,)])


def test_a_dump_in_any_format_removes_what_a_killed_one_left(scratch: Any, tmp_path: Path) -> None:
    left = tmp_path / "nightscan-dump-left"
    left.mkdir()
    (left / "1.dat").write_text("plain")
    os.utime(left, (0, 0))
    scratch.dump(NIGHTSCAN_DATABASE_FORMAT="sql", NIGHTSCAN_TEMP_DIR=str(tmp_path))
    assert not left.exists()


def faked(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """A pg_dump that does what a script does with its folder, `$folder`."""
    folder.mkdir()
    fake = folder / "pg_dump"
    fake.write_text("#!/bin/sh\ncase $1 in --version) echo 'pg_dump 18.99'; exit;; esac\n"
                    f"for word; do case $word in --file=*) folder=${{word#--file=}};; esac; done\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.mark.parametrize(("script", "error", "says"), [
    ("exit 0", DumpIncomplete, "no table of contents"),
    ("printf '1\\n' > $folder/1.dat", DumpIncomplete, "no end mark"),
    ("printf '1\\n' > $folder/1.dat; exit 3", ProcessFailed, "exit status 3"),
    ("echo 'pg_dump: error: could not write to file: No space left on device' >&2; exit 1", SourceRefused,
     "NIGHTSCAN_TEMP_DIR name another"),
])
def test_a_dump_that_failed_is_a_failure(scratch: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                         script: str, error: type[NightscanError], says: str) -> None:
    faked(monkeypatch, tmp_path / "bin", script)
    with pytest.raises((error, SourceRefused), match=says):
        scratch.dump(NIGHTSCAN_DATABASE_FORMAT="directory", NIGHTSCAN_TEMP_DIR=str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_a_file_that_the_contents_list_and_nobody_wrote_is_a_failure(
        scratch: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scratch.run("CREATE TABLE t AS SELECT 1 AS x")
    names = database_spool.Spool._names

    def lossy(self: database_spool.Spool) -> Iterator[str]:
        return (name for name in names(self) if not name.endswith(".dat"))

    monkeypatch.setattr(database_spool.Spool, "_names", lossy)
    with pytest.raises(DumpIncomplete, match=r"lists 1 files that it did not write: \d+\.dat"):
        scratch.dump(NIGHTSCAN_DATABASE_FORMAT="directory", NIGHTSCAN_TEMP_DIR=str(tmp_path))


def test_a_killed_worker_of_pg_dump_is_a_failure(scratch: Any, tmp_path: Path) -> None:
    scratch.run(LARGE)

    def killing(stream: PlainStream) -> None:
        next(stream.chunks)
        dumping = [pid for pid in told_of(tmp_path) if Path(f"/proc/{pid}/comm").read_text() == "pg_dump\n"]
        until(lambda: bool(helpers(dumping)))
        for pid in helpers(dumping):
            os.kill(pid, signal.SIGKILL)
        list(stream.chunks)

    with scratch.opened(NIGHTSCAN_DATABASE_FORMAT="directory", NIGHTSCAN_TEMP_DIR=str(tmp_path),
                        ) as dump, pytest.raises(ProcessKilled, match="pg_dump failed"):
        killing(next(dump.streams()))


def helpers(pids: list[int]) -> list[int]:
    """Those of them whose parent is another of them."""
    return [pid for pid in pids
            if int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1]) in pids]


def test_where_a_file_cannot_be_freed_while_it_is_written_it_says_what_to_do(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    require_bounded(tmp_path)

    def refused(path: Path, until: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(database_spool, "free", refused)
    with pytest.raises(SourceRefused, match=r"Operation not supported.*NIGHTSCAN_DATABASE_FORMAT=sql"):
        require_bounded(tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_was_taken_of_a_file_takes_no_room(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * (1 << 20))
    os.sync()
    before = path.stat().st_blocks
    free(path, 1 << 19)
    assert path.stat().st_size == 1 << 20
    assert path.stat().st_blocks <= before // 2 + 8
    assert path.read_bytes()[1 << 19:] == b"x" * (1 << 19)


def test_the_doctor_says_where_rows_lie_in_plain_and_for_how_long(scratch: Any, tmp_path: Path) -> None:
    def said(form: str) -> str:
        system = System(load({"NIGHTSCAN_DATABASE_URI": scratch.dsn.get_secret_value(),
                              "NIGHTSCAN_DATABASE_FORMAT": form, "NIGHTSCAN_TEMP_DIR": str(tmp_path)}))
        return " ".join(f"{each.name} {each.found}" for each in sources.database(system))

    assert f"256 MiB of rows at most lie in plain below {tmp_path}" in said("directory")
    assert "plain" not in said("sql")
