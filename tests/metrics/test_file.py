"""node_exporter's file is whole at every moment, readable, and no task fails for it unheard."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nightscan_tasks.errors import NightscanError
from nightscan_tasks.report.metrics import MetricsUnwritten, metrics_text, write_metrics
from nightscan_tasks.watch.overview import Overview
from nightscan_tasks.watch.problem import Health


@pytest.fixture
def full_disk() -> Iterator[Callable[[], None]]:
    """From when it is called, no file may grow beyond a few bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_it_has_the_metrics_and_others_may_read_it(known: Overview, tmp_path: Path) -> None:
    path = tmp_path / "nightscan.prom"
    before = os.umask(0o077)
    try:
        write_metrics(path, known)
    finally:
        os.umask(before)
    assert path.read_text() == metrics_text(known)
    assert path.stat().st_mode & 0o7777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_who_reads_it_meanwhile_reads_the_old_one_to_its_end(known: Overview, tmp_path: Path) -> None:
    path = tmp_path / "nightscan.prom"
    write_metrics(path, known)
    with path.open() as reading:
        beginning = reading.read(10)
        write_metrics(path, Overview("another", known.now, (), Health.GOOD))
        assert beginning + reading.read() == metrics_text(known)
    assert 'site="another"' in path.read_text()


def test_a_write_that_fails_leaves_the_old_one_and_nothing_else(
    known: Overview, tmp_path: Path, full_disk: Callable[[], None],
) -> None:
    path = tmp_path / "nightscan.prom"
    write_metrics(path, known)
    full_disk()
    with pytest.raises(MetricsUnwritten, match=f"(?s){path}.*NIGHTSCAN_METRICS_FILE"):
        write_metrics(path, known)
    assert path.read_text() == metrics_text(known)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("where", ["missing/nightscan.prom", "file/nightscan.prom", "folder"])
def test_what_is_in_the_way_is_an_error_of_ours(known: Overview, tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "full").touch()
    with pytest.raises(NightscanError, match="could not be written"):
        write_metrics(tmp_path / where, known)
    assert {each.name for each in tmp_path.iterdir()} == {"file", "folder"}
