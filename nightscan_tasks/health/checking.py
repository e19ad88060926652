"""All checks of what is live, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from nightscan_tasks.doctor.finding import Check, Finding, Level, worst
from nightscan_tasks.doctor.looking import look
from nightscan_tasks.doctor.settings import separate_broker
from nightscan_tasks.health import folders, schema, servers, services, sets, space
from nightscan_tasks.health.sets import Newest
from nightscan_tasks.model import Manifest
from nightscan_tasks.system import System

_STORE_SECONDS = 60
_MARGIN_SECONDS = 10  # a command says itself that it was too slow


@dataclass(frozen=True)
class Health:
    """What was found, and the worst of it: all is well, works but not as it should, does not work."""

    level: Level
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, findings: tuple[Finding, ...]) -> Health:
        """The level that these findings make."""
        return cls(worst(findings), findings)


def check(system: System, *, manifest: Manifest | None = None, services: bool = True) -> Health:
    """Look at database, Redis, folders, disks, services, and the newest set; it changes nothing.

    `manifest` is the set that the schema is compared with; without it, the newest complete set that has a
    database. Who names one has just restored it: then the stores and the room on the disks are no reason
    to go back, and are at most a warning. `services` is false while the application is meant to stand.
    """
    newest = Newest(system)
    checks = [
        Check("database", servers.database), Check("redis", servers.redis),
        Check("schema", partial(schema.matches, manifest=manifest, newest=newest), seconds=_STORE_SECONDS),
        Check("user data", folders.user_data),
        *_of_stores(newest, restored=manifest is not None),
        Check("broker address", separate_broker),
    ]
    if services:
        checks.append(_services(system))
    return Health.of(tuple(look(system, checks)))


def _services(system: System) -> Check:
    return Check("services", services.running, seconds=system.settings.services_seconds + _MARGIN_SECONDS)


def _of_stores(newest: Newest, *, restored: bool) -> Iterator[Check]:
    for each in (Check("space", partial(space.left, newest=newest), seconds=_STORE_SECONDS),
                 Check("newest set", partial(sets.age, newest=newest), seconds=_STORE_SECONDS)):
        yield replace(each, look=partial(_warned, each)) if restored else each


def _warned(each: Check, system: System) -> Iterator[Finding]:
    for finding in each.look(system):
        yield replace(finding, level=Level.WARN) if finding.level is Level.FAIL else finding
