"""The demo's comparison notices every kind of change, and nothing that has not changed."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta

import click
import psycopg
import pytest
import redis
from click.testing import CliRunner

from nightscan_tasks.cli.demo.command import conclude
from nightscan_tasks.cli.demo.live_files import left_out
from nightscan_tasks.cli.demo.play import Live, look, prove
from nightscan_tasks.cli.demo.proof import Proof, Thing, compare, lines
from nightscan_tasks.cli.session import Session
from nightscan_tasks.world.world import World

Change = Callable[[World], AbstractContextManager[str]]
NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)


@contextmanager
def one_row(world: World) -> Iterator[str]:
    """One value of one row; the count stays."""
    with psycopg.connect(world.dsn(), autocommit=True) as connection:
        before = connection.execute("SELECT id, confidence FROM detection ORDER BY id LIMIT 1").fetchone()
        assert before
        connection.execute("UPDATE detection SET confidence = 0.0001 WHERE id = %s", (before[0],))
        yield "database public.detection: content changed"
        connection.execute("UPDATE detection SET confidence = %s WHERE id = %s", (before[1], before[0]))


@contextmanager
def one_ttl(world: World) -> Iterator[str]:
    """When one key expires."""
    with redis.Redis.from_url(world.environ()["REDIS_URL"]) as client:
        key = next(key for key in client.scan_iter("prediction:*"))
        before = client.pexpiretime(key)
        client.pexpireat(key, before + 60_000)
        yield f"redis db0 {key!r}: expires_ms changed"
        client.pexpireat(key, before)


@contextmanager
def one_element(world: World) -> Iterator[str]:
    """One element of a large list."""
    with redis.Redis.from_url(world.environ()["REDIS_URL"]) as client:
        before = client.lindex("queue:thumbnails", 300)
        client.lset("queue:thumbnails", 300, "other")
        yield "redis db0 b'queue:thumbnails': value changed"
        client.lset("queue:thumbnails", 300, before)


@contextmanager
def one_mode(world: World) -> Iterator[str]:
    """The mode of one file."""
    path = min(world.trees.root.glob("models/*"))
    mode = path.stat().st_mode
    path.chmod(0o777)
    yield f"user_data models/{path.name}: mode changed"
    path.chmod(mode)


@contextmanager
def one_byte(world: World) -> Iterator[str]:
    """One byte of one file; its length and mtime stay."""
    path = min(path for path in world.trees.root.glob("models/*") if path.is_file())
    found, content = path.stat(), path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    yield f"user_data models/{path.name}: content changed"
    path.write_bytes(content)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize("change", [one_row, one_ttl, one_element, one_mode, one_byte])
def test_a_change_is_noticed_and_named(world_services: World, change: Change) -> None:
    before = look(world_services)
    with change(world_services) as expected:
        changed = prove(world_services, before)
    assert not changed.equal
    assert changed.differences == (expected,)
    assert f"DIFFERENT: {expected}" in list(lines(changed))
    undone = prove(world_services, before)
    assert undone.equal, undone.differences


def conclusion(found: Proof) -> int:
    """The exit status that the demo ends with."""
    @click.command
    def command() -> None:
        conclude(Session(as_json=True), Live({}, {}, {}), found, elapsed_seconds=1)

    return CliRunner().invoke(command).exit_code


def test_the_demo_ends_with_status_1_when_anything_differs_or_nothing_was_compared() -> None:
    was, now = {"a": Thing("g", {"rows": 1})}, {"a": Thing("g", {"rows": 2})}
    assert conclusion(compare("database", was, was)) == 0
    assert conclusion(compare("database", was, now)) == 1
    assert conclusion(compare("database", was, {})) == 1
    assert conclusion(compare("database", {}, now)) == 1
    assert conclusion(Proof()) == 1


def test_what_had_to_be_gone_is_excused_only_when_it_is_gone() -> None:
    was = {"key": Thing("db0", {"value": "x"})}
    assert compare("redis", was, {}, excuse=lambda _name, _thing: "expired").excused == {"expired": 1}
    now = {"key": Thing("db0", {"value": "y"})}
    changed = compare("redis", was, now, excuse=lambda _name, _thing: "expired")
    assert changed.differences == ("redis key: value changed",)


@pytest.mark.parametrize(("name", "days", "expected"), [
    ("logs/app.log", 8, True), ("logs/app.log", 6, False), ("uploads/a.wav", 400, False),
    ("uploads/a.wav.tmp", 0, True), ("logs/app.log.gz", 0, True), ("uploads/cache/a.jpg", 0, True),
    ("uploads/cached.jpg", 0, False)])
def test_only_what_the_guide_leaves_out_is_excused(name: str, days: int, *, expected: bool) -> None:
    mtime_ns = int((NOW - timedelta(days=days)).timestamp() * 1e9)
    thing = Thing("logs", {"kind": "file", "mtime_ns": mtime_ns})
    assert left_out(name, thing, now=NOW) is expected
