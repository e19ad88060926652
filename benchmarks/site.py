"""A world to measure in, and single parts of a backup of it, done as a worker does them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import mkdtemp

import psycopg

from nightscan_tasks import backup
from nightscan_tasks.backup import Request
from nightscan_tasks.ledger import Run
from nightscan_tasks.model import FOREVER, Plan, Tier
from nightscan_tasks.settings import load
from nightscan_tasks.system import System, utc_now
from nightscan_tasks.world.postgres import DATABASE, ROLE
from nightscan_tasks.world.sample.database import write_database
from nightscan_tasks.world.sample.plan import plan_sample
from nightscan_tasks.world.world import World


@contextmanager
def world(sample_bytes: int, *, celery: bool) -> Iterator[World]:
    """A world of its own with so much in it, gone afterwards."""
    folder = Path(mkdtemp(prefix="nightscan-bench-"))
    try:
        yield World.up(folder, celery=celery).fill(sample_bytes, now=utc_now())
    finally:
        World.down(folder, purge=True)
        shutil.rmtree(folder, ignore_errors=True)


def add_scores(site: World, windows: int) -> None:
    """Add what a model yields: for each window of a recording, how likely each species is.

    Such numbers are most of what a NightScan's database holds; about 120 bytes of SQL each.
    """
    with psycopg.connect(site.dsn(), autocommit=True) as connection:
        connection.execute("""
            CREATE TABLE window_score AS SELECT
                md5((i / 40)::text)::uuid AS prediction_id, i %% 40 AS window_number,
                (3 * (i %% 40))::real AS starts_at_seconds, random() AS strix_aluco,
                random() * random() AS athene_noctua, random() * random() AS nycticorax,
                random() AS background
            FROM generate_series(1, %s) AS i""", (windows,))
        connection.execute("VACUUM ANALYZE window_score")


def fill_database(site: World, sql_bytes: int) -> None:
    """Put a database of the sample's own kind, of about so much SQL, in the place of the site's.

    It has keys, foreign keys and indexes, which is much of what a restore has to make.
    """
    plan = replace(plan_sample(20_000_000, seed=1, now=utc_now()), database_bytes=sql_bytes)
    with psycopg.connect(site.superuser_dsn(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE} TEMPLATE template0")
    write_database(site.dsn(), plan)
    with psycopg.connect(site.dsn(), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def system(site: World, **more: str) -> System:
    """The system of a world, without its offsite store: copying is not what is measured."""
    environ = {**os.environ, **site.environ(), "AWS_BACKUP_BUCKET": "", **more}
    return System(load(environ))


def saving(site: World, component: str, *, processes: int = 1, **more: str) -> Callable[[], None]:
    """A way: the whole of one component, as its tasks do it, in so many processes that are warm already.

    That is lease, dump, gzip, hashes of both sides, encryption, fsync, reading back, and the record.
    """
    made = system(site, NIGHTSCAN_USER_DATA_ARCHIVES=str(processes), **more)
    pool = ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) if processes > 1 else None

    def run() -> None:
        run = backup.open_run(made, Request(Plan(Tier.MANUAL, (component,), FOREVER))).run
        backup.start(made, run)
        if pool is None:
            for part in run.parts:
                backup.dump(made, run.run_id, part)
        else:
            list(pool.map(_dump, [made.settings.model_dump(by_alias=False)] * len(run.parts),
                          [run.run_id] * len(run.parts), run.parts))
        _remove(made, run)

    return run


def _dump(values: dict[str, object], run_id: str, part: str) -> None:
    from nightscan_tasks.settings import Settings
    # Checked before they were sent here: a secret that was validated again would be a row of stars.
    backup.dump(System(Settings.model_construct(**values)), run_id, part)  # type: ignore[arg-type]  # model_construct takes what no type says


def _remove(made: System, run: Run) -> None:
    """What was saved is of no use: the next round needs the room."""
    backup.settle(made, run.run_id, final=True)
    made.catalog().delete(run.set_id)
