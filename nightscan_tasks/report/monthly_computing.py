"""A month's figures, from what the ledger has of it. Pure: nothing in here reads anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from statistics import mean, median
from zoneinfo import ZoneInfo

from nightscan_tasks.language import marked
from nightscan_tasks.ledger import Ending, Outcome, Saved
from nightscan_tasks.ledger.restore_records import Drill
from nightscan_tasks.model import COMPONENTS, SetId, Tier
from nightscan_tasks.report.monthly import (
    ComponentMonth,
    DrillLine,
    Figure,
    Incident,
    Month,
    MonthlyReport,
    MonthPoint,
    RecoveryLine,
    RecoveryTime,
    RunLine,
    StoreMonth,
    TierMonth,
)
from nightscan_tasks.report.monthly_advising import plan_advice
from nightscan_tasks.report.monthly_reading import Records
from nightscan_tasks.system import PRIMARY
from nightscan_tasks.watch.overview import Overview, RunSeen, StoreSeen

NO_RUN = marked("the ledger has no run of this month")
NO_SET = marked("no complete set was saved in this month")
NOT_SAVED = marked("it was not saved in this month")
NOT_SAVED_BEFORE = marked("it was not saved in the month before")
NO_DRILL = marked("no drill was done in this month")
NOTHING_RESTORED = marked("no drill of this month came as far as restoring")
NEVER_LOOKED = marked("nobody ever looked for problems: is the beat running?")
NOTHING_NOTICED = marked("nothing was noticed in this month")
UNKNOWN_BEGINNING = marked("when it began is not known of anything that was noticed")

_AT_ONCE = timedelta(minutes=1)     # by which the clocks of beat and workers may differ
_MAY_WAIT = timedelta(hours=1)      # a run that was due this long ago and is not there was missed
_LAST_SETS = 7                      # their median is the size at a month's end: one odd set moves nothing
_OLD = timedelta(days=183)
_TREND_MONTHS = 12


def compute(month: Month, overview: Overview, records: Records, *, zone: ZoneInfo) -> MonthlyReport:
    """The report of a month. One that is not over is told up to the overview's moment."""
    past = _Past(overview, records, zone)
    until = min(month.ends_at(zone), overview.now)
    begun = overview.begun_at
    drills = sorted((each for each in overview.drills if month.has(each.drilled_at, zone)),
                    key=lambda each: each.drilled_at)
    incidents = _incidents(month, records, zone, until)
    report = MonthlyReport(
        overview.site, month, str(zone), overview.now, until,
        recorded_since=begun if begun and begun > month.begins_at(zone) + timedelta(days=1) else None,
        success_rate=past.both(month, past.success_rate, NO_RUN),
        average_bytes=past.both(month, past.average_bytes, NO_SET),
        average_seconds=past.both(month, past.average_seconds, NO_SET),
        growth=past.growth_figure(month, None),
        detection=_detection(incidents, month, zone, known=records.alerts_known),
        recovery=_recovery(overview.drills, month, zone),
        drills_performed=len(drills), drills_passed=sum(each.passed for each in drills),
        tiers=tuple(past.tiers(month)), components=tuple(past.components(month)), runs=past.runs(month),
        drills=tuple(map(_drill_line, drills)), recovery_times=tuple(_recovery_times(drills)),
        recoveries=tuple(_recoveries(records)), incidents=incidents, alerts_known=records.alerts_known,
        stores=tuple(past.store(each, month) for each in overview.stores), encrypted=_encrypted(overview),
        objective_loss_seconds=overview.objective_loss_seconds, trend=tuple(past.trend(month)))
    return replace(report, advice=tuple(plan_advice(report)))


