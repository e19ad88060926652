"""The page in a real browser: on a phone, in the dark, without colours, by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.language import Language
from nightscan_tasks.report.page import error_page, page, write_page

CONTRAST, OF_LARGE, OF_SHAPES = 4.5, 3.0, 3.0
WIDTHS = (320, 360, 768, 1280)

# Every text and every sign that is seen, its colour, and what is painted behind it: how many, and what fails.
MEASURE = """
([contrast, ofLarge, ofShapes]) => {
  const channel = (v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; };
  const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number);
    return n.length < 4 ? [...n, 1] : n; };
  const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat([1]);
  const behind = (element) => { const painted = [];
    for (let each = element; each; each = each.parentElement) painted.push(
      parse(getComputedStyle(each).backgroundColor));
    return painted.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]); };
  const failing = []; let seen = 0;
  const measure = (element, colour, wanted, what) => {
    const back = behind(element);
    const [a, b] = [light(over(parse(colour), back)), light(back)].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    seen += 1;
    if (ratio < wanted) failing.push(`${ratio.toFixed(2)} ${what} ${colour} on ${back}`);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || element.closest('.hidden, .sprite, title, desc, style, script, .skip')) continue;
    if (!element.checkVisibility()) continue;
    const style = getComputedStyle(element), size = parseFloat(style.fontSize);
    const large = size >= 24 || (style.fontWeight >= 600 && size >= 18.66);
    measure(element, element instanceof SVGElement ? style.fill : style.color,
            large ? ofLarge : contrast, text.slice(0, 30));
  }
  for (const each of document.querySelectorAll('.g:not(.g-idle), .chart .line, .chart .bar')) {
    if (!each.checkVisibility() || each.matches('g') || each.closest('.axis')) continue;
    const style = getComputedStyle(each);
    const colour = each.matches('.g') ? style.color : each.matches('.bar') ? style.fill : style.stroke;
    measure(each, colour, ofShapes, each.getAttribute('class') + ' ' + each.parentElement.className);
  }
  return [seen, [...new Set(failing)]];
}
"""
LIMITS = [CONTRAST, OF_LARGE, OF_SHAPES]
OPEN_ALL = "document.querySelectorAll('details').forEach((each) => { each.open = true; })"
SIGNS = """() => [...document.querySelectorAll('.g')].filter((each) => each.checkVisibility()
    && !each.closest('.idle')).map((each) => getComputedStyle(each).color)"""
OUTSIDE = """() => [...document.querySelectorAll('main *')].filter((each) =>
    each.checkVisibility() && !each.closest('.hidden, .scroll, pre, svg, thead')
    && each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.outerHTML.slice(0, 90))"""


@pytest.fixture(scope="module")
def file(ill: Any, english: Language, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "status.html"
    write_page(path, ill.overview, english)
    return path.as_uri()


def test_it_needs_nothing_but_itself_and_complains_of_nothing(open_page: Callable[..., Any],
                                                              file: str) -> None:
    tab = open_page(file, dark=True)
    assert [each for each in tab.requests if not each.startswith("data:")] == [file]
    assert tab.page.title() == "Data is at risk: backups of NightScan Lyon"


def test_every_text_and_sign_can_be_told_from_what_is_behind_it(open_page: Callable[..., Any],
                                                                file: str) -> None:
    tab = open_page(file)
    tab.page.evaluate(OPEN_ALL)
    for scheme in ("light", "dark"):
        tab.page.emulate_media(color_scheme=scheme)
        seen, failing = tab.page.evaluate(MEASURE, LIMITS)
        assert seen > 500
        assert failing == []
        for name in ("good", "warning", "unknown", "critical"):
            tab.page.evaluate(f"document.querySelector('.health').className = 'health {name}'")
            assert tab.page.evaluate(MEASURE, LIMITS)[1] == []


def test_nothing_is_wider_than_the_window(open_page: Callable[..., Any], file: str) -> None:
    tab = open_page(file)
    tab.page.evaluate(OPEN_ALL)
    for width in WIDTHS:
        tab.page.set_viewport_size({"width": width, "height": 800})
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.page.evaluate(OUTSIDE) == []


def test_a_phone_shows_thirteen_weeks_and_a_wide_window_a_year(
    open_page: Callable[..., Any], ill: Any, english: Language, tmp_path: Path,
) -> None:
    path = tmp_path / "long.html"
    path.write_text(page(replace(ill.overview, begun_at=ill.overview.now - timedelta(days=400)), english))
    tab = open_page(path.as_uri())
    for width, weeks in ((1280, 53), (900, 26), (360, 13)):
        tab.page.set_viewport_size({"width": width, "height": 800})
        cells = tab.page.locator(".calendar tbody").first.locator("tr").first.locator("td:visible")
        assert cells.count() == weeks
        first, last = cells.first.bounding_box(), cells.last.bounding_box()
        assert first["width"] > 14
        assert last["x"] + last["width"] <= width


def test_a_missing_day_stands_out_by_its_shape(open_page: Callable[..., Any], file: str) -> None:
    tab = open_page(file)
    shapes = {name: tab.page.evaluate(f"document.querySelector('#g-{name}').innerHTML")
              for name in ("good", "degraded", "suspicious", "incomplete", "failed", "missing", "running",
                           "idle")}
    assert len(set(shapes.values())) == len(shapes)
    size = {name: tab.page.locator(f".calendar .{name} .g:visible").first.bounding_box()["width"]
            for name in ("good", "missing")}
    assert size["missing"] > 1.2 * size["good"]
    assert tab.page.locator(".calendar .missing:visible").count() == 4


def test_without_colours_of_its_own_everything_is_still_there(open_page: Callable[..., Any],
                                                              file: str) -> None:
    tab = open_page(file)
    tab.page.emulate_media(forced_colors="active", reduced_motion="reduce")
    ink = tab.page.evaluate("getComputedStyle(document.body).color")
    assert set(tab.page.evaluate(SIGNS)) == {ink}
    assert tab.page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    border = tab.page.evaluate("getComputedStyle(document.querySelector('.health')).borderTopStyle")
    assert border == "solid"
    line = tab.page.evaluate("getComputedStyle(document.querySelector('.chart .line')).stroke")
    assert line != "none"


def test_the_first_tab_stop_skips_to_the_content(open_page: Callable[..., Any], file: str) -> None:
    tab = open_page(file)
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("document.activeElement.className") == "skip"
    assert tab.page.locator(".skip").bounding_box()["x"] >= 0
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.activeElement.id") == "main"


def test_the_keyboard_reaches_everything_that_opens_or_leads_on_and_shows_where_it_is(
    open_page: Callable[..., Any], file: str,
) -> None:
    tab = open_page(file)
    wanted = tab.page.locator("a[href], summary, pre[tabindex]").count()
    reached = set()
    for _ in range(wanted):
        tab.page.keyboard.press("Tab")
        reached.add(tab.page.evaluate("""() => { const each = document.activeElement;
            return getComputedStyle(each).outlineStyle === 'solid' ? each.outerHTML.slice(0, 200)
                + [...document.querySelectorAll('*')].indexOf(each) : 'no outline'; }"""))
    assert "no outline" not in reached
    assert len(reached) == wanted
    tab.page.locator("summary").first.focus()
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.querySelector('details').open")


def test_a_table_that_is_a_list_on_a_phone_is_still_a_table(open_page: Callable[..., Any],
                                                            file: str) -> None:
    tab = open_page(file, width=360)
    stacked = tab.page.locator("#copies ~ table.stack").first
    assert stacked.evaluate("(each) => getComputedStyle(each).display") == "block"
    assert stacked.get_by_role("row").count() > 3
    assert stacked.get_by_role("columnheader").first.text_content() == "set"
    assert stacked.locator("td").first.evaluate(
        "(each) => getComputedStyle(each, '::before').content") == '"size"'


def test_names_are_text_in_the_browser_too(open_page: Callable[..., Any], ill: Any, english: Language,
                                           tmp_path: Path) -> None:
    path = tmp_path / "evil.html"
    path.write_text(page(replace(ill.overview, site="<img src=x onerror=alert(1)>"), english)
                    + "<script>document.title = 'taken'</script>")  # as if something had come through
    tab = open_page(path.as_uri())
    assert tab.page.locator("h1").text_content() == "Backups of <img src=x onerror=alert(1)>"
    assert tab.page.title() != "taken"
    assert len(tab.complaints) == 1  # the policy tells that it refused the script
    assert "Content Security Policy" in tab.complaints.pop()


def test_on_paper_it_is_black_on_white(open_page: Callable[..., Any], file: str) -> None:
    tab = open_page(file, dark=True)
    tab.page.emulate_media(media="print")
    assert tab.page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not tab.page.locator("nav").is_visible()


def test_a_page_that_says_what_is_wrong_is_as_readable(open_page: Callable[..., Any], english: Language,
                                                       tmp_path: Path) -> None:
    path = tmp_path / "error.html"
    path.write_text(error_page("The state cannot be read now", "disk\n" + "x" * 400, english, status=503))
    tab = open_page(path.as_uri(), width=360)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert tab.page.evaluate(MEASURE, LIMITS)[1] == []
