"""A database that was filled by a role of the run's own passes to those who are to own it.

Nobody who is, or may become, a superuser gets anything that runs: what belongs to a superuser's table or
function runs with a superuser's rights as soon as somebody, or autovacuum, touches it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import psycopg
from psycopg import sql

from nightscan_tasks.components.database_guard import Later, shown
from nightscan_tasks.components.database_rights import all_roles, mighty_roles
from nightscan_tasks.components.database_statements import Handling
from nightscan_tasks.components.postgres import Connection
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.model import Json

STAND_IN = "nightscan_restored"
_OWNED = """
SELECT count(*) FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND deptype = 'o'
  AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = %s)
  AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def borrow_public(connection: Connection, role: str) -> tuple[str, ...]:
    """Let `role` own the schema `public`, as the database's owner does from PostgreSQL 15 on; who did."""
    row = connection.execute(
        "SELECT rolname FROM pg_namespace JOIN pg_roles r ON r.oid = nspowner "
        "WHERE nspname = 'public' AND rolname <> 'pg_database_owner'").fetchone()
    if row is None:
        return ()
    connection.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(role)))
    return (str(row[0]),)


def hand_over(connection: Connection, role: str, later: Sequence[Later], wanted: Mapping[str, Json], *,
              public: Sequence[str] = ()) -> tuple[str, ...]:
    """Give what `role` owns in the connected database to its owners; what could not be, as notes."""
    mighty = mighty_roles(connection)
    heir = str(wanted.get("owner") or connection.info.user)
    notes: list[str] = []
    for owner in public:
        connection.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(owner)))
    # A sequence goes where its column's table goes, so tables come first.
    for each in sorted(later, key=lambda each: each.step.kind == "SEQUENCE"):
        if each.step.handling is not Handling.OWNER or each.step.role != heir or heir in mighty:
            notes += _do(connection, each, mighty)
    notes += _reassign(connection, role, heir, mighty)
    notes += _disowned(later, mighty)
    connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
    return tuple(dict.fromkeys(notes))


def _do(connection: Connection, each: Later, mighty: frozenset[str]) -> Iterator[str]:
    """One statement that waited. The words of each were read as strictly as can be."""
    step = each.step
    if step.handling is Handling.OWNER and step.role in mighty and step.kind != "SCHEMA":
        return  # told once, for all of them
    if each.by in mighty:
        yield f"not restored, since {each.by} may become a superuser: {shown(each.statement)}"
        return
    try:
        with connection.transaction():
            if each.by:
                connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(each.by)))
            connection.execute(each.statement, binary=True)  # which takes one statement only
    except psycopg.errors.FeatureNotSupported:
        if step.kind != "SEQUENCE":  # such as one of a column: its table's owner has it already
            raise
    except psycopg.errors.InsufficientPrivilege as exc:
        if step.handling is Handling.OWNER:
            raise _not_given(each.statement, exc) from exc
        yield f"not restored: {shown(each.statement)}: {str(exc).strip().splitlines()[0]}"
    except psycopg.errors.UndefinedObject as exc:
        raise _not_given(each.statement, exc) from exc


def _reassign(connection: Connection, role: str, heir: str, mighty: frozenset[str]) -> Iterator[str]:
    row = connection.execute(_OWNED, (role,)).fetchone()
    owned = int(row[0]) if row else 0
    roles = all_roles(connection)
    if owned and (heir in mighty or heir not in roles):
        if STAND_IN in mighty:
            raise RestoreRefused(f"{STAND_IN} was made to own what a superuser owned, and must be none: "
                                 f"`ALTER ROLE {STAND_IN} NOSUPERUSER`, and take it out of other roles")
        if STAND_IN not in roles:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(STAND_IN)))
        yield f"what belonged to a superuser belongs to {STAND_IN} now, a role that was made for it"
        heir = STAND_IN
    if owned:
        connection.execute(sql.SQL("REASSIGN OWNED BY {} TO {}").format(
            sql.Identifier(role), sql.Identifier(heir)))


def _disowned(later: Sequence[Later], mighty: frozenset[str]) -> Iterator[str]:
    """What a superuser owned, and owns no more."""
    owners = [each.step.role for each in later
              if each.step.handling is Handling.OWNER and each.step.kind != "SCHEMA"]
    for owner in sorted(mighty.intersection(owners)):
        yield (f"{owners.count(owner)} objects belonged to {owner}, a superuser, and do no more, so that "
               f"nothing of a dump runs with a superuser's rights; if one has to: ALTER … OWNER TO {owner}")


def _not_given(statement: bytes, error: psycopg.Error) -> RestoreRefused:
    return RestoreRefused(f"the dump cannot be loaded; the live database was not touched: "
                          f"{str(error).strip()} in `{shown(statement)}`")
