"""Whether this host's clock can be trusted: sets are named, and removed, by it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from nightscan_tasks.components.postgres import connect
from nightscan_tasks.doctor.finding import Check, Finding, fail, ok, warn
from nightscan_tasks.doctor.servers import asked
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.system import System

_SANE = timedelta(seconds=60)


def against_servers(system: System) -> Iterator[Finding]:
    """Whether it goes as the servers' clocks do."""
    agreeing = []
    for name, ask in (("the database", _database), ("Redis", _redis)):
        try:
            theirs = ask(system)
        except NightscanError:  # the check of that server says so
            continue
        apart = system.clock() - theirs
        if abs(apart) > _SANE:
            side = "ahead of" if apart > _SANE else "behind"
            yield warn("clock", f"{abs(apart).total_seconds():.0f} s {side} that of {name}",
                       "set the clocks, for example with chrony or timedatectl")
        else:
            agreeing.append(name)
    if agreeing:
        yield ok("clock", f"{system.clock():%Y-%m-%d %H:%M:%S} UTC, as {' and '.join(agreeing)} have it")


def against_sets(system: System) -> Iterator[Finding]:
    """Whether anything that was saved is from the future."""
    now = system.clock()
    newest = max(_moments(system), default=None)
    if newest is None:
        yield ok("newest set", "there is none yet")
    elif newest > now + _SANE:
        yield fail("newest set", f"it is from {newest:%Y-%m-%d %H:%M} UTC, but the clock says "
                                 f"{now:%Y-%m-%d %H:%M} UTC", "set the clock; until then nothing is rotated")
    else:
        yield ok("newest set", f"{newest:%Y-%m-%d %H:%M} UTC")


def _moments(system: System) -> Iterator[datetime]:
    yield from (set_id.taken_at for set_id in system.catalog().ids())
    yield from (run.opened_at for run in system.ledger.open_runs(now=system.clock()))


def _database(system: System) -> datetime:
    with connect(system.settings.dsn) as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
    moment: datetime = row[0] if row else system.clock()
    return moment


def _redis(system: System) -> datetime:
    with asked(system.settings.redis, "REDIS_URL") as server:
        return server.now()


CHECKS = (Check("clock", against_servers), Check("newest set", against_sets, seconds=30))
