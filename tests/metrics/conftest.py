"""Overviews to make metrics of: a past that went well, one that did not, and one of which all is known."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nightscan_tasks.report.metrics import metrics_text
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.tasks.glancing import glance
from nightscan_tasks.watch.overview import Filling, KeySeen, Overview
from nightscan_tasks.watch.queue import QueueSeen
from nightscan_tasks.world.history import write_history

NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)
_DAYS = 35


@dataclass(frozen=True)
class Past:
    """A simulated past, the environment that describes it, and how it is seen at its end."""

    environ: dict[str, str]
    overview: Overview


def _past(folder: Path, *, well: bool) -> Past:
    environ = {"NIGHTSCAN_BACKUP_DIR": str(folder / "backups"), "NIGHTSCAN_OFFSITE": str(folder / "offsite"),
               "NIGHTSCAN_ROOT": str(folder / "nightscan"),
               "NIGHTSCAN_AUDIT_FILE": str(folder / "audit.jsonl"), "NIGHTSCAN_SITE": "NightScan Lyon"}
    system = System(load(environ), clock=lambda: NOW)
    write_history(system, days=_DAYS, seed=1, now=NOW, well=well)
    return Past(environ, glance(system))


@pytest.fixture(scope="session")
def past(clean_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Past:
    """One that ended well."""
    return _past(tmp_path_factory.mktemp("past"), well=True)


@pytest.fixture(scope="session")
def bad_past(clean_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Past:
    """One that ended badly."""
    return _past(tmp_path_factory.mktemp("bad"), well=False)


@pytest.fixture(scope="session")
def known(past: Past) -> Overview:
    """The one that ended well, with what only a thorough look and some days of samples can tell."""
    filling = Filling(5 * 10**11, 10**12, NOW, 4.0 * 10**9, date(2027, 3, 28))
    return replace(
        past.overview, blind=(),
        stores=tuple(replace(store, filling=filling) for store in past.overview.stores),
        queues=(QueueSeen("nightscan.fast", ("fast@one", "fast@two"), 0),
                QueueSeen("nightscan.heavy", (), 3, 90.5), QueueSeen("nightscan.restore", None, 2),
                QueueSeen("nightscan.control")),
        keys=(KeySeen("encryption", "backup@nightscan.com", NOW + timedelta(days=90)),
              KeySeen("signing", "host@nightscan.com", None, "revoked")))


@pytest.fixture(scope="session")
def value() -> Callable[..., float | None]:
    """`value(overview, "nightscan_sets", tier="daily", store="offsite")`: None where it is absent."""

    def find(overview: Overview, name: str, **labels: str) -> float | None:
        return _read(metrics_text(overview)).get((name, frozenset(labels.items())))

    return find


@pytest.fixture(scope="session")
def read() -> Callable[[str], dict[tuple[str, frozenset[tuple[str, str]]], float]]:
    """Prometheus' text as its own client library reads it."""
    return _read


def _read(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {(each.name, frozenset(each.labels.items())): each.value
            for family in text_string_to_metric_families(text) for each in family.samples}


@pytest.fixture(scope="session")
def promtool() -> Callable[..., str]:
    """Run Debian's promtool, of its package `prometheus`, or the one that PROMTOOL names; what it said."""
    program = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool here: it comes with Debian's package prometheus; or set PROMTOOL to one")

    def run(*words: str, given: str = "") -> str:
        done = subprocess.run([program, *words], input=given, capture_output=True, text=True, check=False,
                              timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run
