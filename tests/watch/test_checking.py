"""The tasks that look, on a real broker without any worker."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from nightscan_tasks.system import System
from nightscan_tasks.tasks.watching import _written
from nightscan_tasks.watch.book import Book
from nightscan_tasks.watch.gathering import is_blind
from nightscan_tasks.watch.overview import Overview
from nightscan_tasks.watch.samples import Samples
from worker.queues import NAMES

Check = Callable[..., dict[str, Any]]


@pytest.fixture
def placed(settings_of: Callable[..., System], broker_redis: str, tmp_path: Path,
           monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings of an installation with a broker, and a quota offsite, in the environment."""
    settings_of()
    environ = {
        "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), "NIGHTSCAN_OFFSITE": str(tmp_path / "offsite"),
        "NIGHTSCAN_ROOT": str(tmp_path / "nightscan"), "NIGHTSCAN_TEMP_DIR": str(tmp_path),
        "NIGHTSCAN_AUDIT_FILE": str(tmp_path / "audit.jsonl"), "NIGHTSCAN_BROKER_URL": broker_redis,
        "NIGHTSCAN_QUOTAS": "offsite=5000", "NIGHTSCAN_METRICS_FILE": str(tmp_path / "nightscan.prom"),
        "NIGHTSCAN_GPG_RECIPIENT": "nobody@example.org"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return environ


@pytest.fixture
def check(placed: dict[str, str]) -> Iterator[Check]:
    with _application() as app:
        yield lambda name, **kwargs: app.tasks[f"nightscan.{name}"].apply(kwargs=kwargs, throw=True).get()


def test_a_check_looks_at_queues_keys_and_room_and_writes_the_metrics(
        check: Check, placed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    told = check("check_freshness")
    assert {f"no_worker:{queue}" for queue in NAMES} <= set(told["raised"])
    assert "key_unusable:encryption" in told["raised"]
    assert told["health"] == "critical"
    system = System.from_env()
    room = {store.name: Samples(system.primary).of(store) for store in system.stores}
    assert room["primary"].samples[0].free_bytes > 0
    assert (room["offsite"].samples[0].free_bytes, room["offsite"].total_bytes) == (5000, 5000)
    metrics = Path(placed["NIGHTSCAN_METRICS_FILE"]).read_text(encoding="utf-8")
    assert re.search(r'^nightscan_queue_workers\{queue="nightscan.fast"\} 0', metrics, re.MULTILINE)
    quick = check("notify")
    assert quick["over"] == []  # it did not ask for workers, and takes none for well
    monkeypatch.setenv("NIGHTSCAN_BROKER_URL", "redis://:hidden@127.0.0.1:1/0")
    with _application() as app:  # nor does one that could not ask
        away = app.tasks["nightscan.notify"].apply(kwargs={"thorough": True}, throw=True).get()
    assert (away["raised"], away["over"]) == (["no_broker:broker"], [])
    assert "hidden" not in str(Book(system.primary).page())


def test_metrics_that_cannot_be_written_are_told(placed: dict[str, str], good: Overview,
                                                 tmp_path: Path) -> None:
    unwritten = _written(tmp_path / "no" / "folder" / "x.prom", good)
    assert [each.key for each in unwritten.problems] == ["unwritten:metrics"]
    assert is_blind("unwritten:metrics", good.blind)  # who does not write them does not know
    written = _written(tmp_path / "x.prom", unwritten)
    assert written.problems == ()
    assert not is_blind("unwritten:metrics", written.blind)


def test_a_ledger_without_runs_is_no_error(check: Check) -> None:
    assert System.from_env().ledger.run_ids() == []
    assert "never:daily" in check("notify")["raised"]


@contextmanager
def _application() -> Iterator[Celery]:
    from worker.app import create_app
    app: Celery = create_app()
    app.loader.import_default_modules()
    yield app
    app.close()
