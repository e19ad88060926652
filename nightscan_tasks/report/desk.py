"""What a server shows, looked at once for all who ask: in a thread of its own, and kept for a while."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from nightscan_tasks.errors import TransientError
from nightscan_tasks.watch.overview import Overview

T = TypeVar("T")


class StillLooking(TransientError):
    """A look takes longer than anybody waits for it."""


@dataclass
class _Seen:
    overview: Overview
    at: float
    made: dict[str, str] = field(default_factory=dict)


class Desk:
    """One look at a time; whoever asks meanwhile waits for it. What was made of it is kept as long as it is.

    `keep_seconds` is how old a look may be, `wait_seconds` how long anybody waits for one.
    """

    def __init__(self, look: Callable[[], Overview], *, keep_seconds: float, wait_seconds: float) -> None:
        self._look, self._keep, self._wait = look, keep_seconds, wait_seconds
        self._seen: _Seen | None = None
        self._looking: asyncio.Future[_Seen] | None = None

    async def overview(self) -> Overview:
        """The state of everything, no older than it may be; what the look raises, or `StillLooking`."""
        return (await self._fresh()).overview

    async def made(self, key: str, make: Callable[[Overview], str]) -> str:
        """What `make` makes of the state, in a thread; the same for all who ask for `key` until the next."""
        seen = await self._fresh()
        if key not in seen.made:
            seen.made[key] = await self._patiently(in_thread(lambda: make(seen.overview)))
        return seen.made[key]

    async def _fresh(self) -> _Seen:
        if self._seen is not None and time.monotonic() - self._seen.at < self._keep:
            return self._seen
        if self._looking is None:
            self._looking = in_thread(lambda: _Seen(self._look(), time.monotonic()))
            self._looking.add_done_callback(self._looked)
        return await self._patiently(self._looking)

    async def _patiently(self, future: asyncio.Future[T]) -> T:
        try:
            return await asyncio.wait_for(asyncio.shield(future), self._wait)
        except TimeoutError as exc:
            raise StillLooking(f"looking takes longer than {self._wait:.0f} s: a store or the broker does "
                               f"not answer\nwait, or run `nightscan doctor` on the host") from exc

    def _looked(self, future: asyncio.Future[_Seen]) -> None:
        """Kept at once, not by those who wait: they wake up later, and who asks before need not look."""
        self._looking = None
        if future.exception() is None:  # whoever still waits gets the error; nobody may be left
            self._seen = future.result()


def in_thread(call: Callable[[], T]) -> asyncio.Future[T]:
    """The result of a call that blocks. Its thread keeps no process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # what the call returned

    def run() -> None:
        result, error = None, None
        try:
            result = call()
        except Exception as exc:  # noqa: BLE001 - it is raised where it is awaited
            error = exc
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    threading.Thread(target=run, daemon=True, name="looking").start()
    return future
