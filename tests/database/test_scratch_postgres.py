"""A scratch server: the version that was asked for, private, and gone when its time is over."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from nightscan_tasks import programs
from nightscan_tasks.components.scratch_postgres import scratch_postgres
from nightscan_tasks.errors import RestoreRefused

INSTALLED = [tool.version[0] for tool in programs.candidates("postgres")]

HOLD = """
import sys, time
from pathlib import Path
from nightscan_tasks.components.scratch_postgres import scratch_postgres
with scratch_postgres(int(sys.argv[1]), temp_dir=Path(sys.argv[2])) as server:
    print(server.dsn.get_secret_value(), flush=True)
    sys.stdin.read()
"""


def postmaster(temp_dir: Path) -> int:
    (file,) = temp_dir.glob("*/data/postmaster.pid")
    return int(file.read_text().splitlines()[0])


@pytest.mark.parametrize("major", sorted(set(INSTALLED)))
def test_each_version_of_this_host_can_be_had_and_leaves_nothing(major: int, tmp_path: Path) -> None:
    with scratch_postgres(major, temp_dir=tmp_path) as server:
        assert server.note == ""
        assert server.version.split(".")[0] == str(major)
        pid = postmaster(tmp_path)
        with psycopg.connect(server.dsn.get_secret_value(), autocommit=True) as connection:
            assert connection.execute("SELECT current_user, rolsuper, current_setting('server_version_num')"
                                      "::int / 10000, current_database() FROM pg_roles "
                                      "WHERE rolname = current_user").fetchone() == (
                "postgres", True, major, "postgres")
            connection.execute("CREATE DATABASE d TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_nearest_newer_one_serves_and_is_said(tmp_path: Path) -> None:
    with scratch_postgres(9, temp_dir=tmp_path) as server:
        assert server.version.split(".")[0] == str(min(INSTALLED))
        assert server.note.startswith("there is no PostgreSQL 9 on this host")


def test_without_one_it_is_said_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(RestoreRefused, match="apt-get install postgresql-99"), \
            scratch_postgres(99, temp_dir=tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_it_lets_nobody_in_without_the_password_and_lies_deep_if_it_must(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    with scratch_postgres(max(INSTALLED), temp_dir=deep) as server:
        uri = server.dsn.get_secret_value()
        psycopg.connect(uri).close()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(uri, password="guessed")
        socket_folder = Path(psycopg.conninfo.conninfo_to_dict(uri)["host"])  # type: ignore[arg-type]
        assert socket_folder.stat().st_mode & 0o077 == 0
    assert list(deep.iterdir()) == []
    assert not socket_folder.exists()


def test_it_ends_when_its_process_is_killed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", HOLD, str(max(INSTALLED)), str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline().strip()
        server = os.pidfd_open(postmaster(tmp_path))
        child.send_signal(signal.SIGKILL)
    try:
        assert select.select([server], [], [], 30)[0], "the server lives on"
    finally:
        os.close(server)
