"""A restore says that it is held back, and is not where somebody says so."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nightscan_tasks import backup, runtime
from nightscan_tasks.backup import Request
from nightscan_tasks.cli import nightscan
from nightscan_tasks.doctor import Level
from nightscan_tasks.doctor.limits import limits
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import Days, Plan, Tier
from nightscan_tasks.restore import restore
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.workflows.restore import wanted
from tests.limits.conftest import Place

FILES = Plan(Tier.MANUAL, ("user_data",), Days(7))


@pytest.fixture
def environ(s3_place: Place, tmp_path: Path) -> dict[str, str]:
    """A site whose primary store is a bucket, and a limit that a test can bear."""
    uploads = tmp_path / "nightscan" / "uploads"
    uploads.mkdir(parents=True)
    (uploads / "owl.wav").write_bytes(os.urandom(100_000))
    return {"NIGHTSCAN_ROOT": str(tmp_path / "nightscan"), "AWS_ENDPOINT_URL": s3_place.endpoint,
            "NIGHTSCAN_PRIMARY": f"s3://{s3_place.bucket}/{s3_place.prefix}",
            "NIGHTSCAN_S3_STORAGE_CLASS": "STANDARD", "NIGHTSCAN_TEMP_DIR": str(tmp_path),
            "NIGHTSCAN_DOWNLOAD_BYTES_PER_SECOND": "50000000"}


@pytest.fixture
def saved(environ: dict[str, str]) -> System:
    system = System(load(environ | {"NIGHTSCAN_DOWNLOAD_BYTES_PER_SECOND": "0"}))
    assert backup.run_local(system, Request(FILES)).ending is Ending.GOOD
    return System(load(environ))


def _turn(system: System) -> bytes:
    path = runtime.folder_of(system.settings) / "download.turn"
    return path.read_bytes() if path.exists() else b""


def _restored(system: System, folder: Path, *, limited: bool) -> list[str]:
    told: list[Any] = []
    restore(system, wanted("user_data", target_root=str(folder), limited=limited), watch=told.append)
    (owl,) = folder.rglob("owl.wav")
    assert owl.stat().st_size == 100_000
    return [each["phase"] for each in told]


def test_a_restore_is_held_back_as_everything_and_lifted_with_a_word(saved: System, tmp_path: Path) -> None:
    _restored(saved, tmp_path / "free", limited=False)
    assert _turn(saved) == b""  # it waited for no turn, and took none from others
    _restored(saved, tmp_path / "held", limited=True)
    assert _turn(saved)


def test_the_plan_says_that_it_is_held_back_and_by_what(saved: System, environ: dict[str, str],
                                                        tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                        ) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def notes(*more: str) -> str:
        done = CliRunner().invoke(nightscan, ("restore", "user_data", "--dry-run", "--local", "--json",
                                              "--target-root", str(tmp_path / "elsewhere"), *more))
        assert done.exit_code == 0, done.output
        return " ".join(json.loads(done.stdout)["notes"])

    assert "no faster than 50.0 MB/s" in notes()
    assert "--no-limit" in notes()
    assert "faster" not in notes("--no-limit")


def test_progress_says_so_too(saved: System) -> None:
    from nightscan_tasks.restore.limits import telling
    from nightscan_tasks.tasks.trying import sentence

    told: list[Any] = []
    watch = telling(told.append, saved, saved.primary)
    assert watch
    watch({"phase": "restoring", "bytes": 1, "of_bytes": 2, "bytes_per_second": 1})
    assert sentence(told[0]).startswith("restoring, held to 50.0 MB/s, 1 B of about 2 B")


def test_a_whole_run_takes_as_long_as_its_bytes(environ: dict[str, str]) -> None:
    """Sent once, read back by who stored it, and read again by verification: all of it counts."""
    system = System(load(environ | {"NIGHTSCAN_UPLOAD_BYTES_PER_SECOND": "100000",
                                    "NIGHTSCAN_DOWNLOAD_BYTES_PER_SECOND": "200000"}))
    began = time.monotonic()
    outcome = backup.run_local(system, Request(FILES))
    assert outcome.stored_bytes >= 100_000
    assert time.monotonic() - began >= outcome.stored_bytes * (1 / 100_000 + 2 / 200_000) - 3 * 0.35


@pytest.fixture
def found(environ: dict[str, str]) -> Callable[..., dict[Level, str]]:
    """What the doctor says of limits."""
    def look(**changed: str) -> dict[Level, str]:
        return {each.level: f"{each.found} {each.advice}" for each in limits(System(load(environ | changed)))}
    return look


def test_the_doctor_tells_what_is_set(found: Callable[..., dict[Level, str]]) -> None:
    said = found(NIGHTSCAN_NICE="10", NIGHTSCAN_IONICE="idle", NIGHTSCAN_JOBS="3")
    assert list(said) == [Level.OK]
    for words in ("up no limit", "down 50.0 MB/s", "nice 10", "ionice idle", "3 jobs", "nightscan-"):
        assert words in said[Level.OK]


def test_the_doctor_tells_of_a_folder_that_cannot_be_shared(found: Callable[..., dict[Level, str]],
                                                            tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "NIGHTSCAN_RUNTIME_DIR" in found(NIGHTSCAN_RUNTIME_DIR=str(tmp_path / "file"))[Level.FAIL]


def test_the_doctor_tells_of_a_limit_with_which_no_run_ends_in_time(
        saved: System, found: Callable[..., dict[Level, str]]) -> None:
    said = found(NIGHTSCAN_UPLOAD_BYTES_PER_SECOND="1000", NIGHTSCAN_DEADLINE_SECONDS="10")
    assert "raise NIGHTSCAN_UPLOAD_BYTES_PER_SECOND" in said[Level.WARN]
    assert Level.WARN not in found(NIGHTSCAN_UPLOAD_BYTES_PER_SECOND="1000000",
                                   NIGHTSCAN_DEADLINE_SECONDS="10")
