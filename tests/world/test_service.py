from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import redis

from nightscan_tasks.errors import WorldError
from nightscan_tasks.world import service
from nightscan_tasks.world.postgres import Postgres
from nightscan_tasks.world.redis_server import RedisServer
from nightscan_tasks.world.s3 import S3Server
from nightscan_tasks.world.service import HOST, Ports, Record, Service

ENV = {"PATH": os.defpath}


@dataclass
class Memory:
    """What was remembered, in order."""

    records: list[Record]

    def remember(self, record: Record) -> None:
        self.records.append(record)


@pytest.fixture
def memory() -> Iterator[Memory]:
    memory = Memory([])
    yield memory
    for record in memory.records:
        service.stop(record)


@pytest.fixture
def server(tmp_path: Path) -> RedisServer:
    return RedisServer("cache", tmp_path / "cache", "secret")


def _up(server: Service, memory: Memory) -> Record:
    record = service.start(server, env=ENV, remember=memory.remember)
    return service.answered(server, record, env=ENV, remember=memory.remember)


def test_a_service_is_remembered_before_and_after_its_start(server: RedisServer,
                                                            memory: Memory) -> None:
    record = _up(server, memory)
    assert [bool(known.identity) for known in memory.records] == [False, True]
    assert record.up
    # Known without its identity too, as after a crash in between.
    assert memory.records[0].process == record.identity


KINDS: dict[str, Callable[[Path], Service]] = {
    "redis": lambda folder: RedisServer("cache", folder, "secret"),
    "s3": lambda folder: S3Server(folder, "access", "secret"),
    "postgres": lambda folder: Postgres(folder, "secret", "secret"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_whose_port_was_taken_meanwhile_is_started_on_another(
        kind: str, memory: Memory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = KINDS[kind](tmp_path / "home")
    with socket.socket() as thief:
        thief.bind((HOST, 0))
        thief.listen()
        stolen = {server.port_names[0]: thief.getsockname()[1]}
        free, asked = service._ports, []

        def ports(names: tuple[str, ...], wanted: Ports) -> dict[str, int]:
            asked.append(names)
            return free(names, wanted) | (stolen if len(asked) == 1 else {})

        monkeypatch.setattr(service, "_ports", ports)
        record = _up(server, memory)
    assert record.ports[server.port_names[0]] not in stolen.values()
    server.check(record.ports)


def test_a_port_is_used_again_when_it_is_free_and_left_to_others_when_not(
        server: RedisServer, memory: Memory) -> None:
    first = _up(server, memory)
    service.stop(first)
    again = service.start(server, env=ENV, remember=memory.remember, before=first)
    assert again.ports == first.ports
    service.stop(again)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((HOST, first.ports["redis"]))
        other.listen()
        assert service.start(server, env=ENV, remember=memory.remember,
                             before=first).ports != first.ports


def test_what_does_not_start_is_named_with_the_end_of_its_output(
        tmp_path: Path, memory: Memory) -> None:
    @dataclass(frozen=True)
    class Broken(RedisServer):
        def argv(self, ports: Ports) -> list[str]:
            return [*super().argv(ports), "--no-such-option", "1"]

    broken = Broken("cache", tmp_path / "cache", "secret")
    record = service.start(broken, env=ENV, remember=memory.remember)
    with pytest.raises(WorldError, match=r"(?s)cache did not start: .*no-such-option"):
        service.answered(broken, record, env=ENV, remember=memory.remember)


def test_somebody_elses_server_does_not_pass_for_ours(server: RedisServer, memory: Memory) -> None:
    record = _up(server, memory)
    with pytest.raises(service.NotReady, match="password"):
        replace(server, password="another").check(record.ports)


def test_the_broker_loses_nothing_and_the_password_is_in_no_argument(
        tmp_path: Path, memory: Memory) -> None:
    broker = RedisServer("broker", tmp_path / "broker", "secret", broker=True)
    record = _up(broker, memory)
    assert not any("secret" in word for word in broker.argv(record.ports))
    assert (tmp_path / "broker/redis.conf").stat().st_mode & 0o077 == 0
    with redis.Redis.from_url(broker.url(record.ports)) as client:
        config = client.config_get("*")
        assert (config["appendonly"], config["maxmemory-policy"]) == ("yes", "noeviction")
        assert config["repl-diskless-sync-delay"] == "0"
        client.set("message", "kept")
        client.waitaof(1, 0, 5000)
    if record.identity:
        os.kill(record.identity.pid, 9)
    service.stop(record)
    record = _up(broker, memory)
    with redis.Redis.from_url(broker.url(record.ports)) as client:
        assert client.get("message") == b"kept"
