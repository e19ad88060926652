"""Restores of what is live: staged, compared, swapped; put back, and let go."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.ledger.restore_records import RestoreEnding
from nightscan_tasks.model import Tier
from nightscan_tasks.restore import Choice, Request, accept, plan_restore, restore, rollback
from nightscan_tasks.workflows import PRE_RESTORE
from nightscan_tasks.workflows.restore import wanted

States = tuple[dict[str, str], dict[str, str]]


def test_a_full_restore_brings_everything_back_and_saves_what_was_live(saved: Any,
                                                                       states: States) -> None:
    done = restore(saved.system, wanted())
    assert saved.state() == states[0]
    assert done.ending is RestoreEnding.RESTORED
    assert [each.component for each in done.components] == ["database", "redis", "user_data"]
    assert all(each.before for each in done.components)
    (safety,) = saved.system.catalog().sets(Tier.PRE_RESTORE)
    assert safety.complete
    assert any(str(safety.set_id) in note for note in done.notes)


def test_the_safety_set_holds_what_was_live(saved: Any, states: States) -> None:
    restore(saved.system, wanted())
    restore(saved.system, wanted(tier="pre_restore", safety=False))
    assert saved.state() == states[1]


def test_a_rollback_puts_the_old_state_back_and_may_be_repeated(saved: Any, states: States) -> None:
    done = restore(saved.system, Request(Choice()))
    for _ in range(2):
        rollback(saved.system, done.run_id)
        assert saved.state() == states[1]


def test_what_was_accepted_cannot_be_rolled_back(saved: Any, states: States) -> None:
    done = restore(saved.system, Request(Choice()))
    gone = accept(saved.system, done.run_id)
    assert len(gone.removed) >= 3
    assert saved.state() == states[0]
    with pytest.raises(RestoreRefused, match="let go"):
        rollback(saved.system, done.run_id)
    assert saved.state() == states[0]


def test_a_plan_changes_nothing_and_says_what_would_be(saved: Any, states: States) -> None:
    plan = plan_restore(saved.system, Request(Choice(), safety=PRE_RESTORE))
    assert saved.state() == states[1]
    assert plan.problems == ()
    assert plan.safety == ("database", "redis", "user_data")
    assert all(each.replaces and each.plain_bytes and each.expected_seconds for each in plan.components)
    assert saved.system.restores.run_ids() == []


def test_damage_is_refused_before_anything_changes_and_the_whole_copy_is_named(saved: Any,
                                                                               states: States) -> None:
    (manifest,) = saved.system.catalog().sets()
    path = Path(saved.environ["NIGHTSCAN_BACKUP_DIR"], str(manifest.set_id), "user_data.00.tar.gz.gpg")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(Exception, match="--from offsite") as caught:
        restore(saved.system, Request(Choice()))
    assert f"{manifest.set_id}/user_data.00.tar.gz.gpg" in str(caught.value)
    assert saved.state() == states[1]
    restore(saved.system, Request(Choice(store="offsite")))
    assert saved.state() == states[0]




def test_what_cannot_be_read_is_not_saved_first_and_that_is_said(saved: Any, states: States,
                                                                 postgres_server: Any) -> None:
    name = urlsplit(saved.environ["NIGHTSCAN_DATABASE_URI"]).path[1:]
    with psycopg.connect(postgres_server.superuser_dsn(), autocommit=True) as admin:
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
    done = restore(saved.system, wanted())
    assert saved.state() == states[0]
    assert any("could not be saved first: database" in note for note in done.notes)
    (safety,) = saved.system.catalog().sets(Tier.PRE_RESTORE)
    assert not safety.complete
    assert set(safety.components) == {"redis", "user_data"}


def test_what_could_be_saved_first_and_is_not_waits_for_a_decision(saved: Any, states: States) -> None:
    system = saved.with_settings(NIGHTSCAN_GPG_RECIPIENT="nobody@nightscan.com")
    with pytest.raises(RestoreRefused, match="--no-safety"):
        restore(system, wanted())
    assert saved.state() == states[1]
    restore(system, wanted(safety=False))
    assert saved.state() == states[0]
