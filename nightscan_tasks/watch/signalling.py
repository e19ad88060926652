"""Telling others, from outside, that runs begin and end: the dead man's switch, and Sentry.

The switch knows the tiers of the timetable, for only what is due can be missing. What it is told of a run
never decides anything about the run: a ping that does not get through is on record, and that is all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial

from nightscan_tasks.errors import NightscanError
from nightscan_tasks.ledger import Ending, Outcome, Run
from nightscan_tasks.ledger.pings import Pings
from nightscan_tasks.model import Failure, Tier
from nightscan_tasks.notify.pinging import PING_SECONDS, NotPinged, Phase, Ping, ping
from nightscan_tasks.notify.reports import CheckIn, Failed, Status
from nightscan_tasks.system import System
from nightscan_tasks.wording import duration, size

Schedules = Mapping[Tier, str]
"""The crontab of each tier of the timetable, as its five fields."""

_PHASES = {Ending.GOOD: Phase.SUCCESS, Ending.DEGRADED: Phase.SUCCESS,
           Ending.INCOMPLETE: Phase.FAIL, Ending.FAILED: Phase.FAIL}
_STALE = timedelta(hours=6)  # good news that is older tells nothing of now
_BEING_TOLD = timedelta(minutes=2)  # whoever settles a run tells of it, within that
_NEVER_SETTLED = timedelta(days=30)
_LOCAL_SECONDS = 3.0


def is_pinged(system: System, tier: Tier, schedules: Schedules) -> bool:
    """Whether the dead man's switch is told of runs of that tier."""
    return tier in schedules and bool(system.settings.ping_url.get_secret_value())


def phase_of(ending: Ending) -> Phase:
    """A set that is whole is a success, also where a copy of it is late: of that the alerts tell."""
    return _PHASES[ending]


def send_ping(system: System, run_id: str, phase: Phase, *, seconds: float = PING_SECONDS,
              last: bool = True) -> str:
    """Tell the switch of a run, and record how that went; the words, or empty where it is too late for them.

    `NotPinged`, or `NotPingedYet` where another try is worth it: that is on record only when it was the
    `last`, or people would be told of what is well again a moment later.
    """
    run, outcome = system.ledger.opened(run_id), system.ledger.outcome(run_id)
    text = _text(run, outcome, phase)
    if not text or (phase is Phase.SUCCESS and outcome and system.clock() - outcome.settled_at > _STALE):
        return ""
    tier, record = run.set_id.tier, partial(Pings(system.primary).record, run_id=run_id, phase=phase)
    try:
        ping(system.settings, Ping(tier, phase, run_id, text), seconds=seconds)
    except NotPinged as exc:
        if last or not exc.transient:
            record(tier, system.clock(), problem=str(exc))
        raise
    record(tier, system.clock(), problem="")
    return text


def _text(run: Run, outcome: Outcome | None, phase: Phase) -> str:
    """What a person reads beside the ping. Empty for a start that comes after the end: it would reopen it."""
    if phase is Phase.START:
        return "" if outcome else f"{run.run_id} begins on {run.host}: {', '.join(run.plan.components)}\n"
    if outcome is None:
        return ""
    took, stores = duration(outcome.elapsed_seconds), ", ".join(outcome.stores) or "no store"
    lines = [f"{run.run_id}: {outcome.ending}, {size(outcome.stored_bytes)} in {took}, stored in {stores}"]
    if outcome.ending is Ending.DEGRADED:
        lines.append("The set is whole; not all that was asked for was done:")
    lines += [f"{each.part}: {_first_line(each.message)}" for each in outcome.failures]
    lines += [_first_line(note) for note in outcome.notes]
    return "\n".join(lines) + "\n"


def report_begin(system: System, run: Run, schedules: Schedules) -> None:
    """A cron check-in at Sentry, if there is one."""
    if not _has_sentry(system) or run.set_id.tier not in schedules:
        return
    from nightscan_tasks.notify import sentry  # its library: only where there is a DSN

    sentry.check_in(system.settings, CheckIn(
        run.set_id.tier, run.run_id, Status.IN_PROGRESS, schedules[run.set_id.tier]))


