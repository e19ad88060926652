"""The application around a swap: stopped before it, started after it, and asked how it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nightscan_tasks.doctor.finding import Level
from nightscan_tasks.errors import NightscanError, RestoreRefused
from nightscan_tasks.model import Manifest
from nightscan_tasks.settings import Settings
from nightscan_tasks.system import System

_OF = {"database": ("database", "schema"), "redis": ("redis",), "user_data": ("user data",)}
_ALWAYS = ("services",)


@contextmanager
def stopped(settings: Settings, *, live: bool) -> Iterator[list[str]]:
    """The application stands still; it is started again however this ends. Yields notes.

    `RestoreRefused` where it cannot be stopped: then it was started again, and nothing was changed.
    """
    notes: list[str] = []
    command = settings.services_stop if live else ""
    try:
        if command:
            _run(command, settings.services_seconds)
    except NightscanError as exc:
        _start(settings, notes, live=live)
        raise RestoreRefused(f"the application could not be stopped; nothing was changed: {exc}") from exc
    try:
        yield notes
    finally:
        _start(settings, notes, live=live)


def unwell(system: System, components: tuple[str, ...], manifest: Manifest | None, *,
           known: tuple[str, ...] = (), only_ours: bool = False) -> tuple[str, ...]:
    """What fails in the health of the application, as `name: what was found`.

    What failed before the swap as well (`known`), and is no business of these components, is left out:
    putting the old state back would not mend it. `only_ours` leaves out all else, where nobody looked before.
    """
    ours = {name for component in components for name in _OF.get(component, ())} | set(_ALWAYS)
    before = {each.partition(":")[0] for each in known}
    from nightscan_tasks import health  # late: it needs clients for all that can be live

    found = health.check(system, manifest=manifest).findings
    return tuple(f"{each.name}: {each.found}" for each in found
                 if each.level is Level.FAIL and (
                     each.name in ours or not (only_ours or each.name in before)))


def _start(settings: Settings, notes: list[str], *, live: bool) -> None:
    """Start it; what goes wrong is a note, since the state below it is what it is."""
    if not live or not settings.services_start:
        return
    try:
        _run(settings.services_start, settings.services_seconds)
    except NightscanError as exc:
        notes.append(f"the application could not be started: {exc}")


def _run(command: str, seconds: int) -> None:
    from nightscan_tasks.health.services import run_services  # late, as above

    run_services(command, seconds)
