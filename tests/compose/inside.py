"""Run inside a container, from standard input: `python - fill BYTES | more BYTES | look | lose`.

`look` prints everything that is live as JSON, each thing as the demo sees it.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime

import psycopg

from nightscan_tasks.cli.demo.live_files import read_files
from nightscan_tasks.cli.demo.live_keys import now_ms, read_keys
from nightscan_tasks.cli.demo.live_tables import read_tables
from nightscan_tasks.settings import load
from nightscan_tasks.world import damage
from nightscan_tasks.world.sample.application import write_application
from nightscan_tasks.world.sample.cache import write_cache
from nightscan_tasks.world.sample.database import write_database
from nightscan_tasks.world.sample.oddities import write_oddities
from nightscan_tasks.world.sample.plan import plan_sample
from nightscan_tasks.world.sample.uploads import write_uploads

FOLDERS = ("uploads", "models", "config", "logs")


def main(what: str, total_bytes: int = 0) -> None:
    settings = load()
    dsn, redis_url = settings.dsn.get_secret_value(), settings.redis.get_secret_value()
    if what == "fill":
        plan = plan_sample(total_bytes, seed=1, now=datetime.now(UTC))
        for name in FOLDERS:  # here, so that they are of this container's user and group
            (settings.root / name).mkdir()
        write_uploads(settings.root / "uploads", plan)
        write_oddities(settings.root / "uploads", plan)
        write_application(settings.root, plan)
        write_database(dsn, plan)
        write_cache(redis_url, plan)
    elif what == "more":
        (settings.root / "uploads/long.wav").write_bytes(os.urandom(total_bytes))
    elif what == "lose":
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        damage.flush_redis(redis_url)
        damage.remove_files(settings.root)
    things = {"database": read_tables(dsn), "redis": read_keys(redis_url),
              "user_data": read_files(settings.root, FOLDERS)}
    sys.stdout.write(json.dumps({"now_ms": now_ms(redis_url), **{
        area: {name: asdict(thing) for name, thing in found.items()} for area, found in things.items()}},
        default=repr))


main(sys.argv[1], *map(int, sys.argv[2:]))
