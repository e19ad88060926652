"""A short story of chaos: a smaller part of `make chaos`, with faults that differ in kind."""

from __future__ import annotations

import pytest

from chaos.faults import FAULTS as ALL
from chaos.figures import Figures
from chaos.returning import PROMISED_SECONDS, restart_seconds
from chaos.story import plan_story
from chaos.telling import Wish, tell
from nightscan_tasks.settings import load
from worker.configuration import configure

pytestmark = pytest.mark.long

FAULTS = ("kill a worker", "kill gpg", "flush the results", "S3 403")


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    return tell(tmp_path_factory.mktemp("c"), Wish(20261123, runs=len(FAULTS), restores=1, only=FAULTS))


def test_every_fault_struck_and_every_run_ended(figures: Figures) -> None:
    assert set(figures.faults) == set(FAULTS)
    assert figures.unanswered == []
    assert sum(figures.endings.values()) == figures.runs == len(FAULTS)


def test_the_ledger_told_the_truth_about_each(figures: Figures) -> None:
    assert figures.wrong == []
    assert figures.unexpected == []


def test_no_set_is_lost_and_nothing_is_left_over(figures: Figures) -> None:
    assert figures.lost == []
    assert figures.left == []
    assert figures.restored == 1


def test_workers_come_back_after_the_broker_did(figures: Figures) -> None:
    assert figures.back_seconds is not None  # how soon is a figure of `make chaos`, on a quiet machine
    assert figures.restarts > 0


def test_what_workers_wait_for_adds_up_to_less_than_is_promised(figures: Figures) -> None:
    tries = configure(load({}))["broker_connection_max_retries"]
    longest_pause = 2 * tries  # kombu waits two seconds longer before each try
    starting = 10
    assert longest_pause + restart_seconds() + starting <= PROMISED_SECONDS


def test_a_story_is_told_again_by_its_seed() -> None:
    story = plan_story(7, 100, list(ALL))
    assert story == plan_story(7, 100, list(ALL))
    assert story != plan_story(8, 100, list(ALL))
    struck = [strike.fault for chapter in story for strike in chapter.strikes]
    assert set(struck) == set(ALL)
    assert min(struck.count(fault) for fault in ALL) >= 100 // len(ALL)
