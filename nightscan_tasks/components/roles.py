"""The roles that a database's objects belong to: saved beside it, and put back where they are missing.

Roles belong to a whole server, not to one database. A role that exists is never changed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import psycopg
from psycopg import sql
from pydantic import SecretStr

from nightscan_tasks import process
from nightscan_tasks.components.database_rights import may_set
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
_LITERAL = r"'(?:[^'\\]|'')*'"
_WORD = rf"(?:[A-Z]+|-?\d+|{_LITERAL})"
_ATTRIBUTES = re.compile(rf"ALTER ROLE {_NAME} WITH ({_WORD}(?: {_WORD})*);")
_ATTRIBUTE = re.compile(rf"CONNECTION LIMIT -?\d+|PASSWORD {_LITERAL}|VALID UNTIL {_LITERAL}|[A-Z]+")
_HARMLESS = {"LOGIN", "NOLOGIN", "INHERIT", "NOINHERIT", "CREATEDB", "NOCREATEDB", "CONNECTION", "PASSWORD",
             "VALID"}
_REFUSED = {"SUPERUSER", "CREATEROLE", "REPLICATION", "BYPASSRLS"}
_SET = re.compile(rf"ALTER ROLE {_NAME} SET ([a-z_.]+|\"[A-Za-z_.]+\") TO {_LITERAL}(?:, {_LITERAL})*;")
_COMMENTED = re.compile(rf"COMMENT ON ROLE {_NAME} IS E?{_LITERAL};|COMMENT ON ROLE {_NAME} IS '[^']*';")


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
    """Create the missing roles; what was not given to them, as notes.

    What would let a role reach beyond its own databases is not given, whoever saved it had it: no attribute
    but those of `_Attributes`, and no membership in a role that is here already.
    """
    notes: list[str] = []
    with connection.transaction():
        for name in sorted(missing):
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
        for statement in _statements(text):
            notes += _give(connection, statement, missing)
    return tuple(notes)


def _give(connection: Connection, statement: str, missing: Collection[str]) -> list[str]:
    """What one statement says of the roles that were made, as far as it is harmless."""
    if (found := _ATTRIBUTES.fullmatch(statement)) and (name := _unquoted(found[1])) in missing:
        return _give_attributes(connection, name, found[2])
    if (found := _SET.fullmatch(statement)) and _unquoted(found[1]) in missing:
        return _give_setting(connection, statement, _unquoted(found[2]))
    if (found := _COMMENTED.fullmatch(statement)) and _unquoted(found[1]) in missing:
        return _try(connection, statement)
    if found := _GRANTED.match(statement):
        return _give_membership(connection, _unquoted(found[1]), _unquoted(found[2]), statement, missing)
    other = _ALTERED.match(statement)
    return [_left_out(statement)] if other and _unquoted(other[1]) in missing else []


def _give_attributes(connection: Connection, name: str, words: str) -> list[str]:
    found = _ATTRIBUTE.findall(words)
    harmless = [word for word in found if word.split()[0] in _HARMLESS]
    refused = [word for word in found if word in _REFUSED]
    notes = _try_composed(connection, sql.SQL("ALTER ROLE {} WITH ").format(sql.Identifier(name))
                          + sql.SQL(" ").join(map(sql.SQL, harmless)), f"ALTER ROLE {name} WITH …")
    if refused:
        notes.append(f"role {name} was {' '.join(refused)}, and is not now; if it has to be: "
                     f'ALTER ROLE "{name}" {" ".join(refused)}')
    return notes


def _give_setting(connection: Connection, statement: str, setting: str) -> list[str]:
    if not may_set(connection, setting):
        return [_left_out(statement)]
    return _try(connection, statement)


def _give_membership(connection: Connection, group: str, member: str, statement: str,
                     missing: Collection[str]) -> list[str]:
    if group not in missing:
        if member not in missing:
            return []
        told = (f"role {member} was a member of {group}, and is not now, since {group} is none of those that "
                f'were made; if it has to be: GRANT "{group}" TO "{member}"')
        return [told]
    option = " WITH ADMIN OPTION" if "ADMIN OPTION" in statement or "ADMIN TRUE" in statement else ""
    return _try_composed(connection, sql.SQL("GRANT {} TO {}" + option).format(
        sql.Identifier(group), sql.Identifier(member)), f"GRANT {group} TO {member}")


def _left_out(statement: str) -> str:
    return f"not done: {' '.join(statement.split()[:5])} …"  # not all of it: it may hold a password


def _try(connection: Connection, statement: str) -> list[str]:
    """One statement, whose every word was read, on its own: what fails does not spoil the rest."""
    return _try_composed(connection, statement.encode(), " ".join(statement.split()[:4]))


def _try_composed(connection: Connection, statement: sql.Composed | bytes, what: str) -> list[str]:
    try:
        with connection.transaction():
            connection.execute(statement, binary=True)  # which takes one statement only
    except psycopg.Error as exc:
        return [f"not done: {what} …: {str(exc).strip().splitlines()[0]}"]
    return []


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
