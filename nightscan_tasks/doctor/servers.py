"""A Redis that is asked about itself, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis
from pydantic import SecretStr

from nightscan_tasks.errors import SourceRefused, SourceUnavailable
from nightscan_tasks.settings import without_secret

_ANSWER_SECONDS = 5


@dataclass(frozen=True)
class Server:
    """What a Redis says of itself."""

    client: redis.Redis
    place: str
    info: Mapping[str, Any]

    @property
    def version(self) -> str:
        """`Valkey 9.1.0`, `Redis 7.0.15`."""
        if "valkey_version" in self.info:
            return f"Valkey {self.info['valkey_version']}"
        return f"Redis {self.info.get('redis_version', 'of unknown version')}"

    @property
    def run_id(self) -> str:
        """Names this very process of a server, whatever address it is reached by."""
        return str(self.info.get("run_id", ""))

    @property
    def used_memory(self) -> str:
        """As the server writes it."""
        return str(self.info.get("used_memory_human", "size unknown"))

    @property
    def keys(self) -> int:
        """In all databases."""
        return sum(each["keys"] for name, each in self.info.items()
                   if name.startswith("db") and isinstance(each, dict) and "keys" in each)

    @property
    def user(self) -> str:
        """Who we are to it."""
        try:
            return str(_text(self.client.acl_whoami()))
        except redis.ResponseError:
            return "default"

    def now(self) -> datetime:
        """Its clock."""
        seconds, micros = self.client.time()
        return datetime.fromtimestamp(seconds + micros / 1e6, UTC)

    def dry_run(self, *command: str) -> str | None:
        """What it would say to a command, without doing it; None where it cannot tell (before 7.0)."""
        try:
            return str(_text(self.client.acl_dryrun(self.user, *command)))
        except redis.ResponseError:
            return None


@contextmanager
def asked(url: SecretStr, setting: str) -> Iterator[Server]:
    """A Redis that answered; `SourceUnavailable` or `SourceRefused`, which names `setting`, if not."""
    place = without_secret(url.get_secret_value())
    client = redis.Redis.from_url(url.get_secret_value(), socket_timeout=_ANSWER_SECONDS,
                                  socket_connect_timeout=_ANSWER_SECONDS)
    try:
        yield Server(client, place, client.info())
    except (redis.AuthenticationError, redis.ResponseError) as exc:
        raise SourceRefused(f"{place}: {exc}; check {setting}") from exc
    except (redis.RedisError, OSError) as exc:
        raise SourceUnavailable(f"{place}: {exc}; start it, or correct {setting}") from exc
    finally:
        client.close()


def _text(answer: object) -> object:
    return answer.decode() if isinstance(answer, bytes) else answer
