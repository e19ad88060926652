"""Extensions that only a superuser may make: which of them may be made for a dump.

What a superuser makes for a dump should not open the host to it. So it has to be known as harmless, or be
in the live database already, where somebody once made it, or be named by a person.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast

from pydantic import SecretStr

from nightscan_tasks.components.postgres import Connection, connect, explained, where
from nightscan_tasks.components.staged_database import target_name
from nightscan_tasks.errors import SourceRefused
from nightscan_tasks.model import Json

# They give nobody but superusers a way to files, programs or other servers.
HARMLESS = frozenset({
    "address_standardizer", "address_standardizer_data_us", "amcheck", "bloom", "citus", "earthdistance",
    "hll", "hypopg", "pg_buffercache", "pg_freespacemap", "pg_prewarm", "pg_stat_statements", "pg_visibility",
    "pg_walinspect", "pgaudit", "pgrowlocks", "pgstattuple", "postgis", "postgis_raster", "postgis_sfcgal",
    "postgis_topology", "rum", "sslinfo", "timescaledb", "unaccent", "vector", "xml2",
})
_OLDEST_WITH_TRUSTED = 130000
_CLOSED = """
SELECT name FROM pg_available_extension_versions JOIN pg_available_extensions USING (name)
WHERE version = default_version AND superuser AND NOT trusted AND name = ANY (%s) ORDER BY name
"""


def superusers_extensions(connection: Connection, wanted: Mapping[str, Json]) -> list[str]:
    """Those that are wanted, and that only a superuser may make on this server."""
    needed = sorted(cast("dict[str, str]", wanted.get("extensions") or {}))
    query = _CLOSED if connection.info.server_version >= _OLDEST_WITH_TRUSTED else _CLOSED.replace(
        "AND NOT trusted", "")
    return [name for (name,) in connection.execute(query.encode(), (needed,))]


def open_extensions(connection: Connection, dsn: SecretStr, allowed: Collection[str]) -> frozenset[str]:
    """Those that may be made for a dump although only a superuser may make them."""
    return HARMLESS | set(allowed) | _live(connection, dsn)


def _live(connection: Connection, dsn: SecretStr) -> set[str]:
    """What the live database has."""
    there = connection.execute("SELECT FROM pg_database WHERE datname = %s", (target_name(dsn),))
    if there.fetchone() is None:
        return set()
    try:
        with connect(dsn) as live, explained(where(dsn)):
            return {name for (name,) in live.execute("SELECT extname FROM pg_extension")}
    except SourceRefused:  # so damaged, perhaps, that it has to be restored
        return set()
