"""Which task goes to which queue. Each queue can be consumed on a host of its own.

`fast` is for database hosts, `heavy` for file hosts and bandwidth, `restore` for where the private key
is; `control` decides and records, and one is enough.
"""

from __future__ import annotations

from kombu import Queue

FAST, HEAVY, RESTORE, CONTROL = (f"nightscan.{name}" for name in ("fast", "heavy", "restore", "control"))
NAMES = (FAST, HEAVY, RESTORE, CONTROL)
QUEUES = tuple(Queue(name, routing_key=name) for name in NAMES)

_FAST = ("dump_database", "dump_redis")
_HEAVY = ("archive_user_data", "archive_system_config", "archive_source_code", "upload", "verify", "scrub",
          "replicate")

ROUTES = {
    **{f"nightscan.{name}": {"queue": FAST} for name in _FAST},
    **{f"nightscan.{name}": {"queue": HEAVY} for name in _HEAVY},
    "nightscan.restore_*": {"queue": RESTORE},
    "nightscan.drill": {"queue": RESTORE},
    "nightscan.*": {"queue": CONTROL},
}
