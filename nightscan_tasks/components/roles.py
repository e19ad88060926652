"""The roles that a database's objects belong to: saved beside it, and put back where they are missing.

Roles belong to a whole server, not to one database. A role that exists is never changed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import psycopg
from pydantic import SecretStr

from nightscan_tasks import process
from nightscan_tasks.components.postgres import Connection, environment, explain, tool, where
from nightscan_tasks.errors import DumpIncomplete, ProcessFailed, RestoreRefused

_END_MARK = b"-- PostgreSQL database cluster dump complete"
_STATEMENT = re.compile(
    r"""(?>--[^\n]*\n|\\(?:un)?restrict[^\n]*\n|[^;'"]|'(?:[^']|'')*'|"(?:[^"]|"")*")*+;\n""")
_NOISE = re.compile(r"^(?:\s*(?:--|\\(?:un)?restrict\b)[^\n]*\n|\s*\n)+")
_NAME = r'("(?:[^"]|"")*"|[^\s;"]+)'
_CREATED = re.compile(rf"CREATE ROLE {_NAME}")
_ALTERED = re.compile(rf"(?:ALTER|COMMENT ON) ROLE {_NAME}")
_GRANTED = re.compile(rf"GRANT {_NAME} TO {_NAME}")
_GRANTED_BY = re.compile(rf" GRANTED BY {_NAME}")


@dataclass(frozen=True)
class Roles:
    """The SQL of every role, or None where the server does not show them; and what to know of it."""

    sql: bytes | None
    notes: tuple[str, ...] = ()


def dump_roles(dsn: SecretStr, connection: Connection) -> Roles:
    """All roles of the server: with their passwords for a superuser, without for anybody else."""
    superuser = _is_superuser(connection)
    argv = [str(tool("pg_dumpall", connection).path), "--roles-only", "--no-password",
            f"--database={connection.info.dbname}"]
    try:
        text = process.run([*argv, *([] if superuser else ["--no-role-passwords"])],
                           env=environment(dsn, connection))
    except ProcessFailed as exc:
        if "permission denied" not in str(exc):
            raise explain(str(exc), where(dsn)) from exc
        return Roles(None, (f"roles are not saved: {exc}",))
    if _END_MARK not in text:
        raise DumpIncomplete(f"{where(dsn)}: the roles' dump has no end mark; pg_dumpall wrote "
                             f"{len(text)} bytes")
    if superuser:
        return Roles(text)
    note = f"roles are saved without their passwords: {connection.info.user} is no superuser"
    return Roles(text, (note,))


def require_roles(connection: Connection, needed: Collection[str], text: str) -> list[str]:
    """Of the needed roles those that are missing; `RestoreRefused` where they cannot be made.

    `text` is the roles' dump, empty where there is none.
    """
    missing = sorted(set(needed) - _existing(connection))
    unknown = [role for role in missing if role not in _defined(text)]
    if unknown:
        raise RestoreRefused(f"the dump belongs to roles that the server lacks, and no saved roles "
                             f"have them: create them first: {_creating(unknown)}")
    if missing and not _may_create(connection):
        raise RestoreRefused(f"the server lacks roles that the dump belongs to, and "
                             f"{connection.info.user} may not create them: let a superuser run "
                             f"{_creating(missing)}")
    return missing


def create_roles(connection: Connection, missing: Collection[str], text: str) -> tuple[str, ...]:
    """Create the missing roles as they were saved; what could not be given to them, as notes."""
    notes = []
    with connection.transaction():
        for statement in _statements(text):
            wanted = _CREATED.match(statement)
            if wanted and _unquoted(wanted[1]) in missing:
                connection.execute(statement.encode())
        for statement in _statements(text):
            if _belongs(statement, missing):
                notes += _try(connection, _GRANTED_BY.sub("", statement))
    return tuple(notes)


def _try(connection: Connection, statement: str) -> list[str]:
    """One statement on its own: a membership in a role that is not here does not spoil the rest."""
    try:
        with connection.transaction():
            connection.execute(statement.encode())
    except psycopg.Error as exc:
        kind = " ".join(statement.split()[:4])
        return [f"not done: {kind} …: {str(exc).strip().splitlines()[0]}"]
    return []


def _belongs(statement: str, missing: Collection[str]) -> bool:
    altered, granted = _ALTERED.match(statement), _GRANTED.match(statement)
    names = [altered[1]] if altered else [granted[1], granted[2]] if granted else []
    return any(_unquoted(name) in missing for name in names)


def _statements(text: str) -> Iterator[str]:
    """The statements of a roles' dump; psql's own commands, comments and settings left out."""
    for match in _STATEMENT.finditer(text):
        statement = _NOISE.sub("", match[0]).strip()
        if statement:
            yield statement


def _defined(text: str) -> set[str]:
    return {_unquoted(match[1]) for match in map(_CREATED.match, _statements(text)) if match}


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _existing(connection: Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT rolname FROM pg_catalog.pg_roles")}


def _is_superuser(connection: Connection) -> bool:
    return bool(_ask(connection, "rolsuper"))


def _may_create(connection: Connection) -> bool:
    return bool(_ask(connection, "rolsuper OR rolcreaterole"))


def _ask(connection: Connection, what: str) -> bool:
    query = f"SELECT {what} FROM pg_catalog.pg_roles WHERE rolname = current_user"  # noqa: S608 - ours
    row = connection.execute(query.encode()).fetchone()
    return bool(row and row[0])


def _creating(roles: Collection[str]) -> str:
    quoted = (role.replace('"', '""') for role in roles)
    return "`" + " ".join(f'CREATE ROLE "{role}";' for role in quoted) + "`"
