"""Whether two addresses mean the same server, however each is spelled: asked of the servers themselves."""

from __future__ import annotations

from pydantic import SecretStr

from nightscan_tasks.errors import NightscanError


def same_database(one: SecretStr, other: SecretStr) -> bool:
    """Whether both are the same database of the same server. One that does not answer is no other's."""
    from nightscan_tasks.components.staged_database import target_name

    return target_name(one) == target_name(other) and _same(_postgres(one), _postgres(other))


def same_redis(one: SecretStr, other: SecretStr) -> bool:
    """Whether both are the same Redis. One that does not answer is no other's."""
    return _same(_redis(one), _redis(other))


def _same(one: object, other: object) -> bool:
    return one is not None and one == other


def _postgres(dsn: SecretStr) -> object:
    """When the server started, to the microsecond, and where it listens; None while it does not answer."""
    from nightscan_tasks.components.postgres import explained, where
    from nightscan_tasks.components.staged_database import maintenance

    try:
        with maintenance(dsn) as connection, explained(where(dsn)):
            return connection.execute(
                "SELECT pg_postmaster_start_time(), current_setting('port')").fetchone()
    except NightscanError:
        return None


def _redis(url: SecretStr) -> object:
    """The id that a server gives itself when it starts; None while it does not answer."""
    from nightscan_tasks.components.redis_server import connected, info

    try:
        with connected(url) as client:
            return info(client, "server").get("run_id")
    except NightscanError:
        return None
