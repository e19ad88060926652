"""Charts: pure SVG, told apart without colour, and readable by whoever does not see them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from markupsafe import Markup

from nightscan_tasks.language import Language
from nightscan_tasks.report import charts, scales
from nightscan_tasks.report.charts import Bullet, Series
from nightscan_tasks.report.scales import Unit

SVG = "{http://www.w3.org/2000/svg}"
BEGIN = datetime(2026, 9, 1, 1, 0, tzinfo=UTC)


def days(*values: float | None) -> tuple[tuple[datetime, float], ...]:
    return tuple((BEGIN + timedelta(days=index), value) for index, value in enumerate(values)
                 if value is not None)


def drawn(drawing: Markup) -> ET.Element:
    return ET.fromstring(str(drawing))  # noqa: S314 - our own


def words(root: ET.Element) -> list[str]:
    return [each.text or "" for each in root.iter(f"{SVG}text")]


@pytest.fixture
def chart(english: Language) -> Markup:
    series = [Series(f"component {number}", days(*range(number, number + 30))) for number in range(5)]
    return charts.lines("key", "Stored bytes", series, Unit.BYTES, english)


def test_a_chart_has_no_script_no_style_no_address_and_no_tooltip(chart: Markup) -> None:
    root = drawn(chart)
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
        "svg", "title", "desc", "g", "rect", "path", "text"}
    assert not [name for each in root.iter() for name in each.attrib if name in {"style", "href"}
                or name.startswith("on") or "}" in name]
    assert "pygal" not in chart.replace("xmlns", "")


def test_it_says_what_it_shows_to_those_who_do_not_see_it(chart: Markup) -> None:
    root = drawn(chart)
    said = {each.get("id"): each.text for each in root if each.tag in {f"{SVG}title", f"{SVG}desc"}}
    assert root.get("role") == "img"
    assert root.get("aria-labelledby", "").split() == list(said)
    assert said["key-title"] == "Stored bytes"
    assert "component 2: 2\u202fB on 1 Sept 2026, 31\u202fB on 30 Sept 2026" in (said["key-told"] or "")


def test_lines_differ_by_mark_and_dash_and_are_named_where_they_end(chart: Markup) -> None:
    marks = {each.get("d") for each in drawn(chart).iter(f"{SVG}path") if each.get("class") == "mark"}
    assert len(marks) == 5
    assert {f"component {number}" for number in range(5)} <= set(words(drawn(chart)))
    dashes = re.findall(r"\.serie-[1-4] \.line \{[^}]*stroke-dasharray: ([^;]+);", charts.css())
    assert len(set(dashes)) == 4


def test_a_gap_in_the_points_is_a_gap_in_the_line(english: Language) -> None:
    def paths(*values: float | None) -> int:
        root = drawn(charts.lines("k", "t", [Series("a", days(*values))], Unit.BYTES, english))
        return sum(each.get("class") == "line" and "L" in each.get("d", "")
                   for each in root.iter(f"{SVG}path"))

    assert paths(*[5.0] * 30) == 1
    assert paths(*[5.0] * 10, *[None] * 6, *[5.0] * 10) == 2


def test_a_point_without_neighbours_is_marked(english: Language) -> None:
    values = [5.0] * 10 + [None] * 5 + [5.0] + [None] * 5 + [5.0] * 10
    root = drawn(charts.lines("k", "t", [Series("a", days(*values))], Unit.BYTES, english))
    assert sum(each.get("class") == "mark" for each in root.iter(f"{SVG}path")) == 2  # it, and the last


def test_one_point_is_a_chart_and_none_is_nothing(english: Language) -> None:
    assert "1\u202fkB" in charts.lines("k", "t", [Series("a", days(1000.0))], Unit.BYTES, english)
    assert charts.lines("k", "t", [Series("a", ())], Unit.BYTES, english) == ""
    assert charts.bullets("k", "t", [], english) == ""


def test_a_limit_is_a_line_with_a_name(english: Language) -> None:
    root = drawn(charts.lines("k", "t", [Series("a", days(100, 110))], Unit.SECONDS, english, limit=1800))
    assert "objective" in words(root)
    assert "30\u202fmin" in words(root)


def test_a_bar_says_whether_it_is_within_its_objective(english: Language) -> None:
    rows = [Bullet("database", 12, 1800, "12 s of 30 min"), Bullet("redis", 700, 600, "12 min of 10 min")]
    root = drawn(charts.bullets("k", "Recovery", rows, english))
    assert {"✓ 12 s of 30 min", "✕ 12 min of 10 min", "objective"} <= set(words(root))
    width = {each.get("class"): float(each.get("width", "0")) for each in root.iter(f"{SVG}rect")}
    assert width["bar missed"] > 100 * width["bar met"] > 0


def test_every_figure_is_in_the_table_and_names_are_escaped(english: Language, french: Language) -> None:
    series = [Series("<b>", days(1000, None, 3000)), Series("redis", days(None, 5, None))]
    made = charts.table("day", series, [Unit.BYTES, Unit.SECONDS], english)
    assert "&lt;b&gt;" in made
    assert made.count("<tr>") == 4
    assert "<th scope=row>3 Sept 2026</th><td>3\u202fkB</td><td>-</td>" in made
    assert "3\u202fko" in charts.table("jour", series, [Unit.BYTES, Unit.SECONDS], french)


def test_a_name_in_a_chart_is_text(english: Language) -> None:
    made = charts.lines("k", "<script>", [Series("<script>", days(1, 2)), Series("b", days(1, 2))],
                        Unit.BYTES, english)
    assert "<script" not in made
    assert "<script>" in words(drawn(made))


@pytest.mark.parametrize(("top", "unit", "wanted"), [
    (9.1e9, Unit.BYTES, (0, 5e9, 1e10)), (70, Unit.SECONDS, (0, 30, 60, 90)), (0, Unit.BYTES, (0, 1)),
    (0.02, Unit.SHARE, (0, 0.01, 0.02)), (100_000, Unit.SECONDS, (0, 43200, 86400, 129600))])
def test_ticks_are_round_and_reach_the_top(top: float, unit: Unit, wanted: tuple[float, ...]) -> None:
    assert scales.ticks(top, unit) == pytest.approx(wanted)
