"""Putting a Redis back in one step, with a way back."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaos.proxy import standing
from nightscan_tasks.components.redis_fingerprint import compare_redis
from nightscan_tasks.components.restorer import Position
from nightscan_tasks.errors import RestoreRefused

FAR_MS = 4102444800123
LIBRARY = "#!lua name=lib\nserver.register_function('f', function() return 1 end)"
KINDS = ["rdb", "resp"]


def fill(server: Any) -> None:
    """Every type, several databases, odd bytes, times of expiry."""
    server.run(
        ("SET", "string", "é"), ("SET", b"\x00\xff\r\n key", os.urandom(100)), ("SET", "empty", ""),
        ("RPUSH", "list", *range(300)), ("SADD", "set", "b", "a", b"\xff"), ("SADD", "ints", 1, 2, 3),
        ("SADD", "wideset", *(f"member {number}" for number in range(2000))),
        ("HSET", "hash", "f", "v", b"\x00", b"\x01"), ("HSET", "wide", *range(2000)),
        ("ZADD", "zset", 1.5, "a", "-inf", "b", 3, "c"), ("PFADD", "hll", *range(50)),
        ("SETBIT", "bits", 1000, 1), ("XADD", "stream", "5-1", "k", "v"),
        ("XGROUP", "CREATE", "stream", "group", 0),
        ("XREADGROUP", "GROUP", "group", "worker", "COUNT", 1, "STREAMS", "stream", ">"),
        ("SET", "soon", "v"), ("PEXPIREAT", "soon", FAR_MS))
    server.run(("SET", "other", "db"), ("SET", "expiring", 1), ("PEXPIREAT", "expiring", FAR_MS + 1), db=9)
    if server.tool.version >= (7,):
        server.run(("FUNCTION", "LOAD", LIBRARY))
    if server.tool.version >= (9,):
        server.run(("HPEXPIREAT", "hash", FAR_MS, "FIELDS", 1, "f"))


def change(server: Any) -> None:
    server.run(("SET", "string", "changed"), ("DEL", "list"), ("SET", "new", 1), ("PERSIST", "soon"))
    server.run(("FLUSHDB",), ("SET", "late", 1), db=9)
    if server.tool.version >= (7,):
        server.run(("FUNCTION", "LOAD", LIBRARY.replace("lib", "other").replace("'f'", "'g'")))


@pytest.mark.parametrize("kind", KINDS)
def test_a_swap_is_exact_and_so_is_its_undoing(server: Any, kind: str, tmp_path: Path) -> None:
    fill(server)
    saved = server.content(0, 9)
    source = server.source(kind)
    change(server)
    changed = server.content(0, 9)
    ours = server.restorer(tmp_path)
    outlook = ours.examine(source)
    assert outlook.problems == ()
    assert "databases 0, 9 with 15 keys" in outlook.replaces
    assert ours.position() is Position.ABSENT
    ours.stage(source)
    assert ours.position() is Position.STAGED
    assert compare_redis(changed, server.content(0, 9)) == []
    again = server.restorer(tmp_path)
    swapped = again.swap()
    assert swapped.before
    assert "databases 14, 15 with 15 keys" in swapped.before
    assert again.swap() == swapped
    assert again.position() is Position.SWAPPED
    assert compare_redis(saved, server.content(0, 9)) == []
    again.undo()
    again.undo()
    assert again.position() is Position.UNDONE
    assert compare_redis(changed, server.content(0, 9)) == []
    assert len(again.accept()) == 2
    assert again.position() is Position.ABSENT
    assert set(server.content(*range(16))["databases"]) == {"0", "9"}
    assert list(tmp_path.iterdir()) == []


def test_accepting_lets_the_old_state_go(server: Any, tmp_path: Path) -> None:
    fill(server)
    source = server.source()
    ours = server.restorer(tmp_path)
    ours.stage(source)
    ours.swap()
    gone = ours.accept()
    assert "the old state of database 0, 14 keys" in gone[1]
    assert ours.accept() == ()
    with pytest.raises(RestoreRefused, match="nothing of run run is staged"):
        ours.swap()


def test_databases_that_the_set_lacks_stay_and_the_urls_own_becomes_empty_again(
    server: Any, tmp_path: Path,
) -> None:
    server.run(("SET", "a", 1), db=2)
    source = server.source()
    server.run(("SET", "new", 1))
    server.run(("SET", "foreign", 1), ("SET", "other", 2), db=5)
    ours = server.restorer(tmp_path)
    outlook = ours.examine(source)
    assert "databases 0, 2 with 2 keys" in outlook.replaces
    assert outlook.notes == ("left as they are, since the set does not have them: databases 5 (2 keys)",)
    assert ours.stage(source).notes == outlook.notes
    ours.swap()
    assert server.run(("DBSIZE",)) == [0]
    assert server.run(("GET", "a"), db=2) == [b"1"]
    assert server.run(("MGET", "foreign", "other"), db=5) == [[b"1", b"2"]]


def test_what_was_staged_can_be_thrown_away(server: Any, tmp_path: Path) -> None:
    fill(server)
    source = server.source()
    before = server.content(*range(16))
    for act in ("discard", "undo"):
        ours = server.restorer(tmp_path)
        ours.stage(source)
        getattr(server.restorer(tmp_path), act)()
        assert ours.position() is Position.ABSENT
        assert compare_redis(before, server.content(*range(16))) == []


def test_staging_again_replaces_what_was_staged(server: Any, tmp_path: Path) -> None:
    server.run(("SET", "a", 1))
    first = server.source()
    server.run(("SET", "a", 2))
    second = server.source()
    ours = server.restorer(tmp_path)
    for source in (first, second):
        fingerprint = ours.stage(source).fingerprint
    assert fingerprint["databases"] == {"0": {"keys": 1, "expires": 0}}
    server.run(("SET", "a", 3))
    ours.swap()
    assert server.run(("GET", "a")) == [b"2"]
    with pytest.raises(RestoreRefused, match="was swapped already"):
        ours.stage(first)
    ours.undo()
    assert server.run(("GET", "a")) == [b"3"]
    with pytest.raises(RestoreRefused, match="run run was undone"):
        ours.swap()


def test_two_runs_keep_apart(server: Any, tmp_path: Path) -> None:
    server.run(("SET", "a", "first"))
    source = server.source()
    server.run(("SET", "a", "second"))
    one, two = server.restorer(tmp_path, "one"), server.restorer(tmp_path, "two")
    one.stage(source)
    one.swap()
    server.run(("SET", "a", "third"))
    assert "restore one still keeps databases 15" in two.examine(source).notes[0]
    two.stage(source)
    two.swap()
    assert two.position() is one.position() is Position.SWAPPED
    two.undo()
    assert server.run(("GET", "a")) == [b"third"]
    two.accept()
    one.undo()
    assert server.run(("GET", "a")) == [b"second"]
    one.accept()
    assert set(server.content(*range(16))["databases"]) == {"0"}


def test_a_set_made_while_an_old_state_was_kept_is_restored_without_it(
    server: Any, tmp_path: Path,
) -> None:
    fill(server)
    first = server.restorer(tmp_path, "first")
    first.stage(server.source())
    first.swap()
    saved = server.content(0, 9)
    source = server.source()
    first.accept()
    change(server)
    ours = server.restorer(tmp_path)
    assert ours.examine(source).problems == ()
    notes = ours.stage(source).notes
    assert "left out: database 14 of the set, 2 keys that restore first kept" in notes[0]
    ours.swap()
    assert compare_redis(saved, server.content(0, 9)) == []
    ours.accept()
    assert set(server.content(*range(16))["databases"]) == {"0", "9"}


def test_keys_whose_time_passes_meanwhile_stay_away(server: Any, tmp_path: Path) -> None:
    server.run(("SET", "stays", 1), ("SET", "goes", 1, "PX", 60_000))
    source = server.source("resp")
    old = next(line for line in source.data.split(b"\r\n") if line.isdigit() and len(line) == 13)
    source = replace(source, data=source.data.replace(old, b"1000000000000"))
    ours = server.restorer(tmp_path)
    ours.stage(source)
    ours.swap()
    assert server.run(("EXISTS", "stays"), ("EXISTS", "goes")) == [1, 0]


def test_keys_of_several_megabytes_come_back(server: Any, tmp_path: Path) -> None:
    wide = [f"{number:0500}" for number in range(10_000)]
    server.run(("RPUSH", "list", *wide), ("SADD", "set", *wide),
               ("HSET", "hash", *(text for each in wide for text in (each, each[::-1]))),
               ("ZADD", "zset", *(text for number, each in enumerate(wide) for text in (number / 3, each))),
               ("SET", "string", b"\x00\xff" * 3_000_001), ("XADD", "stream", "5-1", "k", "v" * 5_000_000),
               ("PEXPIREAT", "list", FAR_MS), ("SADD", "small", "a"),
               *(("SET", f"page {number}", os.urandom(60_000)) for number in range(120)))
    if server.tool.version >= (9,):
        server.run(("HPEXPIREAT", "hash", FAR_MS, "FIELDS", 2, wide[0], wide[7000]))
    saved = server.content(0)
    source = server.source()
    server.run(("FLUSHALL",))
    ours = server.restorer(tmp_path)
    ours.stage(source)
    ours.swap()
    assert compare_redis(saved, server.content(0)) == []


def test_a_key_that_did_not_arrive_as_it_was_is_named(valkey: Any, tmp_path: Path) -> None:
    """Something on the way changes its bytes: noticed by us, where it is too large for the server's check."""
    valkey.run(("SET", "page", b"\x07" * 20_000_000))
    source = valkey.source()
    with standing(("127.0.0.1", valkey.port), sent=lambda data: data.replace(b"\x07", b"\x08")) as damaging:
        ours = valkey.restorer(tmp_path, port=damaging.address[1])
        with pytest.raises(RestoreRefused, match=r"1 keys came back .* such as 'page'; nothing live was"):
            ours.stage(source)
        assert ours.position() is Position.ABSENT


