"""Flower, while a backup runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import redis

from nightscan_tasks.world.celery_services import QUEUES
from nightscan_tasks.world.world import World

if TYPE_CHECKING:
    from tools.shots.studio import Studio

_SAMPLE_BYTES = 40_000_000
_SLOW_MICROSECONDS = 10_000


def shoot(studio: Studio) -> None:
    """Flower's list of a run that goes on: Redis is slow to hand out its keys, so the rest is further."""
    folder = studio.folder / "w"
    try:
        world = World.up(folder, celery=(*QUEUES, "flower"))
        world.fill(_SAMPLE_BYTES, now=datetime.now(UTC))
        given = world.environ()
        name, _, password = given["FLOWER_BASIC_AUTH"].partition(":")
        tab = studio.open(f"{given['FLOWER_URL']}/tasks", width=1640, height=760, login=(name, password))
        with _slowed(given["REDIS_URL"]):
            subprocess.run([sys.executable, "-m", "celery", "-A", "worker", "call", "nightscan.backup_daily"],
                           check=True, capture_output=True, env=world.processes_environ(), cwd=folder)
            tab.page.locator("tr", has_text="2 save redis").get_by_text("reading ").wait_for()
            tab.page.locator("tr", has_text="3 copy user_data.00").get_by_text("copied").wait_for()
            studio.take("flower", tab, whole=False)
    finally:
        World.down(folder)


@contextmanager
def _slowed(url: str) -> Iterator[None]:
    with redis.Redis.from_url(url) as server:
        server.config_set("rdb-key-save-delay", _SLOW_MICROSECONDS)
        try:
            yield
        finally:
            server.config_set("rdb-key-save-delay", 0)
