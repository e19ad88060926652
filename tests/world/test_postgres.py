from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from nightscan_tasks.errors import WorldError
from nightscan_tasks.world import service
from nightscan_tasks.world.postgres import Postgres
from nightscan_tasks.world.service import Record
from nightscan_tasks.world.world import World

PASSING = 1 << 1  # CAP_DAC_OVERRIDE, see capabilities(7)
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the user it runs as")


@contextmanager
def _running(server: Postgres) -> Iterator[Record]:
    records: list[Record] = []
    env = {"PATH": os.defpath}
    try:
        record = service.start(server, env=env, remember=records.append)
        yield service.answered(server, record, env=env, remember=records.append)
    finally:
        for record in records:
            service.stop(record)


def _status(record: Record) -> dict[str, list[str]]:
    assert record.identity
    lines = Path(f"/proc/{record.identity.pid}/status").read_text().splitlines()
    return {line.split(":")[0]: line.split()[1:] for line in lines}


def _closed(path: Path) -> bool:
    """Whether some folder on the way is closed to a user who owns nothing of it."""
    return not all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


@only_root
def test_for_root_it_runs_as_nobody_with_no_capability_of_roots(open_folder: Path) -> None:
    server = Postgres(open_folder / "postgres", "one", "two")
    if _closed(server.tool.path):
        pytest.skip(f"its programs lie in a closed folder ({server.tool.path}): it has to pass there")
    with _running(server) as record:
        status = _status(record)
        assert set(status["Uid"]) == {str(pwd.getpwnam("nobody").pw_uid)}
        assert int(status["CapEff"][0], 16) == 0


@only_root
def test_in_a_closed_folder_it_may_pass_and_nothing_else(open_folder: Path) -> None:
    open_folder.chmod(0o700)
    with _running(Postgres(open_folder / "postgres", "one", "two")) as record:
        status = _status(record)
        assert set(status["Uid"]) == {str(pwd.getpwnam("nobody").pw_uid)}
        assert int(status["CapEff"][0], 16) == PASSING


def test_a_wrong_password_does_not_log_in(tmp_path: Path, postgres_server: World) -> None:
    ports = postgres_server.state.records["postgres"].ports
    with pytest.raises(service.NotReady, match="password authentication failed"):
        Postgres(tmp_path, "wrong", "wrong").check(ports)


@only_root
def test_where_the_user_cannot_be_changed_it_says_so(tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    server = Postgres(tmp_path / "postgres", "one", "two")
    server.home.mkdir()
    with pytest.raises(WorldError, match="util-linux"):
        server.prepare()


def test_a_cluster_whose_making_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "postgres", "one", "two")
    (server.data / "base").mkdir(parents=True)
    (server.data / "PG_VERSION").write_text("18\n")
    with (_running(server) as record,
          psycopg.connect(server.dsn(record.ports)) as connection):
        assert connection.execute("SELECT current_user::text").fetchone() == ("nightscan",)


def test_a_lock_that_names_another_program_is_no_obstacle(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "postgres", "one", "two")
    with _running(server):
        lock = server.data / "postmaster.pid"
        left = lock.read_text().split("\n")
    lock.write_text("\n".join([str(os.getpid()), *left[1:]]))  # as if the id had been given out again
    with _running(server) as record:
        assert record.up
