"""The keys that Celery keeps in a Redis: queues, what workers have taken, results.

Putting an old queue over a running one would lose tasks, or run them twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from nightscan_tasks.components.redis_server import Client

_BINDINGS = b"_kombu.binding.*"
_SEPARATOR = b"\x06\x16"  # between routing key, pattern and queue; and before a queue's priority
_PATTERN = re.compile(rb"_kombu\.|celery-task-meta-|celery-taskset-meta-|unacked|chord-unlock-")


@dataclass(frozen=True)
class CeleryKeys:
    """What belongs to Celery in one live database."""

    queues: frozenset[bytes]
    present: frozenset[bytes]

    @classmethod
    def of(cls, client: Client) -> Self:
        """Find them: bindings name their queues; queues, and what fits Celery's own names."""
        queues = set()
        for binding in client.scan_iter(match=_BINDINGS, _type="set", count=500):
            queues |= {bytes(member).rpartition(_SEPARATOR)[2] for member in client.smembers(binding)}
        present = {bytes(name) for name in client.scan_iter(count=500)
                   if _fits(bytes(name), queues)}
        return cls(frozenset(queues), frozenset(present))

    def own(self, name: bytes) -> bool:
        """Whether the key is Celery's, and there."""
        return name in self.present


def _fits(name: bytes, queues: set[bytes]) -> bool:
    return bool(_PATTERN.match(name)) or name.partition(_SEPARATOR)[0] in queues
