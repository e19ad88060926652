"""Sets put back into a scratch database, Redis and folder; the restore compares them with what was saved."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from chaos.site import Site
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.model import Manifest
from nightscan_tasks.restore import accept, restore
from nightscan_tasks.workflows.restore import wanted
from nightscan_tasks.world.world import World

_DATABASE = "chaos_scratch"


@dataclass(frozen=True)
class Place:
    """Where sets are put back."""

    database: str
    redis: str
    root: Path


@contextmanager
def scratch(site: Site) -> Iterator[Place]:
    """An empty place, on servers that hold nothing of the application's."""
    folder = site.folder / "scratch"
    world = World.up(folder / "world", services=("redis",), celery=False)
    name = sql.Identifier(_DATABASE)
    try:
        with psycopg.connect(site.world.superuser_dsn(), autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {} OWNER nightscan").format(name))
            yield Place(site.world.dsn(_DATABASE), world.environ()["REDIS_URL"], folder / "root")
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
    finally:
        World.down(folder / "world", purge=True)


def restore_one(site: Site, place: Place, manifest: Manifest) -> str | None:
    """Restore all that a set has; why it could not be, if so. The restore compares it with what was saved."""
    shutil.rmtree(place.root, ignore_errors=True)
    place.root.mkdir(parents=True)
    problems = []
    for component in manifest.components:
        request = wanted(component, set_id=str(manifest.set_id), safety=False,
                         target_db=place.database if component == "database" else None,
                         target_redis=place.redis if component == "redis" else None,
                         target_root=None if component in {"database", "redis"} else str(place.root))
        try:
            done = restore(site.system, request)
            accept(site.system, done.run_id, request.targets)
        except NightscanError as exc:
            problems.append(f"{component}: {exc}")
    return "; ".join(problems) or None
