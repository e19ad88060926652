"""What the settings alone tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from nightscan_tasks.doctor import limits
from nightscan_tasks.doctor.finding import Check, Finding, fail, ok
from nightscan_tasks.errors import SettingsError
from nightscan_tasks.system import System, refuse_shared_redis

_DUE_HOUR = 2


def time_zone(system: System) -> Iterator[Finding]:
    """When the timetable's 02:00 is."""
    now = system.clock()
    local = now.astimezone(system.settings.zone)
    due = local.replace(hour=_DUE_HOUR, minute=0, second=0, microsecond=0)
    if due <= local:
        due += timedelta(days=1)
    yield ok("time zone", f"{system.settings.timezone}, where it is {local:%H:%M}; the next daily backup is "
                          f"due at {due.astimezone(now.tzinfo):%Y-%m-%d %H:%M} UTC")


def visibility(system: System) -> Iterator[Finding]:
    """Whether a running task could be handed out again. `settings.load` refuses it too."""
    timeout, deadline = system.settings.visibility_seconds, system.settings.deadline_seconds
    found = f"visibility timeout {timeout} s, deadline of a run {deadline} s"
    if timeout > deadline:
        yield ok("deadline", found)
    else:
        yield fail("deadline", found, f"set NIGHTSCAN_VISIBILITY_SECONDS={deadline + 7200}, or a task that "
                                      f"still runs is handed out again")


def separate_broker(system: System) -> Iterator[Finding]:
    """Whether the broker's address is another than that of the Redis that is backed up."""
    try:
        refuse_shared_redis(system.settings)
    except SettingsError as exc:
        yield fail("broker address", str(exc))
    else:
        yield ok("broker address", "not that of the Redis that is backed up")


CHECKS = (Check("time zone", time_zone), Check("deadline", visibility),
          Check("broker address", separate_broker), *limits.CHECKS)
