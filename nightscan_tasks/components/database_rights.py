"""Which rights of a role reach beyond its own databases: the host of the server, and other roles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from nightscan_tasks.components.postgres import Connection

# Whoever may become one of these is one of them. Superusers may become everybody.
_MIGHTY = """
SELECT r.rolname FROM pg_roles r WHERE r.rolsuper OR starts_with(r.rolname::text, 'pg_') OR EXISTS (
    SELECT FROM pg_roles m
    WHERE (m.rolsuper OR m.rolname IN ('pg_execute_server_program', 'pg_read_server_files',
                                       'pg_write_server_files'))
      AND m.oid <> r.oid AND pg_has_role(r.oid, m.oid, 'MEMBER'))
"""
_MINE = ("SELECT rolname, rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user")
_LOADING = {"local_preload_libraries", "session_preload_libraries", "shared_preload_libraries",
            "jit_provider", "dynamic_library_path"}


@dataclass(frozen=True)
class Rights:
    """What the connected role may do beside what it owns."""

    role: str
    superuser: bool
    makes_roles: bool
    makes_databases: bool
    mighty: bool

    @property
    def harmless(self) -> bool:
        """Whether SQL of unknown origin may run with them: it reaches what the role owns, and no more."""
        return not (self.superuser or self.makes_roles or self.mighty)


def rights(connection: Connection) -> Rights:
    """Those of the connected role."""
    role, superuser, makes_roles, makes_databases = cast(
        "tuple[str, bool, bool, bool]", connection.execute(_MINE).fetchone())
    return Rights(role, superuser, makes_roles, makes_databases, role in mighty_roles(connection))


def mighty_roles(connection: Connection) -> frozenset[str]:
    """Superusers, who may become one, who may reach the server's files and programs, and its own roles."""
    return frozenset(name for (name,) in connection.execute(_MIGHTY))


def all_roles(connection: Connection) -> frozenset[str]:
    """Every role of the server."""
    return frozenset(name for (name,) in connection.execute("SELECT rolname FROM pg_roles"))


def may_set(connection: Connection, setting: str) -> bool:
    """Whether everybody may set it: so it gives nobody more rights. One that loads a library is none."""
    if setting in _LOADING:
        return False
    return connection.execute("SELECT FROM pg_settings WHERE name = lower(%s) AND context = 'user'",
                              (setting,)).fetchone() is not None
