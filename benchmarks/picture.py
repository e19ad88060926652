"""The picture of growth: four small charts, both axes logarithmic, readable by day and by night."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.outcome import Line, Point
from nightscan_tasks.wording import duration, size

_WIDTH, _HEIGHT = 940, 680
_LEFT, _TOP, _CHART_WIDTH, _CHART_HEIGHT = 90, 112, 340, 200
_ACROSS, _DOWN = 460, 300
_LIMIT_BYTES = 200_000_000
_STYLE = """
.back { fill: #fff } .ink { fill: #1f2328 } .dim { fill: #59636e } .grid { stroke: #d1d9e0 }
.limit { stroke: #59636e; stroke-dasharray: 2 3 }
.a { stroke: #0f766e; fill: #0f766e } .b { stroke: #b45309; fill: #b45309 }
text { font: 12px system-ui, sans-serif } .title { font-size: 14px; font-weight: 600 }
path.line { fill: none; stroke-width: 2 } path.line.next { stroke-dasharray: 6 4 }
@media (prefers-color-scheme: dark) {
  .back { fill: #0d1117 } .ink { fill: #f0f6fc } .dim { fill: #9198a1 } .grid { stroke: #30363d }
  .limit { stroke: #9198a1 }
  .a { stroke: #2dd4bf; fill: #2dd4bf } .b { stroke: #fbbf24; fill: #fbbf24 }
}
"""


@dataclass(frozen=True)
class _Chart:
    """One of the four: what grows along it, and which figure of a point stands above."""

    title: str
    axis: str
    figure: Callable[[Point], float]
    told: Callable[[float], str]
    limit: float | None = None


def _seconds(point: Point) -> float:
    return point.measured.seconds


def _memory(point: Point) -> float:
    return point.measured.process_bytes


_CHARTS = (
    _Chart("Time, by bytes", "bytes", _seconds, duration),
    _Chart("Time, by files", "files", _seconds, duration),
    _Chart("Memory of the largest process, by bytes", "bytes", _memory, size, _LIMIT_BYTES),
    _Chart("Memory of the largest process, by files", "files", _memory, size, _LIMIT_BYTES),
)


def picture(lines: Sequence[Line]) -> str:
    """An SVG with a chart for time and for memory, by bytes and by files."""
    names = list(dict.fromkeys(line.name for line in lines))
    tasks = list(dict.fromkeys(line.task for line in lines))
    parts = [(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
              f'aria-label="How time and memory grow">'), f"<style>{_STYLE}</style>",
             f'<rect class="back" width="{_WIDTH}" height="{_HEIGHT}"/>', *_legend(names, tasks)]
    for number, chart in enumerate(_CHARTS):
        x, y = _LEFT + _ACROSS * (number % 2), _TOP + _DOWN * (number // 2)
        of_chart = [line for line in lines if line.axis == chart.axis]
        if of_chart:
            parts += _Drawn(chart, of_chart, x, y).parts(names, tasks)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend(names: Sequence[str], tasks: Sequence[str]) -> Iterable[str]:
    """A column for each name, a row for each task."""
    for column, name in enumerate(names):
        for row, task in enumerate(tasks):
            x, y, kind = _LEFT + _ACROSS * column, 24 + 22 * row, _kind(column, row)
            yield f'<path class="line {kind}" d="M{x} {y}h28"/>'
            yield f'<path class="{kind}" d="{_mark(column, x + 14, y)}"/>'
            yield _text(x + 36, y + 4, f"{name}: {task.lower()}")


class _Drawn:
    """A chart on its place: scales, grid, lines."""

    def __init__(self, chart: _Chart, lines: Sequence[Line], x: float, y: float) -> None:
        self._chart, self._lines, self._x, self._y = chart, lines, x, y
        points = [point for line in lines for point in line.points]
        figures = [chart.figure(point) for point in points] + [chart.limit or chart.figure(points[0])]
        self._amounts = sorted({point.amount for point in points})
        self._low, self._high = _decades(figures)

    def parts(self, names: Sequence[str], tasks: Sequence[str]) -> Iterable[str]:
        """All of it."""
        yield _text(self._x, self._y - 14, self._chart.title, "ink title")
        for power in range(self._low, self._high + 1):
            y = self._up(10.0 ** power)
            yield f'<path class="grid" d="M{self._x} {y:.1f}h{_CHART_WIDTH}"/>'
            yield _text(self._x - 8, y + 4, _short(self._chart.told(10.0 ** power)), "dim", "end")
        for amount in self._amounts:
            told = size(amount) if self._chart.axis == "bytes" else f"{amount:,}"
            yield _text(self._along(amount), self._y + _CHART_HEIGHT + 20, _short(told), "dim", "middle")
        if self._chart.limit:
            y = self._up(self._chart.limit)
            yield f'<path class="limit" d="M{self._x} {y:.1f}h{_CHART_WIDTH}"/>'
            yield _text(self._x + _CHART_WIDTH, y - 5, f"limit {_short(size(self._chart.limit))}", "dim",
                        "end")
        for line in self._lines:
            yield from self._line(line, names.index(line.name), tasks.index(line.task))

    def _line(self, line: Line, name: int, task: int) -> Iterable[str]:
        kind = _kind(name, task)
        places = [(self._along(point.amount), self._up(self._chart.figure(point))) for point in line.points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        yield f'<path class="line {kind}" d="M{path}"/>'
        for (x, y), point in zip(places, line.points, strict=True):
            told = f"{line.name}, {line.task.lower()}: {self._chart.told(self._chart.figure(point))}"
            yield f'<path class="{kind}" d="{_mark(name, x, y)}"><title>{escape(told)}</title></path>'

    def _along(self, amount: float) -> float:
        low, high = math.log(self._amounts[0]), math.log(self._amounts[-1])
        return self._x + _CHART_WIDTH * ((math.log(amount) - low) / (high - low) if high > low else 0.5)

    def _up(self, figure: float) -> float:
        part = (math.log10(max(figure, 10.0 ** self._low)) - self._low) / (self._high - self._low)
        return self._y + _CHART_HEIGHT * (1 - part)


def _decades(figures: Iterable[float]) -> tuple[int, int]:
    """The powers of ten around all of them; never the same twice."""
    known = [figure for figure in figures if figure > 0] or [1.0]
    low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    return low, max(high, low + 1)


def _kind(name: int, task: int) -> str:
    return f"{'ab'[name % 2]}{' next' if task else ''}"


def _mark(name: int, x: float, y: float) -> str:
    """A point: round for the first name, square for the next; told apart without colour."""
    if name % 2:
        return f"M{x - 3.5:.1f} {y - 3.5:.1f}h7v7h-7Z"
    return f"M{x - 4:.1f} {y:.1f}a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z"


def _short(told: str) -> str:
    return told.replace(".0 ", " ")


def _text(x: float, y: float, told: str, kind: str = "ink", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(told)}</text>'
