"""A database is removed while somebody is in it whom its owner may not send away."""

from __future__ import annotations

import threading
import time
from urllib.parse import urlsplit

import psycopg
from pydantic import SecretStr

from nightscan_tasks.components.staged_database import drop, maintenance
from nightscan_tasks.world.world import World

_PLAIN_DROP = "query LIKE 'DROP DATABASE IF EXISTS%%' AND query NOT LIKE '%%FORCE%%' AND state = 'active'"


def test_a_database_is_removed_once_the_one_who_may_not_be_ended_has_left(postgres_server: World,
                                                                          database: str) -> None:
    """As with autovacuum, which the server itself ends for a plain DROP: the drop waits for it."""
    name = urlsplit(database).path[1:]
    superuser = psycopg.connect(postgres_server.superuser_dsn(name), autocommit=True)
    leaving = threading.Thread(target=_leave, args=(superuser, name), daemon=True)
    leaving.start()
    with maintenance(SecretStr(database)) as connection:
        drop(connection, name)
        assert not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
    leaving.join(180)


def _leave(superuser: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    """End the session when the drop that may wait for it has begun."""
    with superuser:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not superuser.execute(
                f"SELECT 1 FROM pg_stat_activity WHERE {_PLAIN_DROP} AND strpos(query, %s) > 0",  # noqa: S608 - ours
                (name,)).fetchone():
            time.sleep(0.01)
