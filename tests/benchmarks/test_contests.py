"""Every contest, tiny and once, where there is neither restic nor borg."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.outcome import Outcome, loaded

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("no_rivals")]
TINY = ("--rounds", "1", "--scale", "0.002")


def _held(name: str, tmp_path: Path, *more: str) -> Outcome:
    """What it kept; and nothing else is left."""
    work = tmp_path / "s"
    assert main([name, *TINY, "--scratch", str(work), "--results", str(tmp_path / "r"), *more]) == 0
    assert not list(work.iterdir())
    return loaded(tmp_path / "r")[name]


def _names(outcome: Outcome) -> list[list[str]]:
    return [[row.name for row in table.rows] for table in outcome.found.tables]


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose path is short: gpg's agent listens below it, and a socket's name has 107 bytes."""
    return tmp_path_factory.mktemp("b")


def test_user_data(short: Path) -> None:
    outcome = _held("user_data", short)
    pipes = ["tar -c", "tar -cz | gpg (the guide)"]
    assert _names(outcome) == [[*pipes, "nightscan"], ["nightscan"], ["nightscan"], ["nightscan"],
                               [*pipes, "nightscan"], [*pipes, "nightscan"]]
    assert all(row.seconds > 0 for table in outcome.found.tables for row in table.rows)
    first = outcome.found.tables[0]
    assert all((row.stored_bytes or 0) > 1_000_000 for row in first.rows)
    assert len(outcome.left_out) == 2


def test_database(short: Path) -> None:
    outcome = _held("database", short)
    dump, restore, both = outcome.found.tables
    ours = ["nightscan, sql", "nightscan, directory"]
    assert dump.rows[0].name == "pg_dump >/dev/null"
    assert [row.name for row in restore.rows][-2:] == ours
    for row in both.rows:
        one, other = dump.row(row.name), restore.row(row.name)
        assert one is not None
        assert other is not None
        assert row.seconds == pytest.approx(one.seconds + other.seconds)


def test_growth(short: Path) -> None:
    outcome = _held("growth_files", short, "--files", "200")
    first, unchanged = outcome.found.lines
    assert (first.name, first.axis, [point.amount for point in first.points]) == ("nightscan", "files", [200])
    assert unchanged.task == "Next backup, nothing changed"


def test_a_contest_that_does_not_fit_is_told_and_is_a_failure(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["growth_bytes", "--bytes", "900TB", "--scratch", str(tmp_path / "s"),
                 "--results", str(tmp_path / "r")]) == 1
    assert "are needed" in capsys.readouterr().out
    assert not loaded(tmp_path / "r")
