"""The dead man's switch is told of a run by a task of its own: one that hangs delays no run, and fails none.

Sentry is told by the process that begins or settles the run, for which it has a thread.
"""

from __future__ import annotations

import builtins
from contextlib import suppress
from typing import Any

from celery import Task, shared_task, signals, signature
from celery.exceptions import ChordError
from celery.schedules import crontab
from kombu.exceptions import OperationalError

from beat_schedule import schedule
from nightscan_tasks import wire
from nightscan_tasks.errors import Busy, LeaseLost, NightscanError
from nightscan_tasks.ledger import Outcome, Run
from nightscan_tasks.ledger.pings import Pings
from nightscan_tasks.model import COMPONENTS, Failure, Json, SetId, Tier
from nightscan_tasks.notify.pinging import NotPingedYet, Phase
from nightscan_tasks.system import System
from nightscan_tasks.tasks.arguments import checked
from nightscan_tasks.watch import signalling
from nightscan_tasks.watch.trial import try_channels

_TIERS = {f"nightscan.backup_{tier}": tier for tier in Tier}
_FIELDS = (("minute", 60), ("hour", 24), ("day_of_month", 31), ("month_of_year", 12), ("day_of_week", 7))
_TRIES, _PAUSE_SECONDS = 6, 10


@shared_task(name="nightscan.signal", bind=True)
def signal(self: Task, run_id: str, phase: str) -> str:
    """Tell the dead man's switch that a run began (`start`), or how it ended (`success`, `fail`)."""
    last = self.request.retries >= _TRIES - 1
    try:
        return signalling.send_ping(System.from_env(), run_id, Phase(phase), last=last)
    except NotPingedYet as exc:
        pause = _PAUSE_SECONDS * 2**self.request.retries
        raise self.retry(exc=exc, countdown=pause, max_retries=_TRIES - 1) from exc


@shared_task(name="nightscan.alert_test")
@checked
def alert_test(channel: str | None = None) -> list[Json]:
    """Send a test through each channel, or one, from where alerts are sent."""
    result: list[Json] = [wire.plain(each) for each in try_channels(System.from_env(), channel)]
    return result


def tell_begin(system: System, run: Run) -> None:
    """A run has started: whoever is to be told is told, or not; nothing of the run depends on it."""
    schedules = tiers_due()
    signalling.report_begin(system, run, schedules)
    if signalling.is_pinged(system, run.set_id.tier, schedules):
        with suppress(OperationalError):  # without it only its length is not measured
            _pinging(run.run_id, Phase.START).apply_async()


def tell_end(system: System, outcome: Outcome) -> None:
    """A run has ended. Told first and recorded then: who dies in between has it told once more."""
    schedules = tiers_due()
    if Pings(system.primary).paid(outcome.run_id):
        return
    signalling.report_end(system, outcome, schedules, reported=_raised_by_its_task)
    if signalling.is_pinged(system, outcome.set_id.tier, schedules):
        try:
            _pinging(outcome.run_id, signalling.phase_of(outcome.ending)).apply_async()
        except OperationalError:  # the marker stays: `reap` tells it, once there is a broker again
            return
    Pings(system.primary).pay(outcome.run_id, system.clock())


def tiers_due() -> dict[Tier, str]:
    """The tiers of the timetable, each with its crontab as five fields."""
    return {_TIERS[entry["task"]]: five_fields(entry["schedule"]) for entry in schedule().values()
            if entry["task"] in _TIERS and isinstance(entry["schedule"], crontab)}


def five_fields(when: crontab) -> str:
    """A crontab as others write it: `0 2 * * 0`."""
    fields = [(sorted(getattr(when, name)), length) for name, length in _FIELDS]
    return " ".join("*" if len(values) == length else ",".join(map(str, values)) for values, length in fields)


def _pinging(run_id: str, phase: Phase) -> Any:
    return signature("nightscan.signal", args=(run_id, phase.value), immutable=True)


def connect(tag: Any) -> None:
    """Have Sentry know, of whatever a task reports, which run, tier, component and store it was about."""

    def beginning(args: tuple[Any, ...], **_signal: Any) -> None:
        if tags := tags_of(args):
            tag(tags)

    signals.task_prerun.connect(beginning, weak=False, dispatch_uid="nightscan tagging")


def tags_of(args: tuple[Any, ...] | list[Any]) -> dict[str, str]:
    """What a task's arguments say of a run, or of a set."""
    run_id, part, store = (*(each if isinstance(each, str) else "" for each in args[:3]), "", "", "")[:3]
    try:
        set_id = SetId.parse(run_id.replace("-", "/", 1))
    except ValueError:
        return {}
    tags = {"run_id": set_id.run_id, "tier": set_id.tier.value}
    if (component := part.partition(".")[0]) in COMPONENTS:
        tags |= {"component": component} | ({"store": store} if store else {})
    return tags


def is_news(exc: BaseException, tags: dict[str, str]) -> bool:
    """Whether a raised error is worth an event: what is on record of a run is reported with its end.

    Nor is waiting for another, or giving way to one, an error; and that a chord has a part that failed is
    what `settle` is there for.
    """
    if isinstance(exc, (Busy, LeaseLost, ChordError)):
        return False
    return not (isinstance(exc, NightscanError) and "component" in tags)


def _raised_by_its_task(failure: Failure) -> bool:
    """Whether a failure was a bug: then Sentry has it already, with tags and with where it came from."""
    kind = getattr(builtins, failure.error, Exception)
    is_bug = failure.message.startswith(f"{failure.error}: ")  # as `give_up` records what is none of ours
    return is_bug and isinstance(kind, type) and issubclass(kind, Exception)
