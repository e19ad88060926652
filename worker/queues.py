"""Which task goes to which queue. Each queue can be consumed on a host of its own.

`fast` is for database hosts, `heavy` for file hosts and bandwidth, `restore` for where the private key
is; `control` decides and records, and one is enough. What proves that the live state is in order goes to
`restore` too: only where sets are put back are database, Redis, files and key all within reach.
"""

from __future__ import annotations

from kombu import Queue

FAST, HEAVY, RESTORE, CONTROL = (f"nightscan.{name}" for name in ("fast", "heavy", "restore", "control"))
NAMES = (FAST, HEAVY, RESTORE, CONTROL)
QUEUES = tuple(Queue(name, routing_key=name) for name in NAMES)

_FAST = ("dump_database", "dump_redis")
_HEAVY = ("archive_user_data", "archive_system_config", "archive_source_code", "upload", "verify", "scrub",
          "replicate")
_RESTORE = ("drill", "health_check", "reconcile_user_data", "validate_user_data")

ROUTES = {
    **{f"nightscan.{name}": {"queue": FAST} for name in _FAST},
    **{f"nightscan.{name}": {"queue": HEAVY} for name in _HEAVY},
    "nightscan.restore_*": {"queue": RESTORE},
    **{f"nightscan.{name}": {"queue": RESTORE} for name in _RESTORE},
    "nightscan.*": {"queue": CONTROL},
}
