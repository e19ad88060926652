from __future__ import annotations

import re
from pathlib import Path

from nightscan_tasks.settings import variables
from nightscan_tasks.watch.problem import Kind

TEXT = (Path(__file__).parents[2] / "docs" / "MONITORING.md").read_text(encoding="utf-8")


def test_every_kind_of_problem_is_explained_and_no_other() -> None:
    assert re.findall(r"^\| `(\w+)`:", TEXT, re.MULTILINE) == sorted(
        Kind, key=lambda kind: TEXT.find(f"| `{kind}`:"))


def test_every_setting_it_names_is_there() -> None:
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", TEXT))
    assert named
    assert named <= set(variables())
