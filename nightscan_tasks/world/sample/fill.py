"""Filling an application's database, Redis and folders, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from nightscan_tasks.world.sample.application import write_application
from nightscan_tasks.world.sample.cache import write_cache
from nightscan_tasks.world.sample.database import write_database
from nightscan_tasks.world.sample.oddities import write_oddities
from nightscan_tasks.world.sample.plan import Plan, plan_sample
from nightscan_tasks.world.sample.source import write_source
from nightscan_tasks.world.sample.system import write_system
from nightscan_tasks.world.sample.uploads import write_uploads


@dataclass(frozen=True)
class Target:
    """What to fill: an application whose database, Redis and folders are empty."""

    dsn: str
    redis_url: str
    root: Path
    etc: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """The application that these settings speak of."""
        return cls(environ["NIGHTSCAN_DATABASE_URI"], environ["REDIS_URL"],
                   Path(environ["NIGHTSCAN_ROOT"]), Path(environ["NIGHTSCAN_ETC"]))


def fill(target: Target, total_bytes: int, *, now: datetime, seed: int = 1) -> Plan:
    """Fill an empty application with a sample of about `total_bytes`; what was planned for it."""
    plan = plan_sample(total_bytes, seed=seed, now=now)
    with ThreadPoolExecutor(max_workers=3) as pool:
        done = [pool.submit(_write_files, target, plan),
                pool.submit(write_database, target.dsn, plan),
                pool.submit(write_cache, target.redis_url, plan)]
        for one in done:
            one.result()
    return plan


def _write_files(target: Target, plan: Plan) -> None:
    write_uploads(target.root / "uploads", plan)
    write_oddities(target.root / "uploads", plan)
    write_application(target.root, plan)
    write_source(target.root, plan)
    write_system(target.etc)
