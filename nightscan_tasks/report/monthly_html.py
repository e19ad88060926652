"""A month's report as one self-contained HTML page: to be mailed, printed, or served."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nightscan_tasks.language import Language
from nightscan_tasks.report import charts
from nightscan_tasks.report.charts import Bullet, Series
from nightscan_tasks.report.monthly import MonthlyReport, RunLine
from nightscan_tasks.report.monthly_words import ENDINGS, sections, subtitle, title
from nightscan_tasks.report.scales import Unit

_FEW_POINTS = 2
_MARKS = {"good": "●", "open": "…", "degraded": "◐", "suspicious": "?", "incomplete": "▲", "failed": "✕",
          "missed": "○"}
_WORST_FIRST = tuple(reversed(_MARKS))


@dataclass(frozen=True)
class Chart:
    """A drawing and what stands above it."""

    title: str
    drawing: Markup


@dataclass(frozen=True)
class Cell:
    """One day of a tier: how its runs ended, as a class, a sign and a word. Without them nothing was due."""

    state: str = ""
    sign: str = ""
    word: str = ""


@dataclass(frozen=True)
class Strip:
    """The days of the month of one tier."""

    tier: str
    cells: tuple[Cell, ...]


def render(report: MonthlyReport, language: Language) -> str:
    """The report of a month as HTML that needs nothing else: no network, no script, no other file."""
    days = tuple(_days(report))
    return _environment().get_template("report.html.jinja").render(
        lang=language.code, title=title(report, language), subtitle=subtitle(report, language),
        sections=sections(report, language), days=days, strips=tuple(_strips(report, language, days)),
        legend=tuple((sign, state, _word(state, language)) for state, sign in _MARKS.items()),
        charts={"components": tuple(_components(report, language)), "runs": tuple(_trend(report, language)),
                "drills": tuple(_drills(report, language))},
        style=Markup(_style()),  # noqa: S704 - our own file
        text=language.text)


@lru_cache
def _environment() -> Environment:
    return Environment(loader=PackageLoader("nightscan_tasks.report"), autoescape=True,
                       undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _style() -> str:
    return (files(__package__) / "templates" / "report.css").read_text(encoding="utf-8") + charts.css()


def _components(report: MonthlyReport, language: Language) -> Iterator[Chart]:
    """Size and duration of every component, day by day; each has a scale of its own."""
    begin = report.month.first
    span = (begin, report.month.after.first - timedelta(days=1))
    for each in report.components:
        saved = [(run.set_id.taken_at, run.components[each.component]) for run in report.runs
                 if each.component in run.components]
        if len(saved) < _FEW_POINTS:
            continue
        sizes = Series(language.text("stored"), tuple((at, float(one.stored_bytes)) for at, one in saved))
        times = Series(language.text("duration"), tuple((at, one.elapsed_seconds) for at, one in saved))
        for name, series, unit in (
                (language.text("{component}: stored size", component=each.component), sizes, Unit.BYTES),
                (language.text("{component}: duration", component=each.component), times, Unit.SECONDS)):
            key = f"{unit.value}-{each.component}"
            yield Chart(name, charts.lines(key, name, (series,), unit, language, days=span))


def _drills(report: MonthlyReport, language: Language) -> Iterator[Chart]:
    rows = [Bullet(each.component, each.longest_seconds, float(each.objective_seconds), language.text(
        "{longest} of {objective}", longest=language.duration(each.longest_seconds),
        objective=language.duration(each.objective_seconds))) for each in report.recovery_times]
    if rows:
        name = language.text("Longest recovery of each component, against its objective")
        yield Chart(name, charts.bullets("recovery", name, rows, language))


def _trend(report: MonthlyReport, language: Language) -> Iterator[Chart]:
    """The last twelve months, where there are at least two."""
    zone = ZoneInfo(report.zone)
    if len(report.trend) < _FEW_POINTS:
        return
    span = (report.trend[0].month.first, report.trend[-1].month.after.first - timedelta(days=1))
    for key, name, unit, points in (
            ("trend-rate", language.text("Success rate of the last months"), Unit.SHARE,
             [(each.month, each.success_rate) for each in report.trend]),
            ("trend-bytes", language.text("Stored size of one set of everything"), Unit.BYTES,
             [(each.month, each.stored_bytes) for each in report.trend]),
            ("trend-seconds", language.text("Average duration of a run"), Unit.SECONDS,
             [(each.month, each.average_seconds) for each in report.trend])):
        middle = [(month.begins_at(zone) + timedelta(days=14), value) for month, value in points
                  if value is not None]
        if len(middle) >= _FEW_POINTS:
            yield Chart(name, charts.lines(key, name, (Series(name, tuple(middle)),), unit, language,
                                           days=span))


def _days(report: MonthlyReport) -> Iterator[date]:
    day = report.month.first
    while day < report.month.after.first:
        yield day
        day += timedelta(days=1)


def _strips(report: MonthlyReport, language: Language, days: tuple[date, ...]) -> Iterator[Strip]:
    zone = ZoneInfo(report.zone)
    for tier in report.tiers:
        found: dict[date, str] = {}
        runs = [run for run in report.runs if run.set_id.tier is tier.tier]
        for at, state in (*((run.set_id.taken_at, _state(run)) for run in runs),
                          *((at, "missed") for at in tier.missed_at)):
            day = _day(at, zone)
            found[day] = min(found.get(day, state), state, key=_WORST_FIRST.index)
        yield Strip(tier.tier.value, tuple(
            Cell(found[day], _MARKS[found[day]], _word(found[day], language)) if day in found else Cell()
            for day in days))


def _state(run: RunLine) -> str:
    if run.succeeded and run.suspicious and not run.trusted:
        return "suspicious"
    return "open" if run.ending is None else run.ending.value


def _word(state: str, language: Language) -> str:
    if state == "missed":
        return language.text("missed")
    if state == "suspicious":
        return language.text("suspicious")
    found = next((word for ending, word in ENDINGS.items() if ending is not None and ending.value == state),
                 ENDINGS[None])
    return language.text(found)


def _day(moment: datetime, zone: ZoneInfo) -> date:
    return moment.astimezone(zone).date()
