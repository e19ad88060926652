"""The application around a swap: stopped, started, looked at; and the old state back if it is not well."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.errors import RestoreRefused, RestoreUndone
from nightscan_tasks.ledger.restore_records import RestoreEnding
from nightscan_tasks.restore import Choice, Request, accept, restore, resume
from nightscan_tasks.workflows.restore import wanted

States = tuple[dict[str, str], dict[str, str]]


@pytest.fixture
def commands(tmp_path: Path) -> Any:
    """Settings whose commands write what was done to a file; `check` decides whether the application runs."""
    log = tmp_path / "services.log"

    def settings(*, stop: str = "", check: str = "") -> dict[str, str]:
        script = tmp_path / "service.py"
        script.write_text(f"""
import sys
with open({str(log)!r}, 'a') as log:
    print(sys.argv[1], file=log)
if sys.argv[1] == 'stop':
    {stop or 'pass'}
if sys.argv[1] == 'check':
    {check or 'pass'}
""")
        return {f"NIGHTSCAN_SERVICES_{name.upper()}": f"{sys.executable} {script} {name}"
                for name in ("stop", "start", "check")}

    settings.log = lambda: log.read_text().split() if log.exists() else []  # type: ignore[attr-defined]
    return settings


def test_the_application_stands_still_while_all_is_swapped(saved: Any, commands: Any, states: States) -> None:
    system = saved.with_settings(**commands())
    seen: dict[str, list[str]] = {}

    def step(done: str) -> None:
        seen[done] = commands.log()

    restore(system, Request(Choice()), step=step)
    assert saved.state() == states[0]
    assert "stop" not in seen["staged user_data"]
    assert "stop" in seen["swapped database"]
    assert "start" not in seen["swapped user_data"]
    assert [each for each in commands.log() if each != "check"] == ["stop", "start"]


def test_an_application_that_cannot_be_stopped_keeps_its_state(saved: Any, commands: Any,
                                                               states: States) -> None:
    system = saved.with_settings(**commands(stop="sys.exit('the lock is taken')"))
    with pytest.raises(RestoreRefused, match="the lock is taken"):
        restore(system, Request(Choice()))
    assert saved.state() == states[1]
    assert commands.log()[-1] == "start"
    (state,) = [system.restores.state(run_id) for run_id in system.restores.run_ids()]
    assert state.outcome.ending is RestoreEnding.FAILED


def test_an_application_that_does_not_stop_in_time_keeps_its_state(saved: Any, commands: Any,
                                                                   states: States) -> None:
    system = saved.with_settings(**commands(stop="import time; time.sleep(600)"),
                                 NIGHTSCAN_SERVICES_SECONDS="1")
    with pytest.raises(RestoreRefused, match="not done in 1 s"):
        restore(system, Request(Choice()))
    assert saved.state() == states[1]


def test_if_the_application_is_not_well_afterwards_the_old_state_comes_back(saved: Any, commands: Any,
                                                                            states: States) -> None:
    model = saved.root / "models/birds.pt"  # only the restored state has it
    system = saved.with_settings(**commands(
        check=f"import os; sys.exit('cannot load' if os.path.exists({str(model)!r}) else 0)"))
    with pytest.raises(RestoreUndone, match="cannot load") as caught:
        restore(system, Request(Choice()))
    assert saved.state() == states[1]
    assert "the old state is live again" in str(caught.value)
    run_id = system.restores.run_ids()[-1]
    assert system.restores.state(run_id).outcome.ending is RestoreEnding.ROLLED_BACK
    assert len(accept(system, run_id).removed) >= 3
    assert saved.state() == states[1]


def test_what_was_broken_before_and_is_no_business_of_the_restore_is_no_reason_to_go_back(
        saved: Any, states: States) -> None:
    saved.sql("DROP TABLE detection")  # not what is restored here
    restore(saved.system, Request(Choice(), ("redis",)))
    assert saved.state()["redis"] == "saved"


def test_one_table_of_two_that_are_lost_can_come_back(site: Any) -> None:
    site.sql("CREATE TABLE audit (line text)")
    site.save()
    site.sql("DROP TABLE audit", "DROP TABLE prediction CASCADE")
    restore(site.system, wanted("database", tables=["prediction"], safety=False))
    assert site.rows("SELECT count(*) FROM prediction") == [(20,)]
    assert site.rows("SELECT to_regclass('audit')") == [(None,)]


def test_a_restore_that_was_cut_off_and_is_not_well_once_completed_goes_back(
        saved: Any, killed: Any, commands: Any, states: States) -> None:
    run_id = killed(saved, "swapped database")
    model = saved.root / "models/birds.pt"
    system = saved.with_settings(**commands(
        check=f"import os; sys.exit('cannot load' if os.path.exists({str(model)!r}) else 0)"))
    assert "the old state is live again" in resume(system, run_id).told
    assert saved.state() == states[1]
