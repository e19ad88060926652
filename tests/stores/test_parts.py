"""How a stream of unknown length is cut so that 10,000 parts are enough."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightscan_tasks.errors import StoreRefused
from nightscan_tasks.stores.parts import HELD_BYTES, MIB, MOST_PARTS, Cutter, plan_part_bytes

GIB = 1 << 30
TIB = 1 << 40


def test_the_plan_keeps_the_rules_of_s3() -> None:
    sizes = [plan_part_bytes(number) for number in range(1, MOST_PARTS + 1)]
    assert sum(sizes) >= 5 * TIB
    assert min(sizes) >= 5 * MIB
    assert max(sizes) <= 5 * GIB
    assert sizes == sorted(sizes)
    assert sum(size for size in sizes if size <= HELD_BYTES) > 50 * GIB


@pytest.mark.parametrize("number", [-1, 0, MOST_PARTS + 1])
def test_there_are_no_other_parts(number: int) -> None:
    with pytest.raises(StoreRefused, match="10,000"):
        plan_part_bytes(number)


@settings(deadline=None, database=None)
@given(lengths=st.lists(st.integers(1, 50), max_size=12),
       sizes=st.lists(st.integers(1, 30), min_size=1, max_size=5), held=st.sampled_from([0, 10, 99]))
def test_nothing_is_lost_or_doubled_by_cutting(lengths: list[int], sizes: list[int],
                                               held: int) -> None:
    chunks = [bytes([number]) * length for number, length in enumerate(lengths)]

    def plan(number: int) -> int:
        return sizes[min(number, len(sizes)) - 1]

    found, marks = [], []
    for part in Cutter(plan=plan, held_bytes=held).cut(iter(chunks)):
        body = part.body
        content = bytes(body) if isinstance(body, bytearray) else body.read()
        assert len(content) == part.stored_bytes
        assert part.stored_bytes == plan(part.number) or part.last
        found.append(content)
        marks.append(part.last)
        part.drop()
    assert b"".join(found) == b"".join(chunks)
    assert marks == [False] * (len(marks) - 1) + [True]
    assert all(found) or found == [b""]


def grown(number: int) -> int:
    return 10 * number


@pytest.mark.parametrize(("plan", "length", "parts"), [(grown, 0, 1), (grown, 10, 1), (grown, 11, 2),
                                                       (grown, 30, 2), (grown, 31, 3)])
def test_the_last_part_is_full_or_shorter(plan: Callable[[int], int], length: int,
                                          parts: int) -> None:
    assert len(list(Cutter(plan=plan).cut([bytes(length)]))) == parts