class _Past:
    """The runs of all months, asked for by month."""

    def __init__(self, overview: Overview, records: Records, zone: ZoneInfo) -> None:
        self._overview, self._records, self._zone = overview, records, zone
        self._runs: dict[Month, list[RunLine]] = {}
        offsites = [store.name for store in overview.stores if store.name != PRIMARY]
        for run in sorted(overview.runs, key=lambda run: run.opened_at):
            self._runs.setdefault(Month.of(run.opened_at, zone), []).append(
                _run_line(run, offsites, records.trusted))

    def both(self, month: Month, ask: Callable[[Month], float | None], why: str) -> Figure:
        """A figure of a month beside that of the month before."""
        value = ask(month)
        return Figure(value, "" if value is not None else why, ask(month.before))

    def runs(self, month: Month, tier: Tier | None = None) -> tuple[RunLine, ...]:
        """The runs that were opened in it, the earliest first."""
        return tuple(run for run in self._runs.get(month, []) if tier in {None, run.set_id.tier})

    def missed(self, month: Month, tier: Tier) -> tuple[datetime, ...]:
        """The moments of it from which no run of a tier came, since there have been runs at all."""
        begun, now = self._overview.begun_at, self._overview.now
        if begun is None:
            return ()
        due = sorted(self._overview.expected_at.get(tier, ()))
        opened = [run.opened_at for run in self._overview.runs if run.set_id.tier is tier]
        return tuple(at for at, following in zip(due, [*due[1:], now], strict=False)
                     if month.has(at, self._zone) and begun - _AT_ONCE <= at <= now - _MAY_WAIT
                     and not any(at - _AT_ONCE <= each < following for each in opened))

    def success_rate(self, month: Month, tier: Tier | None = None) -> float | None:
        ended = [run for run in self.runs(month, tier) if run.ending is not None]
        missed = sum(len(self.missed(month, each)) for each in ([tier] if tier else Tier))
        wanted = len(ended) + missed
        return sum(run.succeeded for run in ended) / wanted if wanted else None

    def average_bytes(self, month: Month, tier: Tier | None = None) -> float | None:
        return _mean(run.stored_bytes for run in self.runs(month, tier) if run.succeeded)

    def average_seconds(self, month: Month, tier: Tier | None = None) -> float | None:
        return _mean(run.elapsed_seconds for run in self.runs(month, tier) if run.succeeded)

    def tiers(self, month: Month) -> Iterator[TierMonth]:
        """Those that ran, or should have."""
        for tier in Tier:
            runs, missed = self.runs(month, tier), self.missed(month, tier)
            if not runs and not missed:
                continue
            counted = {ending: sum(run.ending is ending for run in runs) for ending in Ending}
            yield TierMonth(
                tier, counted[Ending.GOOD], counted[Ending.DEGRADED], counted[Ending.INCOMPLETE],
                counted[Ending.FAILED], sum(run.ending is None for run in runs), missed,
                self._of_tier(month, tier, self.success_rate, NO_RUN),
                self._of_tier(month, tier, self.average_bytes, NO_SET),
                self._of_tier(month, tier, self.average_seconds, NO_SET))

    def _of_tier(self, month: Month, tier: Tier, ask: Callable[[Month, Tier], float | None],
                 why: str) -> Figure:
        return self.both(month, lambda each: ask(each, tier), why)

    def components(self, month: Month) -> Iterator[ComponentMonth]:
        """Those that were saved in it, or that failed."""
        for component in COMPONENTS:
            saved = [run for run in self.runs(month) if component in run.components]
            failed = sum(component in failed_components(run) for run in self.runs(month))
            if saved or failed:
                yield ComponentMonth(
                    component, len(saved), failed,
                    self._figure(month, partial(self.plain_size, component)),
                    self._figure(month, partial(self.stored_size, component)),
                    self.growth_figure(month, component),
                    self._figure(month, partial(self._seconds, component)))

    def _figure(self, month: Month, ask: Callable[[Month], float | None]) -> Figure:
        return self.both(month, ask, NOT_SAVED)

    def plain_size(self, component: str, month: Month) -> float | None:
        """The same as `stored_size`, before compression and encryption."""
        return _median(each.plain_bytes for each in self._last(component, month))

    def stored_size(self, component: str, month: Month) -> float | None:
        """The bytes of a component at the end of a month: the median of its last sets, if none was odd."""
        return _median(each.stored_bytes for each in self._last(component, month))

    def _last(self, component: str, month: Month) -> list[Saved]:
        found = [run.components[component] for run in self.runs(month) if component in run.components
                 and (not run.suspicious or run.trusted) and component not in failed_components(run)]
        return found[-_LAST_SETS:]

    def growth_figure(self, month: Month, component: str | None) -> Figure:
        """By which share one component grew, or all together, against the month before."""
        value = self._growth(month, component)
        why = "" if value is not None else (
            NOT_SAVED if not any(self._sizes(month, component)) else NOT_SAVED_BEFORE)
        return Figure(value, why, self._growth(month.before, component))

    def _growth(self, month: Month, component: str | None) -> float | None:
        pairs = [(now, before) for now, before in zip(
            self._sizes(month, component), self._sizes(month.before, component), strict=True)
            if now is not None and before]
        return sum(now for now, _ in pairs) / sum(before for _, before in pairs) - 1 if pairs else None

    def _sizes(self, month: Month, component: str | None) -> list[float | None]:
        return [self.stored_size(each, month) for each in ([component] if component else COMPONENTS)]

    def _seconds(self, component: str, month: Month) -> float | None:
        return _mean(run.components[component].elapsed_seconds for run in self.runs(month)
                     if component in run.components)

    def store(self, seen: StoreSeen, month: Month) -> StoreMonth:
        """How a store fared: what came to it in time, and what was read back there."""
        runs = [run for run in self.runs(month) if run.succeeded]
        read = [found for run in self.runs(month)
                if (found := self._records.verified.get((run.set_id.run_id, seen.name))) is not None
                and found.url == seen.url]
        old, filling = self._overview.now - _OLD, seen.filling
        return StoreMonth(
            seen.name, len(runs), sum(seen.name in run.late for run in runs),
            sum(each.set_id in {run.set_id for run in runs} for each in read),
            sum(bool(each.problems) for each in read), seen.sets, seen.stored_bytes,
            sum(each.stored_bytes for each in self._overview.sets if each.set_id.taken_at < old
                and any(copy.store == seen.name for copy in each.copies)),
            filling.full_on if filling else None,
            filling is not None and filling.bytes_per_day is not None, seen.problem)

    def trend(self, month: Month) -> Iterator[MonthPoint]:
        """The last twelve months, the earliest first, as far back as there are runs."""
        months = [month]
        for _ in range(_TREND_MONTHS - 1):
            months.append(months[-1].before)
        for each in reversed(months):
            if self.runs(each):
                sizes = [size for size in self._sizes(each, None) if size is not None]
                yield MonthPoint(each, self.success_rate(each), sum(sizes) if sizes else None,
                                 self.average_seconds(each))


