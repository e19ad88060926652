"""How fast bytes go: so many a second, for all processes of a host together.

Whoever wants to send or read a slice takes the next turn, and waits for it. A turn is a moment, written in
a file that all processes share: "from here on it is the next one's". So the file is held for microseconds
only, nobody waits for somebody who was killed or stopped, and all get on in the order in which they came.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from nightscan_tasks import runtime
from nightscan_tasks.settings import Settings

SECOND = 1_000_000_000
BURST_NS = SECOND // 4
"""What an idle line may make up for: a slice of a slow sender is late now and then."""
_SLICES = 20  # a second
_LEAST_BYTES, _MOST_BYTES = 1024, 1 << 20
_FURTHEST_NS = 600 * SECOND  # a turn further away than that is nonsense, which would be waited for
_STATE = struct.Struct("<16sq")
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def plan_turn(free_ns: int, now_ns: int, takes_ns: int) -> tuple[int, int]:
    """When a turn begins that takes so long, and from when on the line is free after it.

    `free_ns` is what the turn before said. A line that was idle is not owed for all that time.
    """
    if free_ns - now_ns > _FURTHEST_NS:
        free_ns = now_ns
    begins_ns = max(free_ns, now_ns - BURST_NS)
    return begins_ns, begins_ns + takes_ns


def _now_ns() -> int:
    """A clock that all processes of a machine share, that nobody sets, and that sleep does not stop."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _sleep_ns(duration_ns: int) -> None:
    time.sleep(duration_ns / SECOND)


@dataclass(frozen=True)
class Clock:
    """What time it is, in nanoseconds of nobody's calendar, and how to wait for a later one."""

    now_ns: Callable[[], int] = _now_ns
    sleep_ns: Callable[[int], None] = _sleep_ns


@dataclass(frozen=True)
class Pace:
    """One direction's limit. `opened` gives the shared file, anew for each turn: a descriptor that a
    process takes along when it forks would lock for both.

    In any time the bytes of all processes are at most the limit's, and a third of a second's more.
    """

    bytes_per_second: int
    opened: Callable[[], AbstractContextManager[int]]
    clock: Clock = field(default_factory=Clock)

    @property
    def slice_bytes(self) -> int:
        """How much is taken in one turn: a twentieth of a second's."""
        return min(max(self.bytes_per_second // _SLICES, _LEAST_BYTES), _MOST_BYTES)

    def check(self) -> None:
        """`SettingsError` where the file cannot be had; asked before, that is no failure of a connection."""
        with self.opened():
            pass

    def take(self, wanted_bytes: int) -> int:
        """Wait for a turn, and say how many of the bytes may go now: at least one."""
        count = min(wanted_bytes, self.slice_bytes)
        takes_ns = -(-count * SECOND // self.bytes_per_second)
        with self.opened() as descriptor, runtime.locked(descriptor):
            now_ns = self.clock.now_ns()
            begins_ns, free_ns = plan_turn(_read(descriptor, now_ns), now_ns, takes_ns)
            os.pwrite(descriptor, _STATE.pack(_boot(), free_ns), 0)
        if begins_ns > now_ns:
            self.clock.sleep_ns(begins_ns - now_ns)
        return count


@dataclass(frozen=True)
class Paces:
    """The limits of both directions; None where there is none."""

    up: Pace | None = None
    down: Pace | None = None

    @classmethod
    def of(cls, settings: Settings) -> Paces:
        """What the settings say."""
        return cls(_pace(settings, "upload", settings.upload_bytes_per_second),
                   _pace(settings, "download", settings.download_bytes_per_second))


def _pace(settings: Settings, name: str, bytes_per_second: int) -> Pace | None:
    if not bytes_per_second:
        return None
    return Pace(bytes_per_second, partial(runtime.opened, settings, f"{name}.turn"))


def _read(descriptor: int, now_ns: int) -> int:
    """From when on the line is free; a file that is new, or from before the machine started, says now."""
    raw = os.pread(descriptor, _STATE.size, 0)
    if len(raw) < _STATE.size:
        return now_ns
    boot, free_ns = _STATE.unpack(raw)
    return int(free_ns) if boot == _boot() else now_ns


@cache
def _boot() -> bytes:
    """Which start of the machine this is: its clock begins anew with each."""
    try:
        return bytes.fromhex(_BOOT.read_text().strip().replace("-", ""))
    except (OSError, ValueError):
        return bytes(16)
