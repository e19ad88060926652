"""The day on which a disk or bucket is full is told long before."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from nightscan_tasks.system import System
from nightscan_tasks.watch.samples import Sample, Sampled, Samples, plan_filling

NOW = datetime(2026, 11, 23, 6, 20, tzinfo=UTC)
GB = 10**9


def sampled(*free: float, every: timedelta = timedelta(days=1)) -> Sampled:
    """Bytes that were free, the last of them now."""
    return Sampled("primary", "/x", tuple(Sample(NOW - every * (len(free) - 1 - number), int(each))
                                          for number, each in enumerate(free)))


def test_a_steady_growth_ends_on_the_day_that_arithmetic_says() -> None:
    filling = plan_filling(sampled(*(100 * GB - 5 * GB * day for day in range(11))))
    assert filling is not None
    assert filling.bytes_per_day == pytest.approx(5 * GB)
    assert (filling.free_bytes, filling.full_on) == (50 * GB, date(2026, 12, 3))


def test_noise_and_one_big_removal_move_it_little() -> None:
    chance = random.Random(1)
    free = [500 * GB - 5 * GB * day + chance.uniform(-2, 2) * GB for day in range(40)]
    calm = plan_filling(sampled(*free))
    spike = plan_filling(sampled(*(each - 200 * GB if number == 20 else each
                                   for number, each in enumerate(free))))
    assert calm is not None
    assert calm.full_on is not None
    assert spike is not None
    assert spike.full_on is not None
    assert abs((calm.full_on - date(2027, 1, 23)).days) <= 4
    assert abs((calm.full_on - spike.full_on).days) <= 4


def test_nothing_is_forecast_from_too_little_or_where_room_grows() -> None:
    assert plan_filling(Sampled("primary", "/x")) is None
    for each in (sampled(10 * GB), sampled(10 * GB, 9 * GB), sampled(*range(GB, 20 * GB, GB))):
        filling = plan_filling(each)
        assert filling is not None
        assert filling.full_on is None


def test_one_sample_a_day_is_kept_and_not_for_ever(system: System) -> None:
    samples = Samples(system.primary)
    for hours in range(0, 24 * 200, 6):
        samples.add(system.primary, Sample(NOW + timedelta(hours=hours), hours), total_bytes=None)
    kept = samples.of(system.primary).samples
    assert len(kept) == 120
    assert kept[-1].free_bytes == 24 * 200 - 6
    assert min(other.at - one.at for one, other in pairwise(kept[:-1])) >= timedelta(hours=20)


def test_samples_of_another_place_with_the_same_name_do_not_count(system: System) -> None:
    Samples(system.primary).add(system.primary, Sample(NOW, 5), total_bytes=None)
    moved = System(system.settings.model_copy(update={"backup_dir": system.settings.root / "else"}))
    assert Samples(system.primary).of(moved.primary).samples == ()
