"""A restore that is killed at any step leaves one whole state, by the next command at the latest."""

from __future__ import annotations

from typing import Any

import pytest

from nightscan_tasks.ledger.restore_records import RestoreEnding
from nightscan_tasks.model import Tier
from nightscan_tasks.restore import reap_restores, restore, resume, rollback
from nightscan_tasks.workflows.restore import wanted

pytestmark = pytest.mark.long

States = tuple[dict[str, str], dict[str, str]]
BEFORE = ("opened", "staged database", "staged user_data")
AFTER = ("swapping", "swapped database", "swapped redis", "swapped user_data")


@pytest.mark.parametrize("step", BEFORE)
def test_killed_before_the_swap_the_old_state_is_live_and_the_next_command_clears_up(
        saved: Any, killed: Any, states: States, step: str) -> None:
    run_id = killed(saved, step)
    assert saved.state() == states[1]
    told = resume(saved.system, run_id).told
    assert "before anything was changed: the old state is live" in told
    assert saved.state() == states[1]
    assert _outcome(saved, run_id) is RestoreEnding.FAILED
    assert _left_at(saved) == []


@pytest.mark.parametrize("step", AFTER)
def test_killed_in_the_swap_the_next_command_completes_it_and_says_how_far_it_was(
        saved: Any, killed: Any, states: States, step: str) -> None:
    run_id = killed(saved, step)
    told = resume(saved.system, run_id).told
    assert "it is completed now, the new state is live" in told
    assert f"database {'old' if step == 'swapping' else 'new'}" in told
    assert saved.state() == states[0]
    assert _outcome(saved, run_id) is RestoreEnding.RESTORED
    rollback(saved.system, run_id)
    assert saved.state() == states[1]


@pytest.mark.parametrize("step", ["staged database", "swapped database"])
def test_what_died_is_finished_without_a_person(saved: Any, killed: Any, states: States, step: str) -> None:
    run_id = killed(saved, step)
    (finished,) = reap_restores(saved.system)
    assert finished.run_id == run_id
    assert saved.state() == states[0 if step.startswith("swapped") else 1]
    assert saved.system.restores.unsettled() == []
    assert reap_restores(saved.system) == []


def test_what_another_host_may_still_be_doing_is_left_to_a_person(saved: Any, killed: Any) -> None:
    killed(saved, "staged database")
    leases = saved.system.leases
    leases.forget("restoring/live/")
    leases.acquire("restoring/live", "restore-1 another-host 4711 99")
    assert reap_restores(saved.system) == []
    leases.forget("restoring/live/")
    assert len(reap_restores(saved.system)) == 1


def test_a_rollback_of_a_restore_that_was_cut_off_leaves_the_old_state(saved: Any, killed: Any,
                                                                       states: States) -> None:
    run_id = killed(saved, "swapped database")
    rollback(saved.system, run_id)
    assert saved.state() == states[1]


def test_the_next_restore_first_finishes_the_one_that_was_cut_off(saved: Any, killed: Any,
                                                                  states: States) -> None:
    run_id = killed(saved, "swapped redis")
    done = restore(saved.system, wanted("redis", safety=False))
    assert any(note.startswith(f"{run_id}: it was cut off in its swap") for note in done.notes)
    assert saved.state() == states[0]
    assert saved.system.restores.unsettled() == []


def test_killed_while_it_saved_what_was_live_the_next_restore_does_all_of_it(saved: Any, killed: Any,
                                                                            states: States) -> None:
    killed(saved, "saved", safety=True)
    assert saved.state() == states[1]
    restore(saved.system, wanted())
    assert saved.state() == states[0]
    assert all(manifest.complete for manifest in saved.system.catalog().sets(Tier.PRE_RESTORE))


def _outcome(site: Any, run_id: str) -> RestoreEnding:
    ending: RestoreEnding = site.system.restores.state(run_id).outcome.ending
    return ending


def _left_at(site: Any) -> list[str]:
    """What a restore left beside what is live."""
    databases = site.rows("SELECT datname FROM pg_database WHERE datname LIKE 'nightscan\\_staged\\_%'")
    with site.redis() as client:
        marked = [name for name in client.info("keyspace") if name not in {"db0", "db1"}]
    return [*map(str, databases), *marked, *(path.name for path in site.root.glob(".nightscan_staged*"))]
