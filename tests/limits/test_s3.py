"""A bucket's bytes keep to the limit, both ways, by the bucket's own count of what was sent and read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nightscan_tasks import runtime
from nightscan_tasks.errors import SettingsError
from nightscan_tasks.settings import load
from nightscan_tasks.stores.build import build_store
from nightscan_tasks.stores.pacing import SECOND, Pace, Paces
from nightscan_tasks.stores.parts import Cutter
from nightscan_tasks.streams import tally
from tests.limits.conftest import Place, Slept

MIB = 1 << 20
RATE = 2_000_000


@pytest.fixture
def up(pace: Callable[[int], Pace]) -> Paces:
    return Paces(up=pace(RATE))


def _cut() -> Cutter:
    return Cutter(plan=lambda _number: 5 * MIB)


def test_an_object_of_one_part_is_paced_and_whole(s3_place: Place, up: Paces, slept: Slept) -> None:
    data = os.urandom(3 * MIB)
    stored = s3_place.store(up).put("daily/a", [data])
    assert slept.slept_ns == pytest.approx(len(data) * SECOND / RATE - SECOND / 20, abs=SECOND / 10)
    with s3_place.store(Paces()).open("daily/a") as chunks:
        assert tally(chunks).sha256 == stored.sha256


def test_each_byte_is_counted_once_though_it_is_read_to_be_signed(s3_place: Place, up: Paces,
                                                                  slept: Slept) -> None:
    """Over plain HTTP botocore hashes a body before it sends it: that takes no time on the line."""
    turns: list[int] = []
    assert up.up
    counting = _Counting(up.up, turns)
    s3_place.store(Paces(up=counting)).put("daily/a", [bytes(2 * MIB)])
    assert sum(turns) == 2 * MIB
    assert max(turns) == RATE // 20  # smoothly


class _Counting(Pace):
    """A limit that notes what it granted."""

    def __init__(self, pace: Pace, turns: list[int]) -> None:
        super().__init__(pace.bytes_per_second, pace.opened, pace.clock)
        object.__setattr__(self, "turns", turns)

    def take(self, wanted_bytes: int) -> int:
        count = super().take(wanted_bytes)
        self.turns.append(count)  # type: ignore[attr-defined]  # set above, the class is frozen
        return count


def test_parts_that_are_sent_in_a_thread_are_paced_too(s3_place: Place, up: Paces, slept: Slept) -> None:
    data = os.urandom(11 * MIB)
    stored = s3_place.store(up, cutter=_cut()).put("daily/a", [data[:7 * MIB], data[7 * MIB:]])
    assert slept.slept_ns >= len(data) * SECOND / RATE - SECOND / 2
    assert stored.stored_bytes == len(data)


def test_parts_that_wait_in_a_file_are_paced_too(s3_place: Place, up: Paces, slept: Slept,
                                                 tmp_path: Path) -> None:
    cutter = replace(_cut(), held_bytes=MIB, temp_dir=tmp_path)
    data = os.urandom(6 * MIB)
    stored = s3_place.store(up, cutter=cutter).put("daily/a", [data])
    assert slept.slept_ns >= len(data) * SECOND / RATE - SECOND / 2
    with s3_place.store(Paces()).open("daily/a") as chunks:
        assert tally(chunks).sha256 == stored.sha256


def test_a_body_is_sent_again_from_its_beginning(s3_place: Place, up: Paces, slept: Slept) -> None:
    """A server that is asked twice gets all of it twice, and both count."""
    store = s3_place.store(up)
    client = store._bucket._connected()
    failed: list[int] = []

    def answer(**_event: object) -> object:
        failed.append(1)
        return None if len(failed) > 1 else 0  # botocore: repeat the request after so many seconds

    client.meta.events.register_first("needs-retry.s3.PutObject", answer)
    data = os.urandom(MIB)
    stored = store.put("daily/a", [data])
    assert len(failed) == 2
    assert slept.slept_ns >= 2 * len(data) * SECOND / RATE - SECOND / 2
    with s3_place.store(Paces()).open("daily/a") as chunks:
        assert tally(chunks).sha256 == stored.sha256


def test_what_is_read_is_paced(s3_place: Place, pace: Callable[[int], Pace], slept: Slept) -> None:
    data = os.urandom(3 * MIB)
    s3_place.store(Paces()).put("daily/a", [data])
    assert slept.slept_ns == 0
    with s3_place.store(Paces(down=pace(RATE))).open("daily/a") as chunks:
        pieces = [bytes(chunk) for chunk in chunks]
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= RATE // 20
    assert slept.slept_ns == pytest.approx(len(data) * SECOND / RATE - SECOND / 20, abs=SECOND / 10)


def test_sending_and_reading_back_keep_to_both_limits_of_the_settings(
        s3_place: Place, tmp_path: Path, bucket: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """End to end, by the wall's clock: it cannot be done in less time than bytes by rate."""
    settings = load({"NIGHTSCAN_RUNTIME_DIR": str(tmp_path), "AWS_ENDPOINT_URL": s3_place.endpoint,
                     "NIGHTSCAN_S3_STORAGE_CLASS": "STANDARD",
                     "NIGHTSCAN_UPLOAD_BYTES_PER_SECOND": "4000000",
                     "NIGHTSCAN_DOWNLOAD_BYTES_PER_SECOND": "8000000"})
    store = build_store("offsite", f"s3://{s3_place.bucket}/{s3_place.prefix}", settings)
    data = os.urandom(4_000_000)
    began = time.monotonic()
    stored = store.put("daily/a", [data])
    sent = time.monotonic()
    with store.open("daily/a") as chunks:
        assert tally(chunks).sha256 == stored.sha256
    assert sent - began >= 1 - 0.35
    assert time.monotonic() - sent >= 0.5 - 0.35


def test_a_limit_that_cannot_be_kept_is_an_error_that_says_what_to_set(s3_place: Place,
                                                                       tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = load({"NIGHTSCAN_RUNTIME_DIR": str(tmp_path / "file" / "below"),
                     "AWS_ENDPOINT_URL": s3_place.endpoint, "NIGHTSCAN_UPLOAD_BYTES_PER_SECOND": "4000000"})
    store = build_store("offsite", f"s3://{s3_place.bucket}/{s3_place.prefix}", settings)
    with pytest.raises(SettingsError, match="NIGHTSCAN_RUNTIME_DIR"):
        store.put("daily/a", [bytes(1000)])
    assert runtime.folder_of(settings) == tmp_path / "file" / "below"
