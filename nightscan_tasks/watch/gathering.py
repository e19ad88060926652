"""Everything that is seen at a glance, read from the ledger and the stores into one value.

It needs no broker. What only a thorough look can tell (queues, keys) is passed in, or was told by the last
one: an alert stays open while nobody looked for its problem again.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from nightscan_tasks.errors import NightscanError
from nightscan_tasks.ledger import Outcome
from nightscan_tasks.ledger.pings import last_pings
from nightscan_tasks.ledger.reads import Reads
from nightscan_tasks.ledger.restore_records import RestoreEnding, RestoreState
from nightscan_tasks.ledger.rotations import Rotated, Rotations
from nightscan_tasks.model import Keep, Plan, SetId, Tier
from nightscan_tasks.restore.journal import journals
from nightscan_tasks.restore.rates import forecast_recovery
from nightscan_tasks.rotation.gathering import reading
from nightscan_tasks.system import PRIMARY, System
from nightscan_tasks.watch.alert import Alert
from nightscan_tasks.watch.book import Book, Page, host_page
from nightscan_tasks.watch.finding import find_problems
from nightscan_tasks.watch.freshness import plan_freshness
from nightscan_tasks.watch.overview import (
    Due,
    KeySeen,
    Overview,
    Removal,
    RunSeen,
    SetSeen,
    StoreSeen,
)
from nightscan_tasks.watch.problem import Health, Kind, Problem, Severity, health
from nightscan_tasks.watch.queue import QueueSeen
from nightscan_tasks.watch.running import see_run
from nightscan_tasks.watch.samples import Samples, plan_filling
from nightscan_tasks.watch.sets import Shelf, see_sets, side_by_side

HISTORY = timedelta(days=400)
_RESTORES = 20
_AWAY = timedelta(hours=48)


@dataclass(frozen=True)
class Timetable:
    """What the workflows know: what each tier saves and how long it is kept, what is and was due when."""

    plans: Mapping[Tier, Plan]
    keep: Mapping[Tier, Keep]
    due: tuple[Due, ...] = ()
    expected_at: Mapping[Tier, tuple[datetime, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """What a thorough look asked; None: nobody did."""

    queues: tuple[QueueSeen, ...] | None = None
    keys: tuple[KeySeen, ...] | None = None
    problems: tuple[Problem, ...] = ()
    blind: tuple[str, ...] = ()


def gather(system: System, timetable: Timetable, asked: Asked | None = None) -> Overview:
    """The state of everything, now. It does not fail: a primary store that is away is what is seen then."""
    asked = asked or Asked()
    try:
        seen = _see(system, timetable, asked)
        page = Book(system.primary).page()
        untold = (*_untold(page), *_unpinged(system))
    except NightscanError as exc:
        return _blind(system, exc, asked)
    found = (*find_problems(seen, system.settings), *asked.problems, *untold)
    blind = _not_looked_for(seen, asked)
    remembered = tuple(alert.problem for alert in page.alerts if is_blind(alert.key, blind)
                       and alert.key not in {each.key for each in found})
    judged = (_escalated(each, page, seen.now) for each in found)
    problems = tuple(sorted((*judged, *remembered), key=lambda each: each.severity is not Severity.CRITICAL))
    return replace(seen, problems=problems, health=health(problems), alerts=page.alerts, blind=blind)


def _escalated(problem: Problem, page: Page, now: datetime) -> Problem:
    """A store that has been away for as long as no set may be old is no matter of waiting any more."""
    if problem.kind is not Kind.UNREACHABLE:
        return problem
    since = next((alert.since for alert in page.alerts if alert.key == problem.key), now)
    critical = problem.severity is Severity.CRITICAL or now - since > _AWAY
    return replace(problem, since=since, severity=Severity.CRITICAL if critical else Severity.WARNING)


def is_blind(key: str, blind: tuple[str, ...]) -> bool:
    """Whether nobody could look for the problem of that key."""
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in blind)


def _see(system: System, timetable: Timetable, asked: Asked) -> Overview:
    now, settings = system.clock(), system.settings
    runs = see_runs(system, since=now - HISTORY)
    sets, shelves = see_sets(system)
    begun_at = min((run.opened_at for run in runs if run.opened_at <= now), default=None)
    rotated = {store.name: found for store in system.stores
               if (found := Rotations(system.primary).last(store)) is not None}
    stores = tuple(_store(system, shelf, sets) for shelf in shelves)
    return Overview(
        site=system.site, now=now, problems=(), health=Health.GOOD, runs=runs,
        running=tuple(see_run(system, system.ledger.state(run.run_id))
                      for run in system.ledger.open_runs(now=now)),
        sets=sets, stores=stores,
        freshness=plan_freshness(sets, plans=timetable.plans, settings=settings, now=now, begun_at=begun_at,
                                 stores=[store.name for store in stores if store.answers]),
        drills=tuple(system.restores.drills()), restores=tuple(_restores(system)),
        restoring=tuple(sorted(map(str, reading(system)))), recovery=forecast_recovery(system),
        removals=_removals(sets, timetable.keep), frozen=_frozen(rotated),
        frozen_since=min((each.since for each in rotated.values() if each.since), default=None),
        queues=asked.queues, keys=asked.keys, due=timetable.due, expected_at=timetable.expected_at,
        begun_at=begun_at, objective_loss_seconds=settings.objective_loss_seconds,
        live_medium=_medium(str(settings.root)))


def see_runs(system: System, *, since: datetime) -> tuple[RunSeen, ...]:
    """The runs since a moment, the newest first, told by their names; each with how it ended."""
    wanted: list[SetId] = []
    for run_id in system.ledger.run_ids():
        tier, _, stamp = run_id.rpartition("-")
        try:
            set_id = SetId.parse(f"{tier}/{stamp}")
        except ValueError:
            continue  # not a run's name
        if set_id.taken_at >= since:
            wanted.append(set_id)
    wanted.sort(key=lambda set_id: (set_id.taken_at, set_id.tier), reverse=True)
    outcomes: list[Outcome | None] = side_by_side(lambda each: system.ledger.outcome(each.run_id), wanted)
    return tuple(RunSeen(set_id.run_id, set_id, outcome)
                 for set_id, outcome in zip(wanted, outcomes, strict=True))


def _store(system: System, shelf: Shelf, sets: tuple[SetSeen, ...]) -> StoreSeen:
    here = [each for each in sets if each.set_id in shelf.ids]
    return StoreSeen(
        shelf.store.name, shelf.store.url, len(here), sum(each.stored_bytes for each in here),
        plan_filling(Samples(system.primary).of(shelf.store)), shelf.problem,
        Reads(system.primary).scrubbed(shelf.store), _medium(shelf.store.url))


def _medium(place: str) -> str:
    """What a store or folder lies on: an object store, or the disk that is mounted there or above."""
    scheme, _, _ = place.partition("://")
    if scheme == "s3":
        return "S3"
    path = Path(place.removeprefix("file://")).absolute()
    while not path.is_mount() and path != path.parent:
        path = path.parent
    return f"the disk at {path}"


def _restores(system: System) -> list[RestoreState]:
    """Restores that were cut off, or whose old state is still kept."""
    found = []
    for journal in journals(system):
        for run_id in journal.restores.run_ids()[-_RESTORES:]:
            state = journal.restores.state(run_id)
            failed = state.outcome is not None and state.outcome.ending is RestoreEnding.FAILED
            if not failed and state.accepted is None:
                found.append(state)
    return found


def _removals(sets: tuple[SetSeen, ...], keep: Mapping[Tier, Keep]) -> tuple[Removal, ...]:
    """When each set is past its time, the next first."""
    found = [Removal(each.set_id, expires_at, each.held) for each in sets
             if (expires_at := keep.get(each.set_id.tier, Keep()).expires_at(each.set_id.taken_at))]
    return tuple(sorted(found, key=lambda each: (each.expires_at, each.set_id)))


def _frozen(rotated: Mapping[str, Rotated]) -> dict[str, str]:
    """Why nothing goes, by store, or by store and tier with a blank between."""
    found = {name: each.held for name, each in rotated.items() if each.held}
    for name, each in rotated.items():
        if not each.held:
            found |= {f"{name} {tier}": why for tier, why in each.frozen.items()}
    return found


def _untold(page: Page) -> list[Problem]:
    """The channels that did not take what they were told: of that the others tell."""
    return [Problem(Kind.UNTOLD, each.channel, Severity.WARNING, each.since,
                    {"channel": each.channel, "problem": each.problem}) for each in page.untold]


def _unpinged(system: System) -> list[Problem]:
    """The tiers of whose last run the dead man's switch could not be told, if there is one still."""
    if not system.settings.ping_url.get_secret_value():
        return []
    return [Problem(Kind.UNPINGED, tier.value, Severity.WARNING, seen.since,
                    {"tier": tier.value, "problem": seen.problem.partition("\n")[0]})
            for tier, seen in last_pings(system.primary).items() if not seen.ok]


