"""A safety set: what is live is saved before it is replaced."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from nightscan_tasks import backup
from nightscan_tasks.errors import NightscanError, RestoreRefused
from nightscan_tasks.ledger import Outcome
from nightscan_tasks.model import Failure, Plan
from nightscan_tasks.restore.reading import Watch
from nightscan_tasks.system import System

_PATIENCE_SECONDS = 60.0
_UNREADABLE = {"SourceUnavailable", "SourceRefused", "DumpIncomplete"}


def save_live(system: System, plan: Plan, components: tuple[str, ...], *,
              watch: Watch | None = None) -> tuple[str, ...]:
    """Save what is live, and say where, and what of it cannot be read.

    `RestoreRefused` where it can be read but not be saved: a full store, a backup that is under way.
    """
    wanted = replace(plan, components=components)
    # One try: what is broken is why somebody restores, and the clock is running.
    hasty = replace(system, settings=system.settings.model_copy(update={"retries": 0}))
    try:
        outcome = backup.run_local(hasty, backup.Request(wanted), watch=watch, sleep=_patience())
    except NightscanError as exc:
        raise RestoreRefused(f"what is live could not be saved first, and nothing was changed: {exc}\n"
                             f"to restore without: --no-safety") from exc
    return tuple(_told(outcome))


def _told(outcome: Outcome) -> list[str]:
    failed = [failure for failure in outcome.failures if "@" not in failure.part]
    if hindered := [failure for failure in failed if failure.error not in _UNREADABLE]:
        raise RestoreRefused(f"what is live could not be saved first, and nothing was changed: "
                             f"{_words(hindered[0])}\nto restore without: --no-safety")
    told = [f"what was live is saved as {outcome.set_id}"] if outcome.stores else []
    return told + [f"what was live could not be saved first: {_words(failure)}" for failure in failed]


def _words(failure: Failure) -> str:
    return f"{failure.part}: {failure.message}"


def _patience() -> Callable[[float], None]:
    """A sleep that is over when another backup takes too long."""
    deadline = time.monotonic() + _PATIENCE_SECONDS

    def sleep(seconds: float) -> None:
        if time.monotonic() > deadline:
            raise RestoreRefused("another backup is under way: wait for its end, which `nightscan status` "
                                 "shows")
        time.sleep(seconds)

    return sleep
