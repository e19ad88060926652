"""Whether the servers of the application answer, and take what is written to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nightscan_tasks.components.postgres import connect, explained, server_version, where
from nightscan_tasks.doctor.finding import Finding, fail, ok, warn
from nightscan_tasks.doctor.servers import asked
from nightscan_tasks.system import System
from nightscan_tasks.wording import size

_WRITABLE = """
SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on',
       pg_database_size(current_database())
"""


def database(system: System) -> Iterator[Finding]:
    """Whether it answers, and can be written: neither a standby nor read-only."""
    dsn = system.settings.dsn
    with connect(dsn) as connection, explained(where(dsn)):
        standby, read_only, size_bytes = connection.execute(_WRITABLE).fetchone() or (False, False, 0)
        found = f"PostgreSQL {server_version(connection)}, {where(dsn)}, {size(size_bytes)}"
    if standby:
        yield fail("database", f"{found}; it is a standby, which takes no writes",
                   "set NIGHTSCAN_DATABASE_URI to the primary server, or promote this one")
    elif read_only:
        yield fail("database", f"{found}; it is read-only",
                   "ALTER DATABASE … RESET default_transaction_read_only, or the same for the role")
    else:
        yield ok("database", found)


def redis(system: System) -> Iterator[Finding]:
    """Whether it answers, has loaded its data, takes writes, and could save last time it tried."""
    with asked(system.settings.redis, "REDIS_URL or REDIS_PASSWORD") as server:
        found = f"{server.version} at {server.place}, {server.keys} keys, {server.used_memory}"
        if server.info.get("loading"):
            yield fail("redis", f"{found}; it is still loading its data", "wait until it has")
        elif _read_only(server.info):
            yield fail("redis", f"{found}; it is a replica, which takes no writes",
                       "set REDIS_URL to its master, or make it one: REPLICAOF NO ONE")
        elif problems := _unsaved(server.info):
            yield warn("redis", f"{found}; {', '.join(problems)}",
                       "look at its log and the room on its disk; BGSAVE tries again")
        else:
            yield ok("redis", found)


def _read_only(info: Mapping[str, Any]) -> bool:
    return info.get("role") == "slave" and bool(info.get("slave_read_only", 1))


def _unsaved(info: Mapping[str, Any]) -> list[str]:
    kinds = {"rdb_last_bgsave_status": "its last save to disk failed"}
    if info.get("aof_enabled"):
        kinds |= {"aof_last_write_status": "its last write to the append-only file failed",
                  "aof_last_bgrewrite_status": "its last rewrite of the append-only file failed"}
    return [said for key, said in kinds.items() if info.get(key, "ok") != "ok"]
