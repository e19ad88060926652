"""`nightscan metrics`, and what doctor says of the file that it writes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nightscan_tasks.cli import nightscan
from nightscan_tasks.doctor.finding import Level
from nightscan_tasks.doctor.metrics import metrics
from nightscan_tasks.settings import load
from nightscan_tasks.system import System


@pytest.fixture
def here(past: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command on the past that went well."""
    for name, value in past.environ.items():
        monkeypatch.setenv(name, value)
    return lambda *words: CliRunner().invoke(nightscan, ["metrics", *words])


def named(read: dict[tuple[str, Any], float]) -> set[str]:
    return {name for name, _ in read}


def test_it_prints_what_prometheus_reads(here: Callable[..., Result], read: Callable[[str], Any]) -> None:
    ran = here()
    assert ran.exit_code == 0, ran.output
    found = read(ran.stdout)
    assert {"nightscan_health", "nightscan_backup_last_success_timestamp_seconds"} <= named(found)
    assert not [name for name in named(found) if "queue" in name]


def test_it_prints_the_same_as_json(here: Callable[..., Result], read: Callable[[str], Any]) -> None:
    values = json.loads(here("--json").stdout)
    assert {each["name"] for each in values} == named(read(here().stdout))
    assert {"name": "nightscan_store_up", "labels": {"store": "offsite"}, "value": 1.0} in values


def test_it_writes_the_file(here: Callable[..., Result], read: Callable[[str], Any], tmp_path: Path) -> None:
    path = tmp_path / "nightscan.prom"
    ran = here("--file", str(path))
    assert (ran.exit_code, ran.stdout) == (0, f"written: {path}\n")
    assert named(read(path.read_text())) == named(read(here().stdout))


def test_a_file_that_cannot_be_written_is_said_and_a_failure(here: Callable[..., Result],
                                                             tmp_path: Path) -> None:
    ran = here("--file", str(tmp_path / "missing" / "nightscan.prom"))
    assert ran.exit_code == 1
    assert "could not be written" in ran.stderr


@pytest.mark.parametrize(("name", "level", "said"), [
    ("nightscan.prom", Level.OK, "written to"), ("nightscan.txt", Level.WARN, ".prom"),
    ("missing/nightscan.prom", Level.WARN, "no folder"), ("folder.prom", Level.WARN, "is a folder")])
def test_doctor_says_whether_the_file_can_be_written(tmp_path: Path, name: str, level: Level,
                                                     said: str) -> None:
    (tmp_path / "folder.prom").mkdir()
    (found,) = metrics(System(load({"NIGHTSCAN_METRICS_FILE": str(tmp_path / name)})))
    assert found.level is level
    assert said in found.found


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write every folder")
def test_doctor_notices_a_folder_that_others_own(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o555)
    (found,) = metrics(System(load({"NIGHTSCAN_METRICS_FILE": str(tmp_path / "closed/nightscan.prom")})))
    assert "cannot be written" in found.found


def test_doctor_is_silent_where_no_file_is_wanted() -> None:
    assert list(metrics(System(load({})))) == []