def report_end(system: System, outcome: Outcome, schedules: Schedules, *,
               reported: Callable[[Failure], bool] = lambda _failure: False) -> None:
    """The same at the end, and an event for each component that failed, but those `reported` already."""
    if not _has_sentry(system):
        return
    from nightscan_tasks.notify import sentry  # as above

    tier = outcome.set_id.tier
    for failed in _failed(outcome, reported):
        sentry.report(failed)
    if tier in schedules:
        well = phase_of(outcome.ending) is Phase.SUCCESS
        sentry.check_in(system.settings, CheckIn(
            tier, outcome.run_id, Status.OK if well else Status.ERROR, schedules[tier],
            outcome.elapsed_seconds))


def _failed(outcome: Outcome, reported: Callable[[Failure], bool]) -> Iterator[Failed]:
    by_component: dict[tuple[str, str], list[Failure]] = {}
    for failure in outcome.failures:
        part, _, store = failure.part.partition("@")
        by_component.setdefault((part.partition(".")[0], store), []).append(failure)
    for (component, store), failures in by_component.items():
        if all(map(reported, failures)):
            continue
        lines = dict.fromkeys(f"{each.part}: {each.message}" for each in failures)
        yield Failed(outcome.run_id, outcome.set_id.tier, component, store, failures[0].error,
                     "\n".join(lines))


def owe(system: System, run_id: str) -> bool:
    """Put the marker that has the end of a run told, whoever dies; False where it has been told.

    Nothing is written where nobody is to be told.
    """
    if not tells(system):
        return False
    pings = Pings(system.primary)
    if pings.paid(run_id):
        return False
    pings.owe(run_id)
    return True


def tells(system: System) -> bool:
    """Whether anybody is told of runs at all."""
    return _has_sentry(system) or bool(system.settings.ping_url.get_secret_value())


def left_over(system: System) -> Iterator[Outcome]:
    """The ends that nobody told, because who settled them died; and markers that are of no use go."""
    if not tells(system):
        return
    pings, now = Pings(system.primary), system.clock()
    for run_id, since in pings.owed():
        if now - since < _BEING_TOLD:
            continue
        outcome = system.ledger.outcome(run_id)
        if pings.paid(run_id) or (outcome is None and now - since > _NEVER_SETTLED):
            pings.forget(run_id)
        elif outcome is not None:
            yield outcome


def run_told(system: System, run: Run, work: Callable[[], Outcome], schedules: Schedules) -> Outcome:
    """Do a run in this process and tell of it, which costs a few seconds at most and fails nothing."""
    if not tells(system):
        return work()
    if _has_sentry(system):
        from nightscan_tasks.notify import sentry  # as above

        sentry.connect(system.settings)
    report_begin(system, run, schedules)
    _ping_here(system, run, Phase.START, schedules)
    with suppress(NightscanError):  # a store that is away: the run says so itself
        owe(system, run.run_id)
    outcome = work()
    with suppress(NightscanError):  # it went away since; the marker is still there
        _tell_end_here(system, run, outcome, schedules)
    return outcome


def _tell_end_here(system: System, run: Run, outcome: Outcome, schedules: Schedules) -> None:
    pings = Pings(system.primary)
    if not pings.paid(run.run_id):
        report_end(system, outcome, schedules)
        _ping_here(system, run, phase_of(outcome.ending), schedules)
        pings.pay(run.run_id, system.clock())


def _ping_here(system: System, run: Run, phase: Phase, schedules: Schedules) -> None:
    if is_pinged(system, run.set_id.tier, schedules):
        with suppress(NightscanError):  # it is on record; who waits for the backup need not wait for that
            send_ping(system, run.run_id, phase, seconds=_LOCAL_SECONDS)


def _has_sentry(system: System) -> bool:
    return bool(system.settings.sentry_dsn.get_secret_value())


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