def test_a_set_of_an_old_redis_goes_into_valkey(both: dict[str, Any], tmp_path: Path) -> None:
    for each in both.values():
        each.empty()
    fill(both["redis"])
    saved = both["redis"].content(0, 9)["databases"]
    ours = both["valkey"].restorer(tmp_path)
    ours.stage(both["redis"].source())
    ours.swap()
    found = both["valkey"].content(0, 9)["databases"]
    assert {number: each["keys"] for number, each in saved.items()} == {
        number: each["keys"] for number, each in found.items()}


def test_an_empty_set_empties_what_is_the_applications(server: Any, tmp_path: Path) -> None:
    source = server.source()
    server.run(("SET", "new", 1))
    ours = server.restorer(tmp_path)
    ours.stage(source)
    ours.swap()
    assert server.run(("DBSIZE",)) == [0]
    ours.undo()
    assert server.run(("GET", "new")) == [b"1"]


def test_a_set_that_holds_less_than_was_counted_is_refused(server: Any, tmp_path: Path) -> None:
    fill(server)
    source = server.source()
    counted = source.report.fingerprint["databases"]
    counted["9"]["keys"] += 5
    ours = server.restorer(tmp_path)
    with pytest.raises(RestoreRefused, match="database 9: 7 keys expected, 2 found"):
        ours.stage(source)
    assert ours.position() is Position.ABSENT


