"""Whether sets can be stored, and have room."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from nightscan_tasks.doctor import locks
from nightscan_tasks.doctor.finding import Check, Finding, fail, ok, warn
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.model import Plan
from nightscan_tasks.stores.base import Store, StoreHealth
from nightscan_tasks.system import System
from nightscan_tasks.wording import size

_MARGIN = 1.1
_FOR_OTHERS = 0o007


def primary(system: System) -> Iterator[Finding]:
    """Whether the primary store can be written and read back, and is closed to others."""
    health = system.primary.probe()
    yield _probed(system.primary, health)
    if health.past:
        yield from locks.records(health.past)
        yield from locks.bucket(system.primary.name, health.past, system.settings)
    folder = Path(system.primary.url)
    if "://" not in system.primary.url and folder.is_dir():
        yield from _closed(folder, system.settings.owner)


def offsites(system: System) -> Iterator[Finding]:
    """Whether every offsite store can be written and read back."""
    if not system.offsites:
        yield warn("offsite", "there is no offsite store: one lost disk loses every backup",
                   "set AWS_BACKUP_BUCKET, or NIGHTSCAN_OFFSITE")
    for store in system.offsites:
        try:
            health = store.probe()
            yield _probed(store, health)
            if health.past:
                yield from locks.bucket(store.name, health.past, system.settings)
        except NightscanError as exc:
            yield fail(store.name, str(exc))


def space(system: System, *, plan: Plan) -> Iterator[Finding]:
    """Whether the next set of `plan` fits into the primary store, even if nothing shrinks."""
    free_bytes = system.primary.probe().free_bytes
    if free_bytes is None:
        yield ok("space", f"{system.primary.url} has no limit that can be asked for")
        return
    predicted, unknown = _predict(system, plan)
    found = f"{size(free_bytes)} free, a {plan.tier} set takes at most about {size(predicted)}"
    if unknown:
        yield warn("space", f"{found}, without {', '.join(unknown)}, whose size cannot be known now",
                   "see what is said of them here")
    elif free_bytes < predicted:
        yield fail("space", found, "make room, or move NIGHTSCAN_BACKUP_DIR to a larger disk; "
                                   "`nightscan rotate --dry-run` says what could go")
    elif free_bytes < _MARGIN * predicted:
        yield warn("space", found, "make room soon; `nightscan rotate --dry-run` says what could go")
    else:
        yield ok("space", found)


def _probed(store: Store, health: StoreHealth) -> Finding:
    free = f", {size(health.free_bytes)} free" if health.free_bytes is not None else ""
    return ok(store.name, f"{health.url} ({health.server}): written, read back, deleted{free}")


def _closed(folder: Path, owner: str) -> Iterator[Finding]:
    found = folder.stat()
    mode = stat.S_IMODE(found.st_mode)
    if mode & _FOR_OTHERS:
        yield warn("primary's mode", f"{folder} has mode {mode:04o}: others can look into it",
                   f"chmod 0750 {folder}")
    if owner and os.geteuid() == 0 and found.st_uid == 0 and not owner.startswith("root"):
        yield warn("primary's owner", f"{folder} belongs to root", f"chown {owner} {folder}")


def _predict(system: System, plan: Plan) -> tuple[int, list[str]]:
    """Plain bytes of a set of that plan, and the components whose size cannot be known now."""
    total_bytes, unknown = 0, []
    for name in plan.components:
        try:
            component = system.component(name)
            total_bytes += sum(component.predicted_bytes(part) for part in component.parts())
        except NightscanError:  # another check says what is wrong with it
            unknown.append(name)
    return total_bytes, unknown


CHECKS = (Check("primary", primary, seconds=30), Check("offsite", offsites, seconds=30))
