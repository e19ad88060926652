"""Destroying what a sample made, to see it come back."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import psycopg
import redis
from psycopg import sql

from nightscan_tasks.errors import WorldError


def drop_database(superuser_dsn: str, database: str) -> None:
    """Drop a database, whoever is connected to it."""
    with psycopg.connect(superuser_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
            sql.Identifier(database)))


def flush_redis(url: str) -> None:
    """Remove every key of every database, and every function."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
        try:
            client.function_flush()
        except redis.ResponseError as exc:
            if "unknown command" not in str(exc).lower():  # an older server has no functions
                raise


def remove_files(root: Path, names: Sequence[str] = ("uploads", "models", "config", "logs")) -> None:
    """Remove folders of the application; a link is removed, never followed."""
    for name in names:
        path = root / name
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.exists():
            shutil.rmtree(path)
        if path.exists():
            raise WorldError(f"{path} could not be removed")