def test_a_writer_in_a_staged_database_stops_the_swap(server: Any, tmp_path: Path) -> None:
    server.run(("SET", "a", 1))
    ours = server.restorer(tmp_path)
    ours.stage(server.source())
    server.run(("SET", "foreign", 1), db=15)
    with pytest.raises(RestoreRefused, match="somebody else wrote into database 15"):
        ours.swap()
    assert ours.position() is Position.STAGED


def test_a_restore_does_not_take_the_databases_that_others_are_connected_to(
    server: Any, tmp_path: Path,
) -> None:
    server.run(("SET", "a", 1))
    source = server.source()
    with contextlib.closing(server.client(db=15)) as other:
        other.ping()
        ours = server.restorer(tmp_path)
        ours.stage(source)
        assert other.dbsize() == 0
        assert "database 14" in ours.swap().before


def test_writes_go_on_until_the_swap_and_are_in_the_old_state(server: Any, tmp_path: Path) -> None:
    server.run(("SET", "a", 1))
    source = server.source()
    ours = server.restorer(tmp_path)
    ours.stage(source)
    server.run(("SET", "a", 2), ("SET", "b", 1))
    ours.swap()
    assert server.run(("MGET", "a", "b")) == [[b"1", None]]
    ours.undo()
    assert server.run(("MGET", "a", "b")) == [[b"2", b"1"]]
