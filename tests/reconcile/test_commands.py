"""`nightscan reconcile` and its task, and the sample."""

import json
import shutil
from typing import Any

import pytest
from click.testing import CliRunner

from nightscan_tasks.cli import nightscan
from nightscan_tasks.tasks.proof import reconcile_user_data
from worker.queues import RESTORE, ROUTES


def test_the_command_tells_counts_names_and_exit_status(application: Any,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in application.environ.items():
        monkeypatch.setenv(name, value)
    application.save()
    shutil.rmtree(application.root / "uploads/2026")
    told = CliRunner().invoke(nightscan, ["reconcile", "--local"])
    assert told.exit_code == 3, told.output
    assert "missing: 2 files, which sets have" in told.stdout
    assert "Next: nightscan reconcile --apply" in told.stdout
    told = CliRunner().invoke(nightscan, ["reconcile", "--local", "--apply", "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["fetched"] == 2
    application.name("lost.wav")
    told = CliRunner().invoke(nightscan, ["reconcile", "--local", "--apply"])
    assert told.exit_code == 3
    assert "lost: 1 file" in told.stdout
    monkeypatch.setenv("NIGHTSCAN_RECONCILE", "nothing.at_all=uploads")
    assert CliRunner().invoke(nightscan, ["reconcile", "--local"]).exit_code == 1


def test_the_task_answers_in_json_where_restores_are_done(application: Any,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in application.environ.items():
        monkeypatch.setenv(name, value)
    assert json.loads(json.dumps(reconcile_user_data()))["in_order"] is True
    assert ROUTES["nightscan.reconcile_user_data"] == {"queue": RESTORE}


def test_the_sample_is_in_order_but_for_what_nobody_names(sampled_environ: dict[str, str],
                                                           application_of: Any) -> None:
    environ = {name: value for name, value in sampled_environ.items() if name != "AWS_BACKUP_BUCKET"}
    found = application_of(environ).reconcile()
    assert found.missing == found.counts.foreign == 0
    assert found.counts.named > 20
    assert found.orphans > 0
    assert all(path.startswith("uploads/imported/") for path in found.first_orphans)
