"""The demo itself, whole, on a small world."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is not there yet; short, for the socket of gpg's agent lies below it."""
    return tmp_path_factory.mktemp("d") / "w"


def test_everything_that_is_saved_comes_back_and_nothing_is_left(typed: Callable[..., Any],
                                                                 folder: Path) -> None:
    done = typed("demo", "--size", "2MB", "--dir", str(folder), "--json", env={})
    assert done.status == 0, done.err
    assert done.json["equal"] is True
    assert all(done.json["compared"].values())
    assert {line["component"] for line in done.json["lines"]} == {
        "database", "redis", "user_data", "system_config", "source_code"}
    for words in ("$ nightscan doctor", "$ nightscan backup daily --wait", "$ nightscan restore full",
                  "saved, and in every store", "EQUAL: everything"):
        assert words in done.err
    assert not folder.exists()


def test_a_folder_that_holds_anything_is_left_alone(typed: Callable[..., Any], tmp_path: Path) -> None:
    mine = tmp_path / "notes.txt"
    mine.write_text("keep me")
    done = typed("demo", "--dir", str(tmp_path), env={})
    assert done.status == 1
    assert "is not empty: nothing was touched" in done.err
    assert mine.read_text() == "keep me"
