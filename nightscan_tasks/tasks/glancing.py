"""Everything at a glance, with what only Celery knows: the timetable, and who takes from which queue."""

from __future__ import annotations

from contextlib import suppress

from celery import Celery

from beat_schedule import schedule
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.settings import without_secret
from nightscan_tasks.system import System
from nightscan_tasks.tasks.queues import look_at_queues
from nightscan_tasks.watch.gathering import HISTORY, Asked, Timetable, gather
from nightscan_tasks.watch.keys import see_keys
from nightscan_tasks.watch.overview import Overview
from nightscan_tasks.watch.problem import Kind, Problem, Severity
from nightscan_tasks.workflows import PLANS, RETENTION
from nightscan_tasks.workflows.timetable import due_before, due_next


def glance(system: System, app: Celery | None = None, *, keys: bool = False) -> Overview:
    """The state of everything now; with `app` its broker and workers too, with `keys` the key ring.

    What nobody asks for stays as the last look found it. It does not fail: what cannot be seen is a problem.
    """
    return gather(system, timetable(system), _ask(system, app, keys=keys))


def timetable(system: System) -> Timetable:
    """What the workflows and the timetable say."""
    entries, now, zone = schedule(), system.clock(), system.settings.zone
    return Timetable(PLANS, RETENTION, due_next(entries, now=now, zone=zone),
                     due_before(entries, since=now - HISTORY, now=now, zone=zone))


def _ask(system: System, app: Celery | None, *, keys: bool) -> Asked:
    queues, problems, seen = None, [], None
    if app is not None:
        try:
            queues = look_at_queues(app)
        except NightscanError as exc:
            place = without_secret(system.settings.broker_url.get_secret_value())
            problems.append(Problem(Kind.NO_BROKER, "broker", Severity.CRITICAL, None, {
                "place": place, "problem": str(exc).partition("\n")[0]}))
    if keys:
        with suppress(NightscanError):  # gpg itself is missing or was killed: nothing is known of the keys
            seen = tuple(see_keys(system))
    return Asked(queues, seen, tuple(problems))
