"""Some databases, or the keys that match, without touching the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components.redis_fingerprint import compare_redis
from nightscan_tasks.components.restorer import Position
from nightscan_tasks.errors import RestoreRefused

FAR_MS = 4102444800123


def fill(server: Any) -> None:
    server.run(("SET", "session:1", "saved"), ("SET", "session:2", "saved"),
               ("PEXPIREAT", "session:2", FAR_MS), ("SET", "cache", "saved"),
               ("HSET", "session:h", "a", 1, "b", 2))
    server.run(("SET", "session:9", "saved"), ("SET", "cache", "saved"), db=1)
    if server.tool.version >= (9,):
        server.run(("HPEXPIREAT", "session:h", FAR_MS, "FIELDS", 1, "a"))


def change(server: Any) -> None:
    server.run(("SET", "session:1", "live"), ("SET", "session:3", "live"), ("SET", "cache", "live"),
               ("DEL", "session:h"), ("PERSIST", "session:2"))
    server.run(("SET", "session:9", "live"), ("SET", "cache", "live"), db=1)


def test_one_database_alone(server: Any, tmp_path: Path) -> None:
    fill(server)
    saved = server.content(1)
    source = server.source()
    change(server)
    first = server.content(0)
    ours = server.restorer(tmp_path, databases=(1,))
    assert "database 1 with 2 keys" in ours.examine(source).replaces
    ours.stage(source)
    server.restorer(tmp_path).swap()
    assert compare_redis(saved, server.content(1)) == []
    assert compare_redis(first, server.content(0)) == []
    server.restorer(tmp_path).undo()
    assert server.run(("GET", "session:9"), db=1) == [b"live"]


def test_a_database_that_the_set_lacks_is_refused(server: Any, tmp_path: Path) -> None:
    fill(server)
    source = server.source()
    ours = server.restorer(tmp_path, databases=(0, 3))
    (problem,) = ours.examine(source).problems
    assert problem == "the set has no keys in database 3: it has some in 0, 1"
    with pytest.raises(RestoreRefused, match="no keys in database 3"):
        ours.stage(source)


def test_the_keys_that_match_are_replaced_and_come_back(server: Any, tmp_path: Path) -> None:
    fill(server)
    source = server.source()
    change(server)
    changed = server.content(0, 1)
    ours = server.restorer(tmp_path, keys=("session:*", "session:?"))
    outlook = ours.examine(source)
    assert outlook.problems == ()
    assert outlook.replaces.endswith("of which those that match session:* or session:?")
    ours.stage(source)
    assert compare_redis(changed, server.content(0, 1)) == []
    again = server.restorer(tmp_path)
    swapped = again.swap()
    assert "databases 12, 14 with 4 keys" in swapped.before
    assert again.swap() == swapped
    assert server.run(("MGET", "session:1", "session:2", "session:3", "cache")) == [
        [b"saved", b"saved", None, b"live"]]
    assert server.run(("HGETALL", "session:h")) == [{b"a": b"1", b"b": b"2"}]
    if server.tool.version >= (7,):
        assert server.run(("PEXPIRETIME", "session:2")) == [FAR_MS]
    if server.tool.version >= (9,):
        assert server.run(("HPEXPIRETIME", "session:h", "FIELDS", 1, "a")) == [[FAR_MS]]
    assert server.run(("MGET", "session:9", "cache"), db=1) == [[b"saved", b"live"]]
    server.run(("SET", "session:4", "written since"))
    again.undo()
    assert again.position() is Position.UNDONE
    assert compare_redis(changed, server.content(0, 1)) == []
    gone = again.accept()
    assert sorted(line.partition(": ")[2] for line in gone) == [
        "the restored database 0, 4 keys", "the restored database 1, 1 keys"]
    assert set(server.content(*range(16))["databases"]) == {"0", "1"}


def test_only_the_databases_in_which_something_matches_are_used(server: Any, tmp_path: Path) -> None:
    fill(server)
    source = server.source()
    ours = server.restorer(tmp_path, keys=("session:9",))
    ours.stage(source)
    assert set(server.content(*range(16))["databases"]) == {"0", "1", "14", "15"}
    ours.discard()
    assert set(server.content(*range(16))["databases"]) == {"0", "1"}


def test_no_key_that_matches_is_refused(server: Any, tmp_path: Path) -> None:
    fill(server)
    with pytest.raises(RestoreRefused, match=r"no key matches sesion:\*"):
        server.restorer(tmp_path, keys=("sesion:*",)).stage(server.source())


def test_matching_keys_of_which_the_set_has_none_are_put_aside(server: Any, tmp_path: Path) -> None:
    server.run(("SET", "kept", 1))
    source = server.source()
    server.run(("SET", "session:1", "live"))
    ours = server.restorer(tmp_path, keys=("session:*",))
    ours.stage(source)
    ours.swap()
    assert server.run(("KEYS", "*")) == [[b"kept"]]
    ours.undo()
    assert server.run(("GET", "session:1")) == [b"live"]


def test_functions_stay_as_they_are(valkey: Any, tmp_path: Path) -> None:
    fill(valkey)
    source = valkey.source()
    valkey.run(("FUNCTION", "LOAD", "#!lua name=lib\nserver.register_function('f', function() return 1 end)"))
    for options in ({"databases": (1,)}, {"keys": ("session:*",)}):
        ours = valkey.restorer(tmp_path, **options)
        ours.stage(source)
        ours.swap()
        assert valkey.run(("FCALL", "f", 0)) == [1]
        ours.undo()
        ours.accept()
