"""Reaching a Redis or Valkey, and what it says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import redis
from pydantic import SecretStr
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from nightscan_tasks.errors import NightscanError, SourceRefused, SourceUnavailable
from nightscan_tasks.settings import without_secret

Client: TypeAlias = Any  # redis-py's own types do not tell bytes from text, nor sync from async

_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 120
_MOST_DATABASES = 1024
_LATER = ("LOADING", "MASTERDOWN", "NOMASTERLINK", "BUSY", "TRYAGAIN", "CLUSTERDOWN",
          "max number of clients")
_REFUSING = ("NOPERM", "unknown command", "unknown subcommand", "not allowed", "no permissions",
             "this user has no", "disabled")
# The RDB version that each wrote first; from version 80 on Valkey goes its own way.
_RDB_VERSIONS = {
    "redis": (((5, 0), 9), ((7, 0), 10), ((7, 2), 11), ((7, 4), 12), ((8, 2), 79)),
    "valkey": (((7, 2), 11), ((9, 0), 80)),
}
_VALKEYS_OWN = 80
_LAST_IN_COMMON = 11


@dataclass(frozen=True)
class Flavour:
    """Which server it is, and so which RDB and DUMP versions it writes and reads."""

    name: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dotted}"

    @property
    def dotted(self) -> str:
        """The version as people write it."""
        return ".".join(map(str, self.version))

    @property
    def rdb_version(self) -> int:
        """The version it writes, in an RDB and in each DUMP."""
        return max((rdb for since, rdb in _RDB_VERSIONS[self.name] if self.version >= since),
                   default=8)

    def reads(self, rdb_version: int) -> bool:
        """Whether it loads an RDB, or a DUMP, of that version."""
        if self.rdb_version == _VALKEYS_OWN:
            return rdb_version <= _LAST_IN_COMMON or rdb_version == _VALKEYS_OWN
        return rdb_version <= self.rdb_version


def connect(url: SecretStr, *, database: int | None = None) -> Client:
    """A client of one database, that of the URL unless another is named. Close it after use."""
    try:
        client = redis.Redis.from_url(
            url.get_secret_value(), socket_connect_timeout=_CONNECT_SECONDS, protocol=2,
            socket_timeout=_ANSWER_SECONDS, health_check_interval=0,
            retry=Retry(NoBackoff(), 0))  # the task is tried again, which costs no waiting worker
    except ValueError:
        raise SourceRefused("REDIS_URL cannot be read as a URL: write odd characters of the password "
                            "as %XX") from None
    if database is not None:
        client.connection_pool.connection_kwargs["db"] = database
    return client


@contextmanager
def connected(url: SecretStr, *, database: int | None = None) -> Iterator[Client]:
    """A client that is closed in the end, and whose errors say where they are from."""
    client = connect(url, database=database)
    try:
        with explained(url):
            yield client
    finally:
        client.close()


@contextmanager
def explained(url: SecretStr) -> Iterator[None]:
    """What redis-py raises, as an error that names the server and whether to try again."""
    try:
        yield
    except (exceptions.RedisError, OSError) as exc:
        raise explain(exc, url) from exc


def explain(error: Exception, url: SecretStr) -> NightscanError:
    """The error that a server's words, or its silence, stand for."""
    place = f"Redis at {where(url)}"
    if isinstance(error, exceptions.AuthenticationError):
        return SourceRefused(f"{place}: {error}; check REDIS_PASSWORD, or the user and password in "
                             f"REDIS_URL")
    if isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError, OSError)):
        return SourceUnavailable(f"{place}: {error}")
    if any(word in str(error) for word in _LATER):
        return SourceUnavailable(f"{place}: {error}")
    return SourceRefused(f"{place}: {error}")


def where(url: SecretStr) -> str:
    """Host and port, or the socket; never user or password."""
    return without_secret(url.get_secret_value()).partition("://")[2].partition("?")[0]


def server_at(url: SecretStr) -> str:
    """The server for people, whichever database the URL names: `Redis at localhost:6379`."""
    place = where(url)
    return f"Redis at {place if place.startswith('/') else place.partition('/')[0]}"


def is_refusal(error: Exception) -> bool:
    """Whether a command is forbidden or missing here, rather than failed."""
    return isinstance(error, exceptions.ResponseError) and any(
        word.lower() in str(error).lower() for word in _REFUSING)


def info(client: Client, section: str) -> Mapping[str, Any]:
    """One section of INFO; empty where the server does not tell."""
    try:
        return dict(client.info(section))
    except exceptions.ResponseError as exc:
        if is_refusal(exc):
            return {}
        raise


def flavour(client: Client) -> Flavour:
    """Redis or Valkey, and its version; the oldest Redis where it does not tell."""
    facts = info(client, "server")
    is_valkey = facts.get("server_name") == "valkey" or "valkey_version" in facts
    version = facts.get("valkey_version" if is_valkey else "redis_version") or "0"
    return Flavour("valkey" if is_valkey else "redis",
                   tuple(int(part) for part in str(version).split(".") if part.isdigit()))


def keyspace(client: Client, url: SecretStr) -> dict[int, tuple[int, int | None]]:
    """By database that has keys: how many, and how many of them expire (None if it does not tell)."""
    try:
        found = client.info("keyspace")
    except exceptions.ResponseError as exc:
        if not is_refusal(exc):
            raise
        return {number: (keys, None) for number, keys in _probe(url) if keys}
    return {int(name.removeprefix("db")): (int(facts["keys"]), int(facts["expires"]))
            for name, facts in found.items()}


def _probe(url: SecretStr) -> Iterator[tuple[int, int]]:
    """Each database there is, asked one by one, until the server has no more."""
    for number in range(_MOST_DATABASES):
        client = connect(url, database=number)
        try:
            yield number, int(client.dbsize())
        except exceptions.ResponseError:
            return
        finally:
            client.close()


def functions(client: Client) -> bytes | None:
    """All function libraries as `FUNCTION DUMP` gives them; None where there are none or cannot be."""
    try:
        if not client.execute_command("FUNCTION", "LIST"):
            return None
        return bytes(client.execute_command("FUNCTION", "DUMP"))
    except exceptions.ResponseError as exc:
        if is_refusal(exc):
            return None
        raise


def count_functions(client: Client) -> int:
    """How many function libraries there are."""
    try:
        return len(client.execute_command("FUNCTION", "LIST"))
    except exceptions.ResponseError as exc:
        if is_refusal(exc):
            return 0
        raise
