"""The report as people and programs read it: text, HTML, JSON, in each language."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from nightscan_tasks import wire
from nightscan_tasks.language import Language, language
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import Failure
from nightscan_tasks.report import monthly_html, monthly_json, monthly_text
from nightscan_tasks.report.monthly import Month, MonthlyReport
from nightscan_tasks.report.monthly_making import make
from nightscan_tasks.report.monthly_words import title
from nightscan_tasks.system import System
from nightscan_tasks.tasks.glancing import glance
from nightscan_tasks.world.history import History

if TYPE_CHECKING:
    from tools.tab import Tab

PARIS = ZoneInfo("Europe/Paris")
ENGLISH = language("en", PARIS)


def test_the_totals_are_those_of_the_records(with_past: tuple[System, History],
                                             october: MonthlyReport) -> None:
    _, history = with_past
    begin, end = datetime(2026, 9, 30, 22, tzinfo=UTC), datetime(2026, 10, 31, 23, tzinfo=UTC)
    past = [each.outcome for each in history.runs if begin <= each.run.opened_at < end]
    good = [each for each in past if each.ending in {Ending.GOOD, Ending.DEGRADED}]
    missed = len([day for day in history.gap if day.month == 10])
    assert missed == 4
    assert len(october.runs) == len(past)
    assert october.success_rate.value == pytest.approx(len(good) / (len(past) + missed))
    assert october.average_bytes.value == pytest.approx(mean(each.stored_bytes for each in good))
    assert october.average_seconds.value == pytest.approx(mean(each.elapsed_seconds for each in good))
    sizes = [each.components["database"].stored_bytes for each in past if "database" in each.components]
    (database,) = [each for each in october.components if each.component == "database"]
    assert database.stored_bytes.value == pytest.approx(median(sizes[-7:]))
    drills = [each for each in history.drills if begin <= each.drilled_at < end]
    assert (october.drills_performed, october.drills_passed) == (len(drills), 0)
    assert {each.noticed_at for each in october.incidents} == {
        each.noticed_at for each in history.alerts if each.noticed_at < end
        and (each.closed_at is None or each.closed_at >= begin)}
    assert {each.rule for each in october.advice} >= {"success_rate", "missed", "too_slow", "noticed_late"}


def test_no_line_of_the_text_is_longer_than_a_terminal(october: MonthlyReport, spoken: Language) -> None:
    long = "x" * 300
    failing = replace(october.runs[3], ending=Ending.FAILED, failures=(
        Failure("database", "E", f"in \x1b[31mcolour a very long word: {long}", october.until),))
    text = monthly_text.render(replace(october, runs=(*october.runs, failing), site=long), spoken)
    assert max(map(len, text.splitlines())) <= 80
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "\\x1b[31m" in text


def test_numbers_are_whole_in_the_text(october: MonthlyReport, spoken: Language) -> None:
    lines = monthly_text.render(october, spoken).splitlines()
    daily = next(line for line in lines if line.startswith("daily  "))
    missed = sum(len(each.missed_at) for each in october.tiers)
    figures = re.split(r"\s{2,}", daily)
    assert figures[1:7] == ["31", str(october.tiers[0].good), "0", "0", str(october.tiers[0].failed),
                            str(missed)]
    assert re.fullmatch(r"\d+ min( \d+ s)?", figures[-1])


def test_it_is_told_in_french(october: MonthlyReport) -> None:
    french = language("fr", PARIS)
    text, page = monthly_text.render(october, french), monthly_html.render(october, french)
    assert text.startswith("Rapport mensuel des sauvegardes – octobre 2026\n")  # noqa: RUF001 - its dash
    assert "Taux de succès" in text
    assert "Recommandations" in page
    assert '<html lang="fr">' in page
    assert "Success" not in text


def test_each_figure_of_the_text_is_in_the_page(october: MonthlyReport, spoken: Language) -> None:
    page = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", monthly_html.render(october, spoken))))
    rate = spoken.percent(october.success_rate.value or 0, digits=1)
    assert re.sub(r"\s+", " ", rate) in page
    assert spoken.size(october.average_bytes.value or 0).replace("\u202f", " ") in page
    assert title(october, spoken) in page
    assert page.count("○") == 1 + sum(len(each.missed_at) for each in october.tiers)  # and in the legend


def test_what_a_ledger_holds_is_text_in_the_page_and_no_markup(october: MonthlyReport) -> None:
    failing = replace(october.runs[0], ending=Ending.FAILED, failures=(
        Failure("database", "E", "<script>alert(1)</script>", october.until),))
    page = monthly_html.render(replace(october, runs=(failing,), site="<b>us</b>"), ENGLISH)
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;" in page


def test_json_has_the_guides_keys_beside_exact_ones(october: MonthlyReport) -> None:
    told = json.loads(monthly_json.render(october, ENGLISH))
    assert told["backup_success_rate"] == round(100 * (october.success_rate.value or 0), 1)
    assert told["average_backup_size"] == "8.2 GB"
    assert re.fullmatch(r"\d+ min \d+ s", told["average_backup_time"])
    assert re.fullmatch(r"\+\d\.\d% per month", told["storage_growth_rate"])
    assert told["recovery_tests"] == {"performed": 1, "successful": 0, "average_rto": "44 min 43 s"}
    assert told["figures"]["average_bytes"]["value"] == pytest.approx(october.average_bytes.value)
    assert len(told["recommendations"]) == len(told["figures"]["advice"])
    assert told["not_known"] == {}


def test_nothing_is_invented_where_nothing_is_known(system: System, spoken: Language) -> None:
    empty = make(system, Month(2026, 10), glance(system))
    assert empty.empty
    told = monthly_json.as_json(empty, spoken)
    assert [told[key] for key in ("backup_success_rate", "average_backup_size", "average_backup_time",
                                  "storage_growth_rate")] == [None] * 4
    assert told["recovery_tests"] == {"performed": 0, "successful": 0, "average_rto": None}
    assert set(told["not_known"]) == {"backup_success_rate", "average_backup_size", "average_backup_time",
                                      "storage_growth_rate", "recovery_tests.average_rto"}
    assert all(told["not_known"].values())
    assert told["recommendations"] == []
    text = monthly_text.render(empty, spoken)
    assert text.count(spoken.text("not known: {why}", why="").replace("\u00a0", " ")) >= 8
    assert "%" not in text
    assert "<svg" not in monthly_html.render(empty, spoken)


def test_what_is_kept_is_read_again_as_it_was(october: MonthlyReport) -> None:
    assert wire.decode(MonthlyReport, wire.encode(october), source="x") == october


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_a_browser_shows_it_and_complains_of_nothing(
        open_page: Callable[..., Tab], october: MonthlyReport, tmp_path: Path, width: int,
        dark: bool) -> None:
    file = tmp_path / "report.html"
    file.write_text(monthly_html.render(october, language("fr", PARIS)), encoding="utf-8")
    tab = open_page(file.as_uri(), width=width, dark=dark, scripts=False)
    assert tab.requests == [file.as_uri()]  # one file, and nothing else
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.page.locator("svg.chart").count() >= 8
    assert tab.page.locator("td.missed").count() == 4
    assert tab.page.get_by_role("heading", level=1).inner_text().startswith("Rapport mensuel")
    ground, ink = (tab.page.evaluate(f"getComputedStyle(document.body).{name}")
                   for name in ("backgroundColor", "color"))
    assert _contrast(ground, ink) > 7
    for each in ("h2", ".subtitle", "thead th", ".legend .failed", "#method p", "td.good"):
        colour = tab.page.locator(each).first.evaluate("node => getComputedStyle(node).color")
        assert _contrast(ground, colour) > 4.5, each


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (int(each) / 255 for each in re.findall(r"\d+", colour)[:3])
    linear = [each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4
              for each in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
