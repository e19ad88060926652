"""A month's report in words: sections of sentences and tables, which text and HTML show alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from nightscan_tasks.language import Language, marked
from nightscan_tasks.ledger import Ending
from nightscan_tasks.report.monthly import (
    DrillLine,
    Figure,
    Incident,
    MonthlyReport,
    RecoveryLine,
    RunLine,
    StoreMonth,
    TierMonth,
)
from nightscan_tasks.report.monthly_advice import advise
from nightscan_tasks.watch.problem import Severity
from nightscan_tasks.watch.words import describe

Write = Callable[[float], str]
_LONGEST = 160  # of an error that a table quotes

ENDINGS = {
    Ending.GOOD: marked("good"), Ending.DEGRADED: marked("not in every store"),
    Ending.INCOMPLETE: marked("incomplete"), Ending.FAILED: marked("failed"), None: marked("under way"),
}
_DRILL_KINDS = {"routine": marked("routine drill"), "simulated loss": marked("simulated loss of the site")}
_RECOVERIES = {"restored": marked("restored"), "rolled_back": marked("rolled back"),
               "failed": marked("failed, and nothing was changed"), "open": marked("not finished")}
NO_COMPONENTS = marked("Sizes and times of components are not known: no run of this month recorded them.")


@dataclass(frozen=True)
class Table:
    """Rows of texts; `right` are the columns of numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()


@dataclass(frozen=True)
class Section:
    """One section: paragraphs, a table, points of a list; each may be missing. `key` is for programs."""

    key: str
    title: str
    told: tuple[str, ...] = ()
    table: Table | None = None
    points: tuple[str, ...] = ()


def title(report: MonthlyReport, language: Language) -> str:
    """`Monthly backup report: November 2026`."""
    return language.text("Monthly backup report: {month}", month=language.month(report.month.first))


def subtitle(report: MonthlyReport, language: Language) -> str:
    """Of what and when, and what limits the figures."""
    told = [report.site, language.text("written on {moment}", moment=language.moment(report.written_at))]
    if not report.is_over:
        told.append(language.text("the month is not over"))
    if report.recorded_since and report.recorded_since < report.until:
        told.append(language.text("records begin on {moment}",
                                  moment=language.moment(report.recorded_since)))
    return " · ".join(told)


def sections(report: MonthlyReport, language: Language) -> tuple[Section, ...]:
    """The whole report, in the order in which it is read."""
    words = _Words(report, language)
    return tuple(each for each in (
        words.summary(), words.advice(), words.runs(), words.troubled(), words.components(), words.stores(),
        words.drills(), words.recoveries(), words.incidents(), words.method()) if each is not None)


