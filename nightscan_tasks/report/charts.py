"""Charts as SVG: numbers in, text out. pygal draws them; `svg` makes them fit for a page without scripts.

Nothing of a chart is told by colour alone: lines differ by dashes and marks and are named at their end, bars
carry their values. What looks is in `templates/charts.css` (`css()`), by variables that a page may set, so
that the same chart is read by day, by night and on paper.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from itertools import pairwise
from statistics import median
from typing import Any

import pygal
from markupsafe import Markup, escape

from nightscan_tasks.language import Language
from nightscan_tasks.report import scales, svg
from nightscan_tasks.report.scales import Unit

# It leaves an importer for its maps, which we do not draw; Python warns of its kind at every import.
sys.meta_path[:] = [each for each in sys.meta_path if type(each).__module__ != pygal.__name__]

_WIDTH, _HEIGHT = 360, 190  # what a phone shows as it is
_ROW, _AXIS = 34, 30
_GAP = 2.5                  # so many times the usual distance between points: nothing was saved meanwhile
_GAP_DAYS = 2
_MARKED = 16                # more points than this are a line, and only its end is marked
_LABEL = 7.0                # of a letter beside a chart, in its own units


@dataclass(frozen=True)
class Series:
    """One line: what it is of, and its points, oldest first."""

    name: str
    points: tuple[tuple[datetime, float], ...]


@dataclass(frozen=True)
class Bullet:
    """One bar against what it may be; `label` is what it is of, `text` stands beside it."""

    label: str
    value: float
    objective: float
    text: str

    @property
    def met(self) -> bool:
        """Whether it is no more than it may be."""
        return self.value <= self.objective


@cache
def css() -> str:
    """What every page that has charts puts into its one style sheet."""
    return (files(__package__) / "templates" / "charts.css").read_text(encoding="utf-8")


def lines(key: str, title: str, series: Sequence[Series], unit: Unit, language: Language, *,
          days: tuple[date, date] | None = None, limit: float | None = None) -> Markup:
    """Lines over time, as one `<svg>`; a gap in the points is a gap in the line.

    `key` makes the ids of a page differ; `days` is the span of the axis, where it is not that of the points;
    `limit` is what should not be passed, drawn across. Empty where there is no point at all.
    """
    shown = [each for each in series if each.points]
    if not shown:
        return Markup()
    begin, end = days or _span(shown, language)
    tops = scales.ticks(max([limit or 0.0, *(value for each in shown for _, value in each.points)]), unit)
    chart = _line_chart(tops, (begin, end), unit, language,
                        room=_room(shown, unit, language))
    for each in shown:
        chart.add(each.name, _broken([(moment.timestamp(), value) for moment, value in each.points]),
                  show_dots=False)
    for each in shown:
        chart.add(each.name, _marked(each), stroke=False)
    if limit is not None:
        chart.add("limit", [(_second(begin, language), limit), (_second(end, language), limit)])
    drawing = svg.Drawing(chart.render_tree())
    for index, each in enumerate(shown):
        drawing.mark(index, of=len(shown) + index,
                     label=_ending(each, unit, language, named=len(shown) > 1))
    if limit is not None:
        drawing.limit(2 * len(shown), language.text("objective"))
    drawing.settle_labels(_HEIGHT)
    return drawing.text(key, title, _told(shown, unit, language))


def bullets(key: str, title: str, rows: Sequence[Bullet], language: Language) -> Markup:
    """Bars against what they may be, which is one line for all of them, as one `<svg>`."""
    if not rows:
        return Markup()
    shares = [each.value / each.objective if each.objective else 0.0 for each in rows]
    top = max(1.0, *shares)
    chart = pygal.HorizontalBar(**_bare(height=_AXIS + _ROW * len(rows), left=12, right=12, bottom=_AXIS - 4))
    chart.range = (0, top * 1.02)
    chart.x_labels = [each.label for each in reversed(rows)]
    chart.y_labels = [{"value": 0.0, "label": language.percent(0)},
                      {"value": 1.0, "label": language.text("objective")},
                      *([{"value": top, "label": language.percent(top)}] if top > 1.4 else [])]  # noqa: PLR2004 - there is room
    chart.add("", list(reversed(shares)))
    drawing = svg.Drawing(chart.render_tree())
    drawing.bars([(f"{'✓' if each.met else '✕'} {each.text}", each.met) for each in reversed(rows)])
    told = "; ".join(f"{each.label}: {each.text}" for each in rows)
    return drawing.text(key, title, told)


def table(head: str, series: Sequence[Series], units: Sequence[Unit], language: Language) -> Markup:
    """The points of lines as a `<table>`, newest day first: for whoever does not see the chart."""
    found: dict[date, dict[int, float]] = {}
    for index, each in enumerate(series):
        for moment, value in each.points:
            found.setdefault(moment.astimezone(language.zone).date(), {})[index] = value
    names = _cells("th scope=col", [head, *(each.name for each in series)])
    rows = [Markup("<tr>{}{}</tr>").format(
        _cells("th scope=row", [language.day(day)]),
        _cells("td", [unit.write(found[day][index], language) if index in found[day] else "-"
                      for index, unit in enumerate(units)])) for day in sorted(found, reverse=True)]
    return Markup("<table class=values><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(
        names, Markup().join(rows))


def _cells(tag: str, texts: Iterable[str]) -> Markup:
    end = tag.split(maxsplit=1)[0]
    return Markup().join(Markup(f"<{tag}>{escape(text)}</{end}>") for text in texts)  # noqa: S704 - escaped


def _line_chart(tops: tuple[float, ...], span: tuple[date, date], unit: Unit, language: Language, *,
                room: float) -> Any:
    begin, end = span
    left = 12
    chart = pygal.XY(**_bare(height=_HEIGHT, left=left, right=room, bottom=26))
    chart.range = (0, tops[-1])
    chart.xrange = (_second(begin, language), _second(end, language) + 86400)
    chart.y_labels = [{"value": each, "label": unit.write(each, language)} for each in tops]
    chart.x_labels = [{"value": _second(day, language), "label": label}
                      for day, label in scales.days(begin, end, language)]
    return chart


def _bare(*, height: float, left: float, right: float, bottom: float) -> dict[str, Any]:
    """A chart without anything that a page has itself: title, legend, colours."""
    return {"width": _WIDTH, "height": height, "margin_left": left, "margin_right": right, "margin_top": 12,
            "margin_bottom": bottom, "show_legend": False, "title": None, "js": (), "css": (),
            "allow_interruptions": True, "include_x_axis": False, "truncate_label": -1, "spacing": 0,
            "dots_size": 3, "min_scale": 1}


def _second(day: date, language: Language) -> float:
    return datetime.combine(day, time(), tzinfo=language.zone).timestamp()


def _span(series: Sequence[Series], language: Language) -> tuple[date, date]:
    moments = [moment for each in series for moment, _ in each.points]
    first, last = (each.astimezone(language.zone).date() for each in (min(moments), max(moments)))
    return (first, last) if first < last else (first - timedelta(days=1), last)


def _usual(seconds: Sequence[float]) -> float:
    """How far apart two points may be without anything missing between them."""
    apart = [later - earlier for earlier, later in pairwise(seconds)]
    return max(_GAP * median(apart), _GAP_DAYS * 86400) if apart else 0.0


def _broken(points: list[tuple[float, float]]) -> list[tuple[float, float | None]]:
    usual = _usual([each for each, _ in points])
    found: list[tuple[float, float | None]] = []
    for second, value in points:
        if found and second - found[-1][0] > usual:
            found.append((second - 1, None))
        found.append((second, value))
    return found


def _marked(series: Series) -> list[tuple[float, float]]:
    """The points that get a mark: all where they are few, else the last, and those without a neighbour."""
    points = [(moment.timestamp(), value) for moment, value in series.points]
    if len(points) <= _MARKED:
        return points
    usual = _usual([second for second, _ in points])
    far = [later[0] - earlier[0] > usual for earlier, later in pairwise(points)]
    return [point for point, before, after in zip(points, [True, *far], [*far, True], strict=True)
            if (before and after) or point is points[-1]]


def _ending(series: Series, unit: Unit, language: Language, *, named: bool) -> str:
    return series.name if named else unit.write(series.points[-1][1], language)


def _room(series: Sequence[Series], unit: Unit, language: Language) -> float:
    return max(len(_ending(each, unit, language, named=len(series) > 1)) for each in series) * _LABEL + 18


def _told(series: Sequence[Series], unit: Unit, language: Language) -> str:
    """What the lines show, in words."""
    return " ".join(language.text(
        "{name}: {first} on {begin}, {last} on {end}; lowest {low}, highest {high}.", name=each.name,
        first=unit.write(each.points[0][1], language), last=unit.write(each.points[-1][1], language),
        begin=language.day(each.points[0][0].astimezone(language.zone).date()),
        end=language.day(each.points[-1][0].astimezone(language.zone).date()),
        low=unit.write(min(value for _, value in each.points), language),
        high=unit.write(max(value for _, value in each.points), language)) for each in series)