def failed_components(run: RunLine) -> set[str]:
    """The components that a run did not save whole; a copy that failed is none."""
    return {each.part.partition(".")[0] for each in run.failures if "@" not in each.part} & set(COMPONENTS)


def _run_line(run: RunSeen, offsites: Sequence[str], trusted: frozenset[SetId]) -> RunLine:
    outcome: Outcome | None = run.outcome
    if outcome is None:
        return RunLine(run.set_id, None)
    late = () if outcome.ending is Ending.FAILED else tuple(
        name for name in offsites if name not in outcome.stores)
    return RunLine(run.set_id, outcome.ending, outcome.elapsed_seconds, outcome.plain_bytes,
                   outcome.stored_bytes, outcome.components, outcome.failures, late, outcome.suspicious,
                   run.set_id in trusted, outcome.tag)


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return mean(found) if found else None


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return median(found) if found else None


def _drill_line(drill: Drill) -> DrillLine:
    return DrillLine(drill.drilled_at, drill.kind, drill.set_id, drill.store, drill.elapsed_seconds,
                     drill.loss_seconds, drill.problems,
                     tuple(each.component for each in drill.components if not each.met))


def _recovery(drills: Iterable[Drill], month: Month, zone: ZoneInfo) -> Figure:
    """How long a recovery took on average, of the drills that restored anything."""
    in_month = [each for each in drills if month.has(each.drilled_at, zone)]
    before = _mean(each.elapsed_seconds for each in drills if each.components
                   and month.before.has(each.drilled_at, zone))
    value = _mean(each.elapsed_seconds for each in in_month if each.components)
    why = "" if value is not None else NOTHING_RESTORED if in_month else NO_DRILL
    return Figure(value, why, before)


def _recovery_times(drills: Sequence[Drill]) -> Iterator[RecoveryTime]:
    for component in COMPONENTS:
        timed = [each for drill in drills for each in drill.components if each.component == component]
        if timed:
            longest = max(timed, key=lambda each: each.elapsed_seconds)
            yield RecoveryTime(component, longest.elapsed_seconds, longest.objective_seconds)


def _recoveries(records: Records) -> Iterator[RecoveryLine]:
    for state in sorted(records.restores, key=lambda each: each.run.opened_at):
        ended = state.outcome
        yield RecoveryLine(state.run.opened_at, state.run.set_id, state.run.components,
                           ended.ending.value if ended else "open", ended.elapsed_seconds if ended else None)


def _incidents(month: Month, records: Records, zone: ZoneInfo, until: datetime) -> tuple[Incident, ...]:
    """What was wrong in the month, the earliest first: begun before its end, and not over before it."""
    found = [Incident(each.problem, each.worst, each.noticed_at,
                      each.closed_at if each.closed_at and each.closed_at <= until else None)
             for each in records.alerts if each.noticed_at < until
             and (each.closed_at is None or each.closed_at >= month.begins_at(zone))]
    return tuple(sorted(found, key=lambda each: each.problem.since or each.noticed_at))


def _detection(incidents: Sequence[Incident], month: Month, zone: ZoneInfo, *, known: bool) -> Figure:
    noticed = [each for each in incidents if month.has(each.noticed_at, zone)]
    value = _mean(each.detection_seconds for each in noticed if each.detection_seconds is not None)
    if value is not None:
        return Figure(value)
    return Figure(None, UNKNOWN_BEGINNING if noticed else NOTHING_NOTICED if known else NEVER_LOOKED)


def _encrypted(overview: Overview) -> bool | None:
    """Whether the newest set is; None where there is none."""
    newest = next((each for each in overview.sets if not each.problem), None)
    return newest.encrypted if newest else None
