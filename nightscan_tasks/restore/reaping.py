"""Restores that were cut off with the process that did them, brought to an end without a person."""

from __future__ import annotations

from collections.abc import Iterator

from nightscan_tasks.errors import NightscanError
from nightscan_tasks.restore.aftermath import Decided, resume
from nightscan_tasks.restore.journal import abandoned, journals
from nightscan_tasks.system import System


def reap_restores(system: System) -> list[Decided]:
    """Go on with, or take back, every restore into the application whose process died on this host.

    What cannot be finished now keeps no other from it, and is raised at the end. A restore into another
    place is left alone: nobody waits for that, and its password may be known to nobody here.
    """
    done, problems = [], []
    for run_id in list(_cut_off(system)):
        try:
            done.append(resume(system, run_id))
        except NightscanError as exc:
            problems.append(exc)
    if problems:
        raise problems[0]
    return done


def _cut_off(system: System) -> Iterator[str]:
    for journal in journals(system):
        for state in journal.restores.unsettled():
            if state.run.place.live and abandoned(journal.leases, state.run.place, system.host):
                yield state.run.run_id
