"""A simulated past is a past: what reads records, reads these."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from nightscan_tasks.ledger import Ending
from nightscan_tasks.ledger.rotations import Rotations
from nightscan_tasks.model import Tier
from nightscan_tasks.replication import missing
from nightscan_tasks.restore.rates import forecast_recovery
from nightscan_tasks.rotation import plan
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.watch.book import Book
from nightscan_tasks.watch.problem import Kind
from nightscan_tasks.watch.samples import Samples, plan_filling
from nightscan_tasks.workflows import RETENTION
from nightscan_tasks.world.history import History, Trouble, write_history

WithPast = tuple[System, History]


def test_the_ledger_has_every_run_and_how_it_ended(with_past: WithPast) -> None:
    system, history = with_past
    assert system.ledger.run_ids() == sorted(past.run.run_id for past in history.runs)
    assert system.ledger.open_runs(now=system.clock()) == []
    endings = Counter(past.outcome.ending for past in history.runs)
    assert all(endings[ending] for ending in Ending)
    for past in history.runs:
        assert system.ledger.outcome(past.run.run_id) == past.outcome


def test_each_trouble_is_there(with_past: WithPast) -> None:
    system, history = with_past
    assert [past.outcome.ending for past in history.on(Trouble.INCOMPLETE)][-1] is Ending.INCOMPLETE
    assert all(past.outcome.stores == ("primary",) for past in history.on(Trouble.OUTAGE))
    assert [bool(past.outcome.suspicious) for past in history.runs].count(True) == 1
    assert history.on(Trouble.WIPED)[0].run.set_id in system.ledger.decisions.trusted()
    assert len(history.gap) == 4
    days = {past.run.opened_at.astimezone(system.settings.zone).date() for past in history.runs}
    assert not days & set(history.gap)
    assert [drill.passed for drill in system.restores.drills()][:4] == [True, False, True, False]


def test_the_sets_that_are_left_are_those_that_a_rotation_would_leave(with_past: WithPast) -> None:
    system, history = with_past
    assert sorted(system.catalog().ids()) == sorted(history.sets)
    for store in system.stores:
        assert plan(system, store, RETENTION).remove == ()
        rotated = Rotations(system.primary).last(store)
        assert rotated is not None
        assert rotated.kept == len(history.sets)
    assert missing(system, system.offsites[0]) == []


def test_it_grows(with_past: WithPast) -> None:
    system, history = with_past
    daily = [past.outcome for past in history.runs if past.outcome.ending is Ending.GOOD
             and past.run.set_id.tier is Tier.DAILY]
    assert daily[-1].plain_bytes > 1.1 * daily[0].plain_bytes
    assert daily[-1].plain_bytes == sum(each.plain_bytes for each in daily[-1].components.values())
    recovery = forecast_recovery(system)
    assert recovery is not None
    assert all(each.measured for each in recovery.components)


def test_the_same_seed_writes_the_same_past_and_another_another(tmp_path: Path, system: System) -> None:
    now = system.clock()
    made = []
    for number, seed in enumerate((4, 4, 5)):
        there = {"NIGHTSCAN_BACKUP_DIR": str(tmp_path / str(number)), "NIGHTSCAN_ROOT": str(tmp_path)}
        each = replace(system, settings=load(there))
        write_history(each, days=10, seed=seed, now=now)
        made.append([each.ledger.outcome(run_id) for run_id in each.ledger.run_ids()])
    assert made[0] == made[1] != made[2]


def test_it_can_end_badly(system: System) -> None:
    history = write_history(system, days=40, seed=2, now=system.clock(), well=False)
    assert history.runs[-1].outcome.ending is Ending.FAILED
    assert not system.restores.drills()[0].passed
    assert len(missing(system, system.offsites[0])) >= 2
    assert history.runs[-1].run.opened_at > system.clock() - timedelta(days=1)
    is_open = {alert.problem.kind for alert in Book(system.primary).page().alerts}
    assert is_open == {Kind.FAILED, Kind.UNREACHABLE, Kind.DRILL_FAILED}


def test_what_went_wrong_was_noticed_and_is_over(with_past: WithPast) -> None:
    system, history = with_past
    book = Book(system.primary)
    closed = list(book.closed())
    assert book.page().alerts == ()
    assert {alert.problem.kind for alert in closed} == {
        Kind.STALE, Kind.FAILED, Kind.UNREACHABLE, Kind.SUSPICIOUS, Kind.DRILL_FAILED}
    assert len(closed) == len(history.alerts)
    for alert in closed:
        assert alert.since <= alert.noticed_at <= (alert.closed_at or alert.since) < system.clock()
    filling = plan_filling(Samples(system.primary).of(system.primary))
    assert filling is not None
    assert filling.full_on is not None
