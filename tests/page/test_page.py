"""What the page says, in both languages, and that nothing it shows is taken for markup."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_python
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

import nightscan_tasks
from nightscan_tasks.language import Language
from nightscan_tasks.model import Failure
from nightscan_tasks.report.page import PageUnwritten, error_page, page, policy, write_page
from nightscan_tasks.watch.alert import Alert
from nightscan_tasks.watch.overview import Filling, KeySeen, Overview
from nightscan_tasks.watch.problem import Health, Kind, Problem, Severity
from nightscan_tasks.watch.queue import QueueSeen
from nightscan_tasks.watch.under_way import Phase, RunningSeen, WorkSeen

HOME = Path(nightscan_tasks.__file__).parent
EVIL = "<script>alert('x')</script>\"'&"
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Reader(HTMLParser):
    """Every element with its attributes, and the text of each section; markup has to close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self._open: list[tuple[str, str]] = []
        self.said: dict[str, str] = {}
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = {name: value or "" for name, value in attrs}
        assert len(facts) == len(attrs)
        self.elements.append((tag, facts))
        if tag not in VOID:
            above = self._open[-1][1] if self._open else ""
            self._open.append((tag, facts.get("aria-labelledby", above) if tag == "section" else above))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        where = self._open[-1][1] if self._open else ""
        self.said[where] = self.said.get(where, "") + " " + " ".join(data.split())


def said(overview: Overview, language: Language, section: str) -> str:
    """What a section says, in one line."""
    return re.sub(r"\s+", " ", Reader(page(overview, language)).said[section])


@pytest.fixture(scope="session")
def seen(ill: Any) -> Overview:
    overview = ill.overview
    assert isinstance(overview, Overview)
    return overview


def test_health_comes_first_and_then_each_open_problem(seen: Overview, english: Language) -> None:
    html = page(seen, english)
    assert said(seen, english, "health").strip() == f"Data is at risk {len(seen.problems)} open problems"
    assert html.index('class="health critical"') < html.index('class="problems"') < html.index('id="now"')


def test_a_problem_says_what_since_when_what_it_means_and_the_command(seen: Overview,
                                                                      english: Language) -> None:
    told = said(seen, english, "problems")
    assert "critical the last daily run failed since 23 Nov 2026 02:01 (9 h 59 min ago)" in told
    assert "Nothing of it can be restored." in told
    assert "nightscan backup daily" in told


def test_it_is_quiet_when_well(well: Overview, english: Language) -> None:
    html = page(well, english)
    assert said(well, english, "health").strip() == "All is well No open problem"
    assert 'class="problems"' not in html


def test_a_gap_of_days_is_told_in_words_too(seen: Overview, english: Language) -> None:
    assert "missing 4" in said(seen, english, "days")
    assert re.search(r'<td class="missing[^"]*" title="21 Oct 2026: missing: it was due, and nothing ran">'
                     r'<svg[^>]*><use href="#g-missing"/></svg><span class="hidden">missing</span></td>',
                     page(seen, english))


def test_copies_say_which_store_has_a_set_and_when_it_was_read_back(seen: Overview,
                                                                    english: Language) -> None:
    told = said(seen, english, "copies")
    assert re.search(r"daily 22 Nov 2026 02:00 not encrypted [\d.]+ GB read back 22 Nov 2026 "
                     r"02:\d\d lacks it 2-1-0", told)


def test_the_next_removals_and_the_forecast_and_the_drills_are_there(seen: Overview,
                                                                     english: Language) -> None:
    assert "24 Nov 2026 02:00 daily 17 Nov 2026 02:00" in said(seen, english, "retention")
    told = said(seen, english, "recovery")
    assert f"The set {seen.recovery.set_id if seen.recovery else ''} would be put back" in told
    assert "✓ 1 min" in told
    assert "of 30 min" in told
    assert "did not hold" in told


def test_what_is_not_known_says_so_and_is_never_0(seen: Overview, english: Language) -> None:
    blank = replace(seen, recovery=None, queues=None, keys=None, due=(), freshness=(), runs=(), sets=(),
                    drills=(), expected_at={}, begun_at=None, removals=(), stores=tuple(
                        replace(store, problem="it does not answer", filling=None, scrubbed=None)
                        for store in seen.stores))
    told = said(blank, english, "stores")
    assert told.count("not known") >= 2 * 5
    assert "0 B" not in told
    assert "Would be lost now not known" in said(blank, english, "")
    assert "Not known: the broker was not asked" in told
    assert "there was no drill" in said(blank, english, "recovery")
    assert "Nothing has run yet." in said(blank, english, "days")


def test_a_set_in_a_store_that_does_not_answer_may_be_there(seen: Overview, english: Language) -> None:
    away = replace(seen, stores=(seen.stores[0], replace(seen.stores[1], problem="no answer")))
    told = said(away, english, "copies")
    assert "lacks it" not in told
    assert "not known not known" in told