def _not_looked_for(seen: Overview, asked: Asked) -> tuple[str, ...]:
    """The patterns of the keys of what nobody looked for this time."""
    blind = [*asked.blind, f"{Kind.UNWRITTEN}:*"]
    if asked.queues is None:
        blind += [f"{Kind.NO_WORKER}:*", f"{Kind.WAITING}:*", f"{Kind.NO_BROKER}:*"]
    if asked.keys is None:
        blind += [f"{Kind.KEY_EXPIRES}:*", f"{Kind.KEY_UNUSABLE}:*"]
    for store in seen.stores:
        if not store.answers:
            blind += [f"*@{store.name}", *(f"{kind}:{store.name}" for kind in
                                           (Kind.UNCOPIED, Kind.FILLING, Kind.UNSCRUBBED, Kind.MENDED))]
    return tuple(blind)


def _blind(system: System, exc: NightscanError, asked: Asked) -> Overview:
    """What is seen without the primary store: that, and what was asked of others."""
    problem = Problem(Kind.UNREACHABLE, PRIMARY, Severity.CRITICAL, None, {
        "store": PRIMARY, "url": system.primary.url, "problem": str(exc).partition("\n")[0]})
    page = host_page(system.settings)
    known: dict[str, Alert] = {alert.key: alert for alert in page.alerts}
    problems = (problem, *asked.problems)
    return Overview(system.site, system.clock(), problems, Health.CRITICAL,
                    alerts=tuple(known.values()), queues=asked.queues, keys=asked.keys,
                    stores=tuple(StoreSeen(store.name, store.url,
                                           problem=problem.facts["problem"] if store.name == PRIMARY else "")  # type: ignore[arg-type]  # a text
                                 for store in system.stores[:1]), blind=("*",))
