"""Which task goes to which queue. Each queue can be consumed on a host of its own.

`fast` is for database hosts, `heavy` for file hosts and bandwidth, `restore` for where the private key
is; `control` decides and records, and one is enough. What proves that the live state is in order goes to
`restore` too: only where sets are put back are database, Redis, files and key all within reach.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from kombu import Queue

FAST, HEAVY, RESTORE, CONTROL = (f"nightscan.{name}" for name in ("fast", "heavy", "restore", "control"))
NAMES = (FAST, HEAVY, RESTORE, CONTROL)
QUEUES = tuple(Queue(name, routing_key=name) for name in NAMES)

_FAST = ("dump_database", "dump_redis")
_HEAVY = ("archive_user_data", "archive_system_config", "archive_source_code", "upload", "verify", "scrub",
          "replicate")
_RESTORE = ("drill", "health_check", "reap_restores", "reconcile_user_data", "validate_user_data")

ROUTES = {
    **{f"nightscan.{name}": {"queue": FAST} for name in _FAST},
    **{f"nightscan.{name}": {"queue": HEAVY} for name in _HEAVY},
    "nightscan.restore_*": {"queue": RESTORE},
    **{f"nightscan.{name}": {"queue": RESTORE} for name in _RESTORE},
    "nightscan.*": {"queue": CONTROL},
}


def queue_of(task: str) -> str:
    """The queue that a task goes to."""
    return next((route["queue"] for pattern, route in ROUTES.items() if fnmatchcase(task, pattern)), CONTROL)


def unacknowledged(queues: Iterable[str]) -> dict[str, str]:
    """Transport options that give the workers of these queues keys of their own for what they were handed.

    Kombu keeps what was handed out and not acknowledged in one hash for all, from where it goes back to its
    queue: whoever may write that hash could plant a message for any queue.
    """
    group = "+".join(sorted(queue.rpartition(".")[2] for queue in queues))
    return {f"{key}_key": f"{key}.{group}" for key in ("unacked", "unacked_index", "unacked_mutex")}
