"""What would stop a restore is found before anything is changed, with its remedy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from nightscan_tasks import programs
from nightscan_tasks.components.redis_fingerprint import compare_redis
from nightscan_tasks.components.redis_marks import Database, Mark, State
from nightscan_tasks.components.redis_places import Place, Shortage, plan_places
from nightscan_tasks.components.redis_restorer import RedisRestorer
from nightscan_tasks.components.restorer import Position
from nightscan_tasks.errors import (
    DigestMismatch,
    DumpIncomplete,
    NightscanError,
    RestoreRefused,
    SourceUnavailable,
)


@contextlib.contextmanager
def setting(server: Any, name: str, value: object) -> Iterator[None]:
    (old,) = server.run(("CONFIG", "GET", name))
    server.run(("CONFIG", "SET", name, value))
    try:
        yield
    finally:
        server.run(("CONFIG", "SET", name, old[1] if isinstance(old, list) else old[name.encode()]))


def only_problem(ours: RedisRestorer, source: Any) -> str:
    """The one problem that is found; and staging is refused as well, with nothing changed."""
    (problem,) = ours.examine(source).problems
    return problem


@pytest.mark.parametrize("forbidden", ["swapdb", "move", "restore", "flushdb", "unlink", "hset"])
def test_a_command_that_is_forbidden_is_named(server: Any, forbidden: str, tmp_path: Path) -> None:
    server.run(("SET", "a", 1))
    source = server.source()
    server.run(("ACL", "SETUSER", "weak", "on", ">x", "~*", "+@all", f"-{forbidden}"))
    before = server.content(*range(16))
    ours = RedisRestorer(SecretStr(server.url(user="weak", password="x")), "run", temp_dir=tmp_path)
    problem = only_problem(ours, source)
    assert forbidden.upper() in problem
    assert "+@write" in problem.partition("ACL SETUSER")[2]
    assert compare_redis(before, server.content(*range(16))) == []


def test_a_user_that_may_not_look_is_told_what_it_needs(server: Any, tmp_path: Path) -> None:
    source = server.source()
    server.run(("ACL", "SETUSER", "weak", "on", ">x", "~*", "+@all", "-eval"))
    ours = RedisRestorer(SecretStr(server.url(user="weak", password="x")), "run", temp_dir=tmp_path)
    assert "ACL SETUSER … ~* +@read +@write +@scripting" in only_problem(ours, source)


def test_a_user_with_just_the_rights_that_are_asked_for_restores(server: Any, tmp_path: Path) -> None:
    server.run(("SET", "a", 1))
    source = server.source()
    server.run(("ACL", "SETUSER", "weak", "on", ">x", "~*", "-@all", "+ping"))
    ours = RedisRestorer(SecretStr(server.url(user="weak", password="x")), "run", temp_dir=tmp_path)
    rights = only_problem(ours, source).partition("`ACL SETUSER … ")[2].partition("`")[0]
    server.run(("ACL", "SETUSER", "weak", *rights.split()), ("SET", "a", 2))
    assert ours.examine(source).problems == ()
    ours.stage(source)
    ours.swap()
    assert server.run(("GET", "a")) == [b"1"]
    ours.undo()
    ours.accept()
    assert server.run(("GET", "a")) == [b"2"]


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru"])
def test_too_little_memory_for_both_states_is_refused(server: Any, policy: str, tmp_path: Path) -> None:
    server.run(*(("SET", f"k{number}", f"{number}" * 20_000) for number in range(50)))
    source = server.source()
    (memory,) = server.run(("INFO", "memory"))
    with setting(server, "maxmemory-policy", policy), setting(
            server, "maxmemory", memory["used_memory"] + 1_000_000):
        ours = server.restorer(tmp_path)
        # An RDB of such values is much smaller than they are: so that is known only once it is loaded.
        with pytest.raises(RestoreRefused, match=r"while it holds both states.*CONFIG SET maxmemory \d+"):
            ours.stage(source)
        assert ours.position() is Position.ABSENT
        large = replace(source, artifact=replace(source.artifact, plain_bytes=50_000_000))
        expected = "the copy would fail" if policy == "noeviction" else "would throw live keys away"
        assert expected in only_problem(ours, large)
        assert server.run(("DBSIZE",)) == [50]


def test_a_replica_is_refused(both: dict[str, Any], tmp_path: Path) -> None:
    for each in both.values():
        each.empty()
    source = both["redis"].source()
    master, replica = both["valkey"], both["redis"]
    replica.run(("REPLICAOF", "127.0.0.1", master.port))
    try:
        problem = only_problem(replica.restorer(tmp_path), source)
    finally:
        replica.run(("REPLICAOF", "NO", "ONE"))
    assert f"is a replica: restore into its master, 127.0.0.1:{master.port}" in problem


def test_a_server_that_cannot_write_to_its_disk_is_refused(mortal: Any, tmp_path: Path) -> None:
    source = mortal.source()
    (mortal.folder / "dump.rdb").mkdir()
    mortal.run(("CONFIG", "SET", "save", "3600 1"))
    while mortal.run(("INFO", "persistence"))[0]["rdb_bgsave_in_progress"]:
        pass
    mortal.run(("BGSAVE",))
    while mortal.run(("INFO", "persistence"))[0]["rdb_last_bgsave_status"] != "err":
        pass
    problem = only_problem(mortal.restorer(tmp_path), source)
    assert "MISCONF" in problem
    assert "make room there" in problem


def test_a_cluster_is_refused(cluster: Any, valkey: Any, tmp_path: Path) -> None:
    problem = only_problem(cluster.restorer(tmp_path), valkey.source())
    assert "is a cluster" in problem


def test_too_few_databases_are_said_with_how_many_to_set(
    start_server: Callable[..., Any], both: dict[str, Any], tmp_path: Path,
) -> None:
    both["redis"].empty()
    both["redis"].run(("SET", "a", 1))
    both["redis"].run(("SET", "a", 1), db=1)
    source = both["redis"].source()
    both["redis"].run(("SET", "a", 1), db=4)
    wide = both["redis"].source()
    small = start_server("redis", "databases 3")
    ours = small.restorer(tmp_path)
    assert "raise its setting `databases` to at least 4" in only_problem(ours, source)
    with pytest.raises(RestoreRefused, match="at least 4"):
        ours.stage(source)
    assert any("has no database 4: raise its setting `databases` above 4" in each
               for each in ours.examine(wide).problems)
    with pytest.raises(RestoreRefused, match="no database 4"):
        ours.stage(wide)


def test_an_rdb_that_is_newer_than_the_server_is_refused(both: dict[str, Any], tmp_path: Path) -> None:
    for each in both.values():
        each.empty()
    source = both["valkey"].source()
    problem = only_problem(both["redis"].restorer(tmp_path), source)
    assert "RDB version 80, which redis 6.2.14 cannot read" in problem
    assert "upgrade that server" in problem


def test_no_scratch_server_is_said_with_what_to_install(
    valkey: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = valkey.source()
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("valkey-server", "redis-server"):
        monkeypatch.delitem(programs._SOURCES, name)
    assert "apt-get install valkey-server" in only_problem(valkey.restorer(tmp_path), source)


def test_a_database_that_holds_an_old_state_is_not_replaced(server: Any, tmp_path: Path) -> None:
    server.run(("SET", "a", 1))
    first = server.restorer(tmp_path, "first")
    first.stage(server.source())
    first.swap()
    source = server.source()
    counted = source.report.fingerprint["databases"]
    ours = server.restorer(tmp_path, databases=(15,))
    assert "15" in counted
    assert "holds what restore first keeps" in only_problem(ours, source)
    with pytest.raises(RestoreRefused):
        ours.stage(source)


@pytest.mark.parametrize("kind", ["rdb", "resp"])
@pytest.mark.parametrize("how", ["cut", "flipped", "broken off"])
def test_a_damaged_artifact_leaves_nothing(server: Any, kind: str, how: str, tmp_path: Path) -> None:
    server.run(*(("SET", f"k{number}", f"{number}" * 50) for number in range(50)))
    whole = server.source(kind)
    at = whole.data.index(b"k7") + 1  # a name: of the bytes between two values some mean nothing
    data = whole.data[:len(whole.data) // 2] if how == "cut" else (
        whole.data[:at] + bytes([whole.data[at] ^ 1]) + whole.data[at + 1:])
    source: Any = replace(whole, data=data) if how != "broken off" else _Broken(whole)
    before = server.content(*range(16))
    ours = server.restorer(tmp_path)
    with pytest.raises((RestoreRefused, DumpIncomplete, DigestMismatch)) as raised:
        ours.stage(source)
    assert (raised.type is DigestMismatch) == (how == "broken off")
    assert ours.position() is Position.ABSENT
    assert compare_redis(before, server.content(*range(16))) == []
    assert list(tmp_path.iterdir()) == []


class _Broken:
    """A source whose bytes prove to be damaged at their end."""

    def __init__(self, whole: Any) -> None:
        self.report, self.artifacts, self._whole = whole.report, whole.artifacts, whole

    @contextlib.contextmanager
    def open(self, artifact: Any) -> Iterator[Iterator[bytes]]:
        with self._whole.open(artifact) as chunks:
            yield self._all(chunks)

    def _all(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield from chunks
        raise DigestMismatch("stored bytes are not what was written")


def test_a_server_that_is_away_raises(mortal: Any, tmp_path: Path) -> None:
    source = mortal.source()
    mortal.kill()
    ours = mortal.restorer(tmp_path)
    with pytest.raises(SourceUnavailable):
        ours.examine(source)
    with pytest.raises(NightscanError):
        ours.position()


def test_a_wrong_password_is_refused_before_anything_is_read(valkey: Any, tmp_path: Path) -> None:
    ours = RedisRestorer(SecretStr(valkey.url(password="wrong")), "run", temp_dir=tmp_path)
    for act in (ours.examine, ours.stage):
        with pytest.raises(NightscanError, match="REDIS_PASSWORD"):
            act(valkey.source())


def database(number: int, keys: int = 0, *, marked: bool = False) -> Database:
    return Database(number, keys, Mark("other", 0, State.BEFORE, "") if marked else None)


def test_places_are_the_highest_free_ones() -> None:
    known = [database(0, 5), database(1), database(2), database(3, marked=True), database(4, 1), database(5),
             database(6)]
    assert plan_places((0, 1), known, in_use={6}, per_database=1) == (Place(0, 5), Place(1, 2))
    assert plan_places((0,), known, in_use=(), per_database=2) == (Place(0, 6, 5),)
    assert plan_places((0, 1), known, in_use={6}, per_database=2) == Shortage(4, 2, 7)
