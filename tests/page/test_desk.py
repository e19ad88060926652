"""What a server shows is looked at once, whenever somebody asks."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, cast

from nightscan_tasks.report.desk import Desk
from nightscan_tasks.watch.overview import Overview

LONG = 3600.0


def test_who_asks_at_the_very_moment_when_a_look_ends_starts_no_other(ill: Any) -> None:
    gate, looks, overview = threading.Event(), [], cast("Overview", ill.overview)

    def look() -> Overview:
        looks.append(1)
        assert gate.wait(180)
        return overview

    async def ask_in_every_turn() -> list[Overview]:
        """Of the loop, from before the look ends until after its first asker woke up."""
        desk = Desk(look, keep_seconds=LONG, wait_seconds=LONG)
        asking = [asyncio.create_task(desk.overview())]
        await asyncio.sleep(0)
        gate.set()
        while not asking[0].done():
            asking.append(asyncio.create_task(desk.overview()))
            await asyncio.sleep(0)
        return await asyncio.gather(*asking)

    found = asyncio.run(ask_in_every_turn())
    assert len(looks) == 1
    assert all(each is overview for each in found)


def test_a_look_that_is_too_old_is_not_shown(ill: Any) -> None:
    looks, overview = [], cast("Overview", ill.overview)

    def look() -> Overview:
        looks.append(1)
        return overview

    async def ask_twice() -> None:
        desk = Desk(look, keep_seconds=0, wait_seconds=LONG)
        await desk.overview()
        await desk.overview()

    asyncio.run(ask_twice())
    assert len(looks) == 2
