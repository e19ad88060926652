"""The page on many sites says what its script computes, and the script counts what the code really asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightscan_tasks.stores.parts import plan_part_bytes
from nightscan_tasks.world.world import World
from tools.many_sites.__main__ import PAGE
from tools.many_sites.capacity import loads
from tools.many_sites.document import document
from tools.many_sites.fleet import MBIT, TB, Fleet
from tools.many_sites.measuring import measure_site
from tools.many_sites.night import shares, simulate
from tools.many_sites.prices import STANDARD, STANDARD_IA, bill, egress
from tools.many_sites.requests import KINDS, Steps, a_day, part_count, parts_a_day

pytestmark = pytest.mark.long


@pytest.fixture
def steps() -> Steps:
    return Steps.load()


def test_the_page_is_what_the_script_prints(steps: Steps) -> None:
    assert PAGE.read_text(encoding="utf-8") == document(Fleet(), steps), (
        "run `python -m tools.many_sites --write`")


def test_the_figures_are_what_a_real_site_asks(s3_server: World, bucket: Any, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch, steps: Steps) -> None:
    """A small run, counted anew. A request more is nothing; a step that asks a third more is a drift."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, s3_server.environ()[name])
    environ = {"AWS_ENDPOINT_URL": s3_server.environ()["AWS_ENDPOINT_URL"]}
    found = measure_site(tmp_path, environ, f"s3://{bucket.name}/site")
    now = Steps(found["base"], found["a_set"], found["sets"])
    assert now.base.keys() == steps.base.keys()
    far: dict[str, tuple[float, float]] = {}
    for step in steps.base:
        then, asked = (each.of(step, Fleet().kept_sets) for each in (steps, now))
        far |= {f"{step} {kind}": (then[kind], asked[kind]) for kind in KINDS
                if abs(asked[kind] - then[kind]) > max(3, then[kind] / 3)}
    assert not far, f"{far}: run `python -m tools.many_sites --measure --write`"


def test_ten_terabytes_are_ten_terabytes() -> None:
    fleet = Fleet()
    assert sum(fleet.stocks()) * fleet.sent_share == pytest.approx(10 * TB)
    assert fleet.but(sites=200).sent_bytes_a_day == pytest.approx(20 * TB)
    assert fleet.but(full_days=0).sent_share == pytest.approx(1 + 1 / 7 + 1 / 30.4)


@given(st.lists(st.floats(1, 1000), min_size=1, max_size=30), st.floats(1, 5000))
def test_a_line_is_shared_evenly_and_left_idle_by_nobody(wanted: list[float], line: float) -> None:
    granted = shares(wanted, line)
    assert sum(granted) == pytest.approx(min(sum(wanted), line))
    most = max(granted)
    for got, want in zip(granted, wanted, strict=True):
        assert got <= want * (1 + 1e-9)
        assert got == pytest.approx(want) or got == pytest.approx(most)


def test_a_night_is_as_long_as_its_lines_make_it() -> None:
    alone = Fleet(sites=1, spread=0.0)
    seconds = alone.stock_bytes / alone.uplink
    assert simulate(alone, 1.0).hours(1.0) == pytest.approx(seconds / 3600)
    crowd = Fleet(spread=0.0, shared=100 * MBIT)
    seconds = crowd.sites * crowd.stock_bytes / crowd.shared
    assert simulate(crowd, 1.0).hours(1.0) == pytest.approx(seconds / 3600)
    assert simulate(crowd, 1.0).late == crowd.sites


def test_the_bottleneck_moves(steps: Steps) -> None:
    fleet = Fleet()
    assert loads(fleet, steps)[0].name == "the shared line up"
    assert "largest site" in loads(fleet.but(shared=100_000 * MBIT), steps)[0].name
    assert loads(fleet.but(uplink=100 * MBIT), steps)[0].name == "the largest site's line up"
    many = {each.name: each.share for each in loads(fleet.but(sites=10_000, shared=1e15), steps)}
    assert many["S3's PUTs a second, were all sites one prefix"] > 1


@pytest.mark.parametrize("stored_bytes", [1, 16 << 20, (16 << 20) + 1, 50 << 30])
def test_parts_are_those_that_the_store_cuts(stored_bytes: int) -> None:
    count = part_count(stored_bytes)
    assert sum(map(plan_part_bytes, range(1, count + 1))) >= stored_bytes
    assert sum(map(plan_part_bytes, range(1, count))) < stored_bytes


def test_a_bill_adds_up(steps: Steps) -> None:
    fleet = Fleet()
    assert egress(20_000) == pytest.approx(10_000 * 0.09 + 10_000 * 0.085)
    there, here = (bill(fleet.but(outside=outside), STANDARD_IA, small={}, parts=0, reads=0)
                   for outside in (True, False))
    assert there.total - here.total == pytest.approx(there.egress)
    assert here.storage == pytest.approx(
        fleet.sites * fleet.stock_bytes * fleet.billed_share(30) / 1e9 * 0.0125)
    assert fleet.billed_share(30) > fleet.billed_share(STANDARD.least_days) == pytest.approx(fleet.kept_share)


def test_what_asks_more_costs_more(steps: Steps) -> None:
    def asked(fleet: Fleet) -> float:
        return sum(sum(step.values()) for step in a_day(fleet, steps).values())

    fleet = Fleet()
    assert asked(fleet.but(beat_seconds=1.0)) > asked(fleet) > asked(fleet.but(looks_a_day=1))
    assert parts_a_day(fleet.but(change=0.1)) > parts_a_day(fleet)
