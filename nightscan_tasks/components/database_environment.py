"""What surrounds a database's content: encoding, rules of sorting, roles, grants, settings, extensions."""

from __future__ import annotations

from typing import cast

from psycopg import sql

from nightscan_tasks.components.database_marks import Mark
from nightscan_tasks.components.postgres import Connection, server_version
from nightscan_tasks.model import Json

_OLDEST_WITH_PROVIDER, _OLDEST_WITH_LOCALE = 150000, 170000

_ROLES = """
SELECT DISTINCT rolname FROM pg_roles WHERE rolname NOT LIKE 'pg\\_%' AND oid IN (
    SELECT refobjid FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND dbid = (
        SELECT oid FROM pg_database WHERE datname = current_database())
    UNION SELECT relowner FROM pg_class WHERE oid >= 16384
    UNION SELECT nspowner FROM pg_namespace WHERE oid >= 16384
    UNION SELECT proowner FROM pg_proc WHERE oid >= 16384
    UNION SELECT typowner FROM pg_type WHERE oid >= 16384
    UNION SELECT lomowner FROM pg_largeobject_metadata
    UNION SELECT datdba FROM pg_database WHERE datname = current_database()
) ORDER BY 1
"""

_GRANTS = """
SELECT coalesce(r.rolname, ''), privilege_type, is_grantable
FROM pg_database, aclexplode(datacl) LEFT JOIN pg_roles r ON r.oid = grantee
WHERE datname = current_database() ORDER BY 1, 2
"""

_COLLATIONS = """
SELECT DISTINCT collname FROM pg_collation l
WHERE collnamespace = 'pg_catalog'::regnamespace AND collname NOT IN ('default', 'C', 'POSIX', 'ucs_basic')
  AND (EXISTS (SELECT FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
               WHERE attcollation = l.oid AND c.oid >= 16384)
       OR EXISTS (SELECT FROM pg_type WHERE typcollation = l.oid AND oid >= 16384))
ORDER BY 1
"""

_SETTINGS = """
SELECT coalesce(r.rolname, ''), split_part(line, '=', 1), substr(line, strpos(line, '=') + 1)
FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) AS line
WHERE d.datname = current_database() ORDER BY 1, 2
"""


def read_environment(connection: Connection) -> dict[str, Json]:
    """What a new database needs before the connected one's dump can be loaded into it."""
    version = connection.info.server_version
    provider = "datlocprovider" if version >= _OLDEST_WITH_PROVIDER else "'c'"
    locale = ("datlocale" if version >= _OLDEST_WITH_LOCALE
              else "daticulocale" if version >= _OLDEST_WITH_PROVIDER else "NULL")
    query = sql.SQL(
        "SELECT pg_encoding_to_char(encoding), datcollate, datctype, {}::text, {}, rolname "
        "FROM pg_database JOIN pg_roles r ON r.oid = datdba WHERE datname = current_database()",
    ).format(sql.SQL(provider), sql.SQL(locale))
    facts = cast("tuple[str, ...]", connection.execute(query).fetchone())
    names = ("encoding", "collate", "ctype", "provider", "locale", "owner")
    extensions = connection.execute("SELECT extname, extversion FROM pg_extension ORDER BY 1")
    return {
        "server_version": server_version(connection),
        **dict(zip(names, facts, strict=True)),
        "extensions": dict(extensions.fetchall()),
        "roles": [role for (role,) in connection.execute(_ROLES)],
        "grants": [list(row) for row in connection.execute(_GRANTS)],
        "settings": [list(row) for row in connection.execute(_SETTINGS)],
        "comment": _comment(connection),
        "collations": [name for (name,) in connection.execute(_COLLATIONS)],
        "collation_version": collation_version(connection),
    }


def _comment(connection: Connection) -> str:
    """What people wrote at the database, without what restores did."""
    row = connection.execute("SELECT shobj_description(oid, 'pg_database') FROM pg_database "
                             "WHERE datname = current_database()").fetchone()
    return Mark.split(row[0] if row else None)[0]


def collation_version(connection: Connection, database: str = "") -> str | None:
    """The version of the rules by which a database sorts: here and now, by this server's libraries.

    None where the server does not say, or has no versions for such a collation.
    """
    if connection.info.server_version < _OLDEST_WITH_PROVIDER:
        return None
    row = connection.execute("SELECT pg_database_collation_actual_version(oid) FROM pg_database "
                             "WHERE datname = %s", (database or connection.info.dbname,)).fetchone()
    return row[0] if row else None
