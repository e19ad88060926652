from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import document
from benchmarks.document import DOCUMENT, PICTURE, RESULTS, drawn_growth, rendered
from benchmarks.measuring import Measured
from benchmarks.outcome import Found, Head, Line, Outcome, Point, Row, Sheet, Table, loaded


def _measured(seconds: float) -> Measured:
    return Measured(seconds, seconds / 2, 50_000_000, 40_000_000)


ROWS = (Row("restic", (_measured(2), _measured(9), _measured(4)), 1_234_500_000),
        Row("nightscan", (_measured(3),) * 3))
OUTCOME = Outcome("user_data", "User data", "Much of it.", Head((("date", "today"),), 1, 3, 1.0),
                  Found((Table("First", "restic", ROWS, "A note."),),
                        (Sheet("More", ("a", "b"), (("1", "2"),)),)),
                  ("borg is left out",))
LINES = tuple(Line(name, task, axis, (Point(1_000, _measured(1)), Point(100_000, _measured(30))))
              for axis in ("bytes", "files") for name in ("restic", "nightscan")
              for task in ("First", "Next & last"))


def test_the_document_is_what_the_results_render_to() -> None:
    outcomes = loaded(RESULTS)
    assert DOCUMENT.read_text(encoding="utf-8") == rendered(outcomes)
    if drawn := drawn_growth(outcomes):
        assert PICTURE.read_text(encoding="utf-8") == drawn
    assert all(outcome.head.scale == 1 for outcome in outcomes.values())


def test_a_table_shows_medians_ratios_and_every_round() -> None:
    text = rendered({"user_data": OUTCOME})
    assert "| restic | 4.00 | 1.00 | 1,234.5 MB | 2.00 | 50.0 MB | 40.0 MB | 2.00 9.00 4.00 |" in text
    assert "| nightscan | 3.00 | 0.75 | - | 1.50 | 50.0 MB | 40.0 MB | 3.00 3.00 3.00 |" in text
    assert "First (ratio: of restic)" in text
    assert "| User data | First | nightscan | 3.00 s | 4.00 s (restic) | 0.75 |" in text
    assert "borg is left out" in text
    assert "date: today; seed 1" in text


def test_who_is_left_out_is_no_measure() -> None:
    table = Table("First", "restic", (Row("tar", (_measured(2),)), Row("nightscan", (_measured(5),))))
    assert table.measure.name == "tar"


def test_an_outcome_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = replace(OUTCOME, found=replace(OUTCOME.found, lines=LINES))
    saved.save(tmp_path)
    assert loaded(tmp_path) == {"user_data": saved}


def test_the_picture_has_a_line_for_each_and_knows_the_night() -> None:
    drawn = drawn_growth({"growth_bytes": replace(OUTCOME, found=Found(lines=LINES))})
    root = ET.fromstring(drawn)  # noqa: S314 - made two lines above
    paths = [each.get("class", "") for each in root.iter("{http://www.w3.org/2000/svg}path")]
    legend, charts = 4, 4
    assert sum(kind.startswith("line ") for kind in paths) == legend + charts * 4
    assert "prefers-color-scheme: dark" in drawn


def test_a_first_look_does_not_become_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new, results = tmp_path / "new", tmp_path / "results"
    monkeypatch.setattr(document, "RESULTS", results)
    monkeypatch.setattr(document, "DOCUMENT", document.ROOT / "build" / "never-written.md")
    OUTCOME.save(new)
    replace(OUTCOME, key="database", head=replace(OUTCOME.head, scale=0.1)).save(new)
    told = [document.take(path) for path in sorted(new.iterdir())]
    assert told == ["database.json is of 0.1 of the full size: not taken", "user_data.json is taken"]
    assert [path.name for path in results.iterdir()] == ["user_data.json"]
