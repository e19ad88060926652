"""The Redis: its RDB through replication, or key by key where the server forbids that.

An RDB is one moment of every database. Key by key is not: the report says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from nightscan_tasks.components.base import Dump, PlainStream, Shared
from nightscan_tasks.components.keys import END_MARK, command, read_keys, written
from nightscan_tasks.components.rdb import Replication, ReplicationForbidden, replicate
from nightscan_tasks.components.redis_server import (
    Client,
    Flavour,
    connect,
    connected,
    count_functions,
    explained,
    flavour,
    functions,
    info,
    keyspace,
    where,
)
from nightscan_tasks.errors import DumpIncomplete
from nightscan_tasks.model import Chunks, Json, Report
from nightscan_tasks.settings import Settings

# What saving calls itself, in either way; none of it adds or removes a key.
_OURS = {"acl", "auth", "client", "command", "config", "dump", "function", "hello", "info", "pexpiretime",
         "ping", "psync", "pttl", "replconf", "scan", "select", "sync", "time"}


@dataclass(frozen=True)
class Redis:
    """The component `redis`: `redis.rdb`, or `redis.resp` where replication is forbidden."""

    settings: Settings
    name: str = field(default="redis", init=False)

    def parts(self) -> tuple[str, ...]:
        """It is saved in one part."""
        return ("redis",)

    def predicted_bytes(self, part: str) -> int:
        """What its data takes in memory, in bytes; an RDB is mostly smaller."""
        del part
        with connected(self.settings.redis) as client:
            facts = info(client, "memory")
        return int(facts.get("used_memory_dataset") or facts.get("used_memory") or 0)

    @contextmanager
    def open(self, part: str, shared: Shared) -> Iterator[Dump]:
        """Reach the server, so that what refuses does so now."""
        del part, shared
        url = self.settings.redis
        with ExitStack() as stack:
            client = connect(url)
            stack.callback(client.close)
            with explained(url):
                client.ping()
                server = flavour(client)
            yield _RedisDump(url, client, stack, server)


@dataclass
class _RedisDump:
    """One opened dump."""

    url: SecretStr
    client: Client
    stack: ExitStack
    server: Flavour
    _before: Mapping[str, Json] = field(default_factory=dict)
    _after: Mapping[str, Json] | None = None
    _rdb: Replication | None = None
    _notes: tuple[str, ...] = ()
    _idle: bool = False

    def streams(self) -> Iterator[PlainStream]:
        """One stream; which one depends on what the server permits."""
        self._before, idle = self._counts(), self._activity()
        try:
            self._rdb = self.stack.enter_context(
                replicate(self.url, reads_version=self.server.dotted))
        except ReplicationForbidden as exc:
            self._notes = (f"saved key by key, not as of one moment: replication is forbidden: {exc}",)
            yield PlainStream("redis.resp", self._key_by_key())
        else:
            yield PlainStream("redis.rdb", self._rdb.chunks())
        self._after = self._counts()
        self._idle = bool(idle) and idle == self._activity()

    def report(self) -> Report:
        """Keys before and after; `exact` when they are the same, and nobody wrote in between.

        Equal numbers alone prove nothing: a key more and a key less, and the RDB lies between the two.
        """
        if self._after is None:
            raise DumpIncomplete(f"Redis at {where(self.url)}: its report was asked for before its end")
        is_exact = self._idle and self._before == self._after
        with explained(self.url):
            fingerprint: dict[str, Json] = {
                "databases": dict(self._before), "exact": is_exact,
                "functions": count_functions(self.client),
                "server": {"name": self.server.name, "version": self.server.dotted}}
            facts = self._facts()
        if not is_exact:
            fingerprint["databases_after"] = dict(self._after)
        return Report(fingerprint=fingerprint, versions={"redis": str(self.server)}, facts=facts,
                      notes=self._notes)

    def _facts(self) -> dict[str, Json]:
        facts: dict[str, Json] = {
            "address": where(self.url), "kind": "rdb" if self._rdb else "resp",
            "maxmemory_policy": _text(info(self.client, "memory").get("maxmemory_policy")),
            "appendonly": bool(info(self.client, "persistence").get("aof_enabled"))}
        return facts | ({"rdb_version": self._rdb.version} if self._rdb else {})

    def _counts(self) -> dict[str, Json]:
        with explained(self.url):
            found = keyspace(self.client, self.url)
        return {str(number): {"keys": keys, "expires": expires}
                for number, (keys, expires) in sorted(found.items())}

    def _activity(self) -> dict[str, Json]:
        """How often each command was called, but for those that are called here, and what expired."""
        with explained(self.url):
            calls = info(self.client, "commandstats")
            stats = info(self.client, "stats")
        if not calls:
            return {}  # the server does not tell
        others = {name: _text(value) for name, value in calls.items()
                  if name.removeprefix("cmdstat_").partition("|")[0] not in _OURS}
        return {**others, "expired": _text(stats.get("expired_keys")),
                "evicted": _text(stats.get("evicted_keys"))}

    def _key_by_key(self) -> Chunks:
        with explained(self.url):
            if (libraries := functions(self.client)) is not None:
                yield command(b"FUNCTION", b"RESTORE", libraries, b"REPLACE")
        for number in sorted(int(name) for name in self._before):
            with connected(self.url, database=number) as client:
                yield command(b"SELECT", number)
                yield from written(read_keys(client, version=self.server.version))
        yield command(b"PING", END_MARK)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