def test_what_is_under_way_shows_how_far_it_is(seen: Overview, english: Language) -> None:
    set_id = seen.runs[0].set_id
    works = (WorkSeen("database", Phase.RUNNING, "dumping", 25, 100, 1_000_000),
             WorkSeen("redis", Phase.DONE), WorkSeen("user_data.00", Phase.FAILED, message="no space"),
             WorkSeen("user_data.01", Phase.WAITING))
    run = RunningSeen(set_id.run_id, set_id, seen.now, None, works)
    told = said(replace(seen, running=(run,), restoring=("daily/20261122T010000Z",)), english, "now")
    assert "database 25%, 1 MB a second redis done user_data.00 failed no space user_data.01 waiting" \
        in told
    assert "a restore reads daily/20261122T010000Z" in told
    assert 'max="100" value="25"' in page(replace(seen, running=(run,)), english)


def test_stores_queues_and_keys(seen: Overview, english: Language) -> None:
    filling = Filling(100, 1000, seen.now, 5.0, date(2026, 12, 13))
    full = replace(seen, stores=(replace(seen.stores[0], filling=filling), *seen.stores[1:]),
                   queues=(QueueSeen("nightscan.heavy", (), 3, 120.0), QueueSeen("nightscan.fast", None)),
                   keys=(KeySeen("encryption", "backup@nightscan.com", seen.now + timedelta(days=9)),))
    told = said(full, english, "stores")
    assert "90%, 100 B free 13 Dec 2026" in told
    assert "nightscan.heavy none 3 2 min nightscan.fast not known not known not known" in told
    assert "backup@nightscan.com for encryption expires 2 Dec 2026" in told


def test_alerts_that_are_over_say_how_long_they_lasted(seen: Overview, english: Language) -> None:
    problem = Problem(Kind.NO_OFFSITE, "offsite", Severity.WARNING, seen.now - timedelta(hours=5))
    alert = Alert(problem, seen.now - timedelta(hours=5), Severity.WARNING, closed_at=seen.now)
    assert "there is no offsite store warning 23 Nov 2026 12:00 after 5 h" in said(
        replace(seen, alerts=(alert,)), english, "alerts")


def test_frozen_tiers_and_held_sets_are_named(seen: Overview, english: Language) -> None:
    held = (replace(seen.removals[0], kept_by="held: for the audit"), *seen.removals[1:])
    told = said(replace(seen, frozen={"primary daily": "the newest set is suspicious"}, removals=held),
                english, "retention")
    assert "Nothing is removed now: primary daily the newest set is suspicious" in told
    assert "held: for the audit" in told


def test_names_out_of_ledger_manifests_and_settings_are_text(seen: Overview, english: Language) -> None:
    outcome = seen.runs[0].outcome
    assert outcome is not None
    run = replace(seen.runs[0], outcome=replace(outcome, failures=(
        Failure(EVIL, "E", EVIL, seen.now),), components={}))
    evil = replace(
        seen, site=EVIL, runs=(run, *seen.runs[1:]), restoring=(EVIL,), frozen={EVIL: EVIL},
        problems=(Problem(Kind.UNREACHABLE, EVIL, Severity.CRITICAL, facts={"store": EVIL,
                                                                            "problem": EVIL}),),
        sets=tuple(replace(each, held=EVIL, suspicious=(EVIL,)) for each in seen.sets),
        stores=tuple(replace(each, url=EVIL, problem=EVIL) for each in seen.stores),
        queues=(QueueSeen(EVIL, (EVIL,), 1, 1.0),), keys=(KeySeen(EVIL, EVIL, None, EVIL),),
        drills=tuple(replace(each, problems=(EVIL,), store=EVIL, kind=EVIL, components=tuple(
            replace(one, component=EVIL) for one in each.components)) for each in seen.drills),
        removals=tuple(replace(each, kept_by=EVIL) for each in seen.removals))
    html = page(evil, english)
    assert "<script" not in html
    tags = {tag for tag, _ in Reader(html).elements}
    assert tags.isdisjoint({"script", "iframe", "object", "embed", "form", "img"})
    assert not [name for _, facts in Reader(html).elements for name in facts if name.startswith("on")]
    assert "<script" not in error_page(EVIL, EVIL, english, status=503)


def test_it_asks_for_nothing_but_what_is_in_it(seen: Overview, english: Language) -> None:
    html = page(seen, english)
    for tag, facts in Reader(html).elements:
        target = facts.get("href", "") + facts.get("src", "")
        assert target in ("", "data:,") or target.startswith("#"), (tag, target)
        assert "style" not in facts  # the policy would not have it
    assert not re.search(r"url\(|@import|http-equiv=\"refresh\"", html)
    assert html.count("<style>") == 1


