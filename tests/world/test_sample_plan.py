from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightscan_tasks.world.sample import parse_size
from nightscan_tasks.world.sample.plan import plan_sample

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)


@pytest.mark.parametrize(("text", "expected"), [
    ("50MB", 50_000_000), ("2GB", 2_000_000_000), ("2 gb".upper(), 2_000_000_000),
    ("1.5GiB", 1_610_612_736), ("512K", 512_000), ("800000", 800_000), ("0", 0),
])
def test_sizes_are_read_as_people_write_them(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "big", "-1MB", "5 parsecs", "MB", "1e9"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="50MB"):
        parse_size(text)


@given(seed=st.integers(0, 2**32), total_bytes=st.integers(1_000_000, 40_000_000))
def test_a_plan_keeps_to_its_size_and_names_nothing_twice(seed: int, total_bytes: int) -> None:
    plan = plan_sample(total_bytes, seed=seed, now=NOW)
    files = sum(upload.size_bytes for upload in plan.uploads)
    planned = files + plan.database_bytes + plan.redis_bytes + plan.models_bytes + plan.logs_bytes
    assert 0.9 * total_bytes < planned < 1.25 * total_bytes
    assert len({upload.path for upload in plan.uploads}) == len(plan.uploads)
    assert {upload.kind for upload in plan.uploads} == {"sound", "picture"}
    assert all(upload.uploaded_at < NOW for upload in plan.uploads)


def test_the_same_seed_plans_the_same_and_another_something_else() -> None:
    first, again, other = (plan_sample(5_000_000, seed=seed, now=NOW) for seed in (1, 1, 2))
    assert first == again != other
    assert first.random("uploads").random() == again.random("uploads").random()
