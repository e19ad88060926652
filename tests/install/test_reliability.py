"""What docs/RELIABILITY.md promises is held by tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = (REPOSITORY / "docs" / "RELIABILITY.md").read_text(encoding="utf-8")
LINES = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", TEXT)))


def test_every_promise_names_a_test() -> None:
    assert len(LINES) > 40
    assert [line for line in LINES if "`tests/" not in line] == []


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_test_that_is_named_is_there(path: str, name: str) -> None:
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    assert re.search(rf"^\s*def {name}\(", text, re.MULTILINE)


@pytest.mark.parametrize("number", range(1, 13))
def test_each_of_the_twelve_promises_is_there(number: int) -> None:
    assert re.search(rf"^\| {number}\. ", TEXT, re.MULTILINE)
