"""Whether what is to be saved can be read: database, Redis, files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from nightscan_tasks.components.postgres import Connection, connect, explained, server_version, tool, where
from nightscan_tasks.doctor.finding import Check, Finding, fail, ok, warn
from nightscan_tasks.doctor.servers import Server, asked
from nightscan_tasks.system import System
from nightscan_tasks.wording import count, size

_UNREADABLE = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'S') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
  AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))
ORDER BY 1
"""


def database(system: System) -> Iterator[Finding]:
    """Whether it is reachable, and its role may read all of it."""
    dsn = system.settings.dsn
    with connect(dsn) as connection, explained(where(dsn)):
        tables = connection.execute(_UNREADABLE).fetchall()
        row = connection.execute("SELECT pg_database_size(current_database()), "
                                 "has_table_privilege('pg_authid', 'SELECT')").fetchone()
        size_bytes, roles = row or (0, False)
        found = f"PostgreSQL {server_version(connection)}, {where(dsn)}, {size(size_bytes)}"
        if tables:
            names = ", ".join(name for (name,) in tables[:3])
            yield fail("database", f"{found}; the role may not read {len(tables)} of its tables: {names} …",
                       f"as a superuser run docs/privileges/sql/dump_role.sql, again if it was before; or "
                       f"GRANT pg_read_all_data TO {connection.info.user};")
        else:
            yield ok("database", found + ("" if roles else "; roles are saved without passwords"))
        yield _pg_dump(connection)
        if system.settings.database_format == "directory":
            yield _spool(system, connection)


def redis(system: System) -> Iterator[Finding]:
    """Whether it is reachable, and gives its data as a replica gets it, or only key by key."""
    with asked(system.settings.redis, "REDIS_URL or REDIS_PASSWORD") as server:
        found = f"{server.version} at {server.place}, {server.keys} keys, {server.used_memory}"
        refusal = _refusal(server)
        if refusal:
            yield warn("redis", f"{found}; it gives no replica its data: {refusal}",
                       "it is saved key by key, which is slower and not of one moment; to permit it: "
                       f"ACL SETUSER {server.user} +psync +replconf")
        else:
            yield ok("redis", f"{found}; it can be read as a replica reads it")


def user_data(system: System) -> Iterator[Finding]:
    """Whether the folders of user data are there, and can be read."""
    root, names = system.settings.root, system.settings.user_data
    missing = [name for name in names if not (root / name).is_dir()]
    closed = [name for name in names if name not in missing and not _readable(root / name)]
    if not _readable(root):
        yield fail("user data", f"{root} is not a folder that uid {os.geteuid()} can read",
                   "set NIGHTSCAN_ROOT, or run as a user that may read it")
    elif closed:
        yield fail("user data", f"uid {os.geteuid()} cannot read {', '.join(closed)} in {root}",
                   "run as a user that may, or add it to their group")
    elif missing:
        yield warn("user data", f"{root} has no {', '.join(missing)}",
                   "if that is meant, list the others in NIGHTSCAN_USER_DATA")
    else:
        yield ok("user data", f"{', '.join(names)} in {root}")


def increments(system: System) -> Iterator[Finding]:
    """Whether what is saved of user data can be remembered, for the next daily set to have only changes."""
    state, days = system.settings.state, system.settings.full_interval_days
    above = next(path for path in (state, *state.parents) if path.exists())
    if not days:
        yield ok("increments", "none: each set has all user data in full")
    elif not above.is_dir() or not os.access(above, os.W_OK | os.X_OK, effective_ids=True):
        yield warn("increments", f"uid {os.geteuid()} cannot write to {above}: each daily set has all user "
                                 f"data in full",
                   "set NIGHTSCAN_STATE_DIR to a private folder of the user that backs up")
    else:
        yield ok("increments", f"between full sets every {count(days, 'day')}; remembered in {state}")


def system_config(system: System) -> Iterator[Finding]:
    """Whether the system's configuration is there, and can be read."""
    etc = system.settings.etc
    if not _readable(etc):
        yield fail("system config", f"{etc} cannot be read by uid {os.geteuid()}", "set NIGHTSCAN_ETC")
        return
    found = {pattern: list(etc.glob(pattern)) for pattern in system.settings.system_config}
    closed = [str(path) for paths in found.values() for path in paths if not os.access(path, os.R_OK)]
    empty = [pattern for pattern, paths in found.items() if not paths]
    if closed:
        yield fail("system config", f"uid {os.geteuid()} cannot read {', '.join(closed)}", "run as root, or "
                   "leave them out of NIGHTSCAN_SYSTEM_CONFIG")
    elif empty:
        yield warn("system config", f"nothing in {etc} is called {', '.join(empty)}",
                   "if that is meant, leave it out of NIGHTSCAN_SYSTEM_CONFIG")
    else:
        yield ok("system config", f"{sum(map(len, found.values()))} entries in {etc}")


def _pg_dump(connection: Connection) -> Finding:
    program = tool("pg_dump", connection)  # raises where it is missing, or older than the server
    return ok("pg_dump", f"{program}, {program.path}")


def _spool(system: System, connection: Connection) -> Finding:
    """Where a dump in directory format passes through: `SourceRefused` where it cannot."""
    from nightscan_tasks.components.database_directory import examine

    folder, jobs = system.settings.temp_dir, system.settings.database_jobs
    examine(folder, tool("pg_dump", connection))
    return ok("directory format", f"{jobs} connections; about 256 MiB of rows at most lie in plain below "
              f"{folder}, closed to others, until they are stored: of a tmpfs, or an encrypted disk, nobody "
              f"reads them later")


def _refusal(server: Server) -> str:
    """Why it would refuse to be read as a replica reads it; empty when it would not."""
    known = server.client.execute_command("COMMAND", "INFO", "psync")  # type: ignore[no-untyped-call]
    if not known or not any(known.values() if isinstance(known, dict) else known):
        return "the command PSYNC is disabled"
    answer = server.dry_run("PSYNC", "?", "-1")
    return "" if answer in {"OK", None} else str(answer)


def _readable(path: Path) -> bool:
    return path.is_dir() and os.access(path, os.R_OK | os.X_OK)


CHECKS = (Check("database", database), Check("redis", redis), Check("user data", user_data),
          Check("increments", increments), Check("system config", system_config))