def test_the_policy_allows_its_own_style_sheet_and_nothing_else(seen: Overview, english: Language) -> None:
    html = page(seen, english)
    told = policy(html)
    assert re.fullmatch(r"default-src 'none'; style-src 'sha256-[\w+/]{43}='; img-src data:; "
                        r"base-uri 'none'; form-action 'none'", told)
    assert told.replace("'", "&#39;") in html
    assert policy(html.replace("<style>", "<style>x")) != told


def test_it_is_one_document_with_landmarks_and_headings_in_order(seen: Overview, english: Language,
                                                                 french: Language) -> None:
    elements = Reader(page(seen, english)).elements
    tags = [tag for tag, _ in elements]
    assert [tags.count(each) for each in ("h1", "main", "nav", "header", "footer")] == [1, 1, 1, 1, 1]
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [facts["id"] for _, facts in elements if "id" in facts]
    assert len(ids) == len(set(ids))
    named = {name for _, facts in elements for attribute in ("aria-labelledby", "for")
             for name in facts.get(attribute, "").split()}
    linked = {facts["href"][1:] for tag, facts in elements if facts.get("href", "").startswith("#")}
    assert named | linked <= set(ids)
    assert ("html", {"lang": "en"}) in elements
    assert '<html lang="fr">' in page(seen, french)


def test_times_are_those_of_the_timetable_whose_zone_is_named(seen: Overview, english: Language) -> None:
    assert "Seen 23 Nov 2026 12:00, time zone Europe/Paris" in page(seen, english)


def test_french_is_french(seen: Overview, french: Language) -> None:
    told = said(seen, french, "copies")
    assert "relu le 22 nov. 2026 02:0" in told
    assert "Go" in told
    assert "il y a 34 h avertissement" in told


def _messages() -> Iterator[str | tuple[str, str]]:
    """Every sentence of the page's own modules and templates."""
    names: dict[str, Any] = {"text": None, "marked": None, "many": (1, 2), "t": None, "n": (1, 2)}
    found: list[Any] = []
    for name in ("charts", "page", "days", "answers", "scales"):
        with (HOME / "report" / f"{name}.py").open("rb") as file:
            found += [(call, told) for _, call, told, _ in extract_python(file, names, (), {})]
    for path in sorted((HOME / "report/templates").glob("page*.jinja")):
        with path.open("rb") as file:
            found += [(call, told) for _, call, told, _ in babel_extract(
                file, list(names), (), {"silent": "false"})]
    for call, told in found:
        one = told if isinstance(told, str) or told is None else told[0]
        if one:
            yield (one, told[1]) if call in {"many", "n"} else one


def test_every_sentence_is_there_in_french_with_the_same_facts() -> None:
    with (HOME / "language/fr/page.po").open("rb") as file:
        catalog: Mapping[Any, Any] = {message.id: message.string for message in read_po(file) if message.id}
    wanted = set(_messages())
    assert len(wanted) > 100
    assert {each for each in wanted if not catalog.get(each)} == set()
    assert set(catalog) == wanted
    for message, told in catalog.items():
        for one, other in zip([message] if isinstance(message, str) else message,
                              [told] if isinstance(told, str) else told, strict=True):
            assert sorted(re.findall(r"\{\w+\}", one)) == sorted(re.findall(r"\{\w+\}", other)), message


def test_a_file_is_replaced_whole_and_keeps_its_mode(seen: Overview, english: Language,
                                                     tmp_path: Path) -> None:
    path = tmp_path / "status.html"
    write_page(path, seen, english)
    assert path.read_text() == page(seen, english)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o644)
    with path.open() as reading:
        write_page(path, replace(seen, site="Another"), english)
        assert reading.read() == page(seen, english)  # whoever reads has the old one to its end
    assert "Backups of Another" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_file_that_cannot_be_written_leaves_nothing_and_says_what_to_do(
    seen: Overview, english: Language, tmp_path: Path,
) -> None:
    (tmp_path / "folder.html").mkdir()
    for path in (tmp_path / "folder.html", tmp_path / "nowhere" / "status.html"):
        with pytest.raises(PageUnwritten, match="make the folder, or name a file that may be written"):
            write_page(path, seen, english)
    assert [each.name for each in tmp_path.iterdir()] == ["folder.html"]


def test_a_year_of_history_is_below_a_megabyte(seen: Overview, english: Language) -> None:
    longer = [run for back in range(7) for run in seen.runs for run in [replace(
        run, set_id=replace(run.set_id, taken_at=run.set_id.taken_at - timedelta(days=58 * back)))]]
    html = page(replace(seen, runs=tuple(longer), begun_at=datetime(2025, 10, 20, tzinfo=UTC)), english)
    assert 200_000 < len(html.encode()) < 1_000_000


def test_unknown_health_is_a_word_of_its_own(seen: Overview, english: Language) -> None:
    assert "Not known" in said(replace(seen, health=Health.UNKNOWN), english, "health")