class _Words:
    def __init__(self, report: MonthlyReport, language: Language) -> None:
        self.report, self.language, self.text = report, language, language.text

    def summary(self) -> Section:
        """The figures of the guide's report, each beside the month before."""
        report, say = self.report, self.language
        wanted = sum(each.wanted for each in report.tiers)
        succeeded = sum(each.good + each.degraded for each in report.tiers)
        rows = [
            (self.text("Success rate"), self._rate(report.success_rate, succeeded, wanted),
             _known(report.success_rate.before, lambda share: say.percent(share, digits=1))),
            (self.text("Average size of a set"), self._size(report.average_bytes),
             _known(report.average_bytes.before, say.size)),
            (self.text("Average duration of a run"), self._duration(report.average_seconds),
             _known(report.average_seconds.before, say.duration)),
            (self.text("Growth in the month"), self._figure(report.growth, self._signed),
             _known(report.growth.before, self._signed)),
            (self.text("Drills that held"), self._drills_held(), ""),
            (self.text("Average recovery time"), self._duration(report.recovery),
             _known(report.recovery.before, say.duration)),
            (self.text("Incidents"), self._incidents_counted(), ""),
            (self.text("Noticed after, on average"), self._duration(report.detection), ""),
        ]
        head = ("", say.month(report.month.first), say.month(report.month.before.first))
        return Section("summary", self.text("At a glance"), table=Table(head, tuple(rows)))

    def advice(self) -> Section:
        """What follows from the figures."""
        points = tuple(advise(each, self.language) for each in self.report.advice)
        told = () if points else (self.text("No figure of this month asks for anything."),)
        if self.report.empty:
            told = (self.text("Without records there is nothing to advise but this: find out why there are "
                              "none (nightscan doctor)."),)
        return Section("advice", self.text("Advice"), told, points=points)

    def runs(self) -> Section:
        """How the runs of each tier ended."""
        if not self.report.tiers:
            return Section("runs", self.text("Runs"), (self._unknown(self.report.success_rate),))
        head = tuple(self.text(each) for each in (
            marked("Tier"), marked("Due"), marked("Good"), marked("Not every store"), marked("Incomplete"),
            marked("Failed"), marked("Missed"), marked("Success"), marked("Duration")))
        rows = tuple(self._tier(each) for each in self.report.tiers)
        return Section("runs", self.text("Runs"), table=Table(head, rows, tuple(range(1, len(head)))))

    def _tier(self, each: TierMonth) -> tuple[str, ...]:
        say, number = self.language, self.language.number
        return (each.tier.value, number(each.wanted), number(each.good), number(each.degraded),
                number(each.incomplete), number(each.failed), number(len(each.missed_at)),
                _known(each.success_rate.value, say.percent) or "-",
                _known(each.average_seconds.value, say.duration) or "-")

    def troubled(self) -> Section | None:
        """The runs that did not end well, and those that never began."""
        found = [(run.set_id.taken_at, self._troubled_run(run)) for run in self.report.runs
                 if run.ending is not Ending.GOOD or run.suspicious]
        found += self._missed()
        if not found:
            return None
        rows = tuple(row for _, row in sorted(found))
        head = (self.text("When"), self.text("Tier"), self.text("How it ended"), self.text("Why"))
        return Section("troubled", self.text("Runs that did not end well"), table=Table(head, rows))

    def _troubled_run(self, run: RunLine) -> tuple[str, str, str, str]:
        how = self.text(ENDINGS[run.ending])
        if run.suspicious and run.ending is Ending.GOOD:
            how = self.text("suspicious, and trusted") if run.trusted else self.text("suspicious")
        whys = (*_failures(run), *run.suspicious)
        return (self._when(run.set_id.taken_at), run.set_id.tier.value, how, _short("; ".join(whys)))

    def _missed(self) -> Iterator[tuple[datetime, tuple[str, str, str, str]]]:
        """Runs that never began, those that follow one another in one row."""
        for tier in self.report.tiers:
            groups: list[list[datetime]] = []
            for at in tier.missed_at:
                if groups and at - groups[-1][-1] <= timedelta(hours=26):
                    groups[-1].append(at)
                else:
                    groups.append([at])
            for each in groups:
                count = self.language.many("{number} run never began", "{number} runs never began", len(each))
                when = self._when(each[0])
                if len(each) > 1:
                    when = self.text("{first} to {last}", first=when, last=self._when(each[-1]))
                yield each[0], (when, tier.tier.value, self.text("missed"), count)

    def components(self) -> Section:
        """Sizes at the month's end, growth, times."""
        say, title = self.language, self.text("Sizes and times")
        if not self.report.components:
            told = NO_COMPONENTS if any(run.succeeded for run in self.report.runs) else ""
            return Section("components", title, (
                self.text(told) if told else self._unknown(self.report.average_bytes),))
        head = (self.text("Component"), self.text("Plain"), self.text("Stored"), self.text("Share"),
                self.text("Growth"), self.text("Duration"), self.text("Month before"))
        rows = []
        for each in self.report.components:
            stored, plain = each.stored_bytes.value, each.plain_bytes.value
            rows.append((each.component, _known(plain, say.size) or "-", _known(stored, say.size) or "-",
                         say.percent(stored / plain) if stored is not None and plain else "-",
                         _known(each.growth.value, self._signed) or "-",
                         _known(each.seconds.value, say.duration) or "-",
                         _known(each.seconds.before, say.duration) or "-"))
        return Section("components", title, table=Table(head, tuple(rows), tuple(range(1, len(head)))))

    def stores(self) -> Section:
        """Copies in time, readings, room."""
        head = tuple(self.text(each) for each in (
            marked("Store"), marked("Sets in time"), marked("Later"), marked("Read back"), marked("Damaged"),
            marked("Sets now"), marked("Size now"), marked("Full on")))
        rows = tuple(self._store(each) for each in self.report.stores)
        told = tuple(self.text("{store} did not answer when this was written: {problem}", store=each.name,
                               problem=each.problem) for each in self.report.stores if each.problem)
        return Section("stores", self.text("Stores"), told,
                       Table(head, rows, tuple(range(1, len(head) - 1))) if rows else None)

    def _store(self, each: StoreMonth) -> tuple[str, ...]:
        say, number = self.language, self.language.number
        now = ("?", "?") if each.problem else (number(each.sets), say.size(each.stored_bytes))
        full = say.day(each.full_on) if each.full_on else (
            self.text("not foreseen") if each.foreseen else self.text("not known"))
        read = f"{number(each.verified)}/{number(each.wanted)}"
        return (each.name, number(each.wanted - each.late), number(each.late), read, number(each.damaged),
                *now, full)

    def drills(self) -> Section:
        """What was proved by restoring."""
        title = self.text("Drills")
        if not self.report.drills:
            return Section("drills", title, (self._unknown(self.report.recovery),))
        head = (self.text("When"), self.text("What"), self.text("Took"), self.text("Data lost"),
                self.text("Result"))
        return Section("drills", title, table=Table(
            head, tuple(self._drill(each) for each in self.report.drills), (2, 3)))

    def _drill(self, each: DrillLine) -> tuple[str, ...]:
        say = self.language
        kind = self.text(_DRILL_KINDS[each.kind]) if each.kind in _DRILL_KINDS else each.kind
        held = self.text("held") if each.passed else self.text("did not hold: {why}", why=each.problems[0])
        return (self._when(each.drilled_at), kind, say.duration(each.elapsed_seconds),
                _known(each.loss_seconds, say.duration) or "-", _short(held))

    def recoveries(self) -> Section | None:
        """Restores that were needed."""
        if not self.report.recoveries:
            return None
        head = (self.text("When"), self.text("What"), self.text("From"), self.text("Took"),
                self.text("Result"))
        return Section("recoveries", self.text("Real restores"), table=Table(
            head, tuple(self._recovery(each) for each in self.report.recoveries), (3,)))

    def _recovery(self, each: RecoveryLine) -> tuple[str, ...]:
        return (self._when(each.opened_at), ", ".join(each.components), str(each.set_id),
                _known(each.elapsed_seconds, self.language.duration) or "-",
                self.text(_RECOVERIES[each.ending]) if each.ending in _RECOVERIES else each.ending)

    def incidents(self) -> Section:
        """What was wrong, when it was noticed, and how long it lasted."""
        title = self.text("Incidents")
        if not self.report.incidents:
            told = (self.text("Nothing was wrong that anybody noticed.") if self.report.alerts_known
                    else self._unknown(self.report.detection))
            return Section("incidents", title, (told,))
        head = (self.text("Began"), self.text("What"), self.text("Severity"), self.text("Noticed after"),
                self.text("Lasted"))
        return Section("incidents", title, table=Table(
            head, tuple(self._incident(each) for each in self.report.incidents), (3, 4)))

    def _incident(self, each: Incident) -> tuple[str, ...]:
        say, since = self.language, each.problem.since
        worst = self.text("critical") if each.worst is Severity.CRITICAL else self.text("warning")
        return (self._when(since) if since else self.text("not known"),
                describe(each.problem, say, now=self.report.until).title, worst,
                _known(each.detection_seconds, say.duration) or self.text("not known"),
                _known(each.lasted_seconds, say.duration) or self.text("not over"))

    def method(self) -> Section:
        """What the words mean, so that figures can be checked."""
        return Section("method", self.text("How this is counted"), (
            self.text("A run succeeds when its set is complete and was read back in the primary store. One "
                      "that was due and never began counts as one that did not succeed."),
            self.text("Sizes of components are the median of the last seven sets of the month; growth "
                      "compares it with the month before. Averages are over complete sets."),
            self.text("The recovery time is that of drills, from the first byte to the last comparison. "
                      "An incident is noticed when an alert is opened."),
            self.text("Everything is in the time zone {zone}. All figures come from the ledger.",
                      zone=self.report.zone)))

    def _figure(self, figure: Figure, write: Write) -> str:
        return self._unknown(figure) if figure.value is None else write(figure.value)

    def _unknown(self, figure: Figure) -> str:
        return self.text("not known: {why}", why=self.text(figure.why))

    def _size(self, figure: Figure) -> str:
        return self._figure(figure, self.language.size)

    def _duration(self, figure: Figure) -> str:
        return self._figure(figure, self.language.duration)

    def _rate(self, figure: Figure, succeeded: int, wanted: int) -> str:
        if figure.value is None:
            return self._unknown(figure)
        say = self.language
        return self.text("{rate} ({succeeded} of {wanted} runs)", rate=say.percent(figure.value, digits=1),
                         succeeded=say.number(succeeded), wanted=say.number(wanted))

    def _drills_held(self) -> str:
        report = self.report
        if not report.drills_performed:
            return self.text("none was done")
        return self.text("{passed} of {performed}", passed=self.language.number(report.drills_passed),
                         performed=self.language.number(report.drills_performed))

    def _incidents_counted(self) -> str:
        report = self.report
        if not report.incidents and not report.alerts_known:
            return self._unknown(report.detection)
        return self.language.number(len(report.incidents))

    def _signed(self, share: float) -> str:
        return f"{'+' if share >= 0 else ''}{self.language.percent(share, digits=1)}"

    def _when(self, moment: datetime) -> str:
        return self.language.moment(moment)


def _failures(run: RunLine) -> Iterator[str]:
    """What failed, and why: what failed for one reason together; a copy's reason names its store."""
    reasons: dict[str, dict[str, None]] = {}
    for each in run.failures:
        failed = reasons.setdefault(each.message.partition("\n")[0], {})
        if "@" not in each.part:
            failed[each.part.partition(".")[0]] = None
    for message, components in reasons.items():
        yield f"{', '.join(components)}: {message}" if components else message


def _known(value: float | None, write: Write) -> str:
    return "" if value is None else write(value)


def _short(told: str) -> str:
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST - 1].rstrip()}…"
