"""Metrics tell what is known, in Prometheus' words, and are silent of the rest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from nightscan_tasks.ledger import Ending
from nightscan_tasks.report.metrics import METRICS, metrics_text, samples
from nightscan_tasks.watch.alert import Alert, Told
from nightscan_tasks.watch.overview import CopySeen, Overview, SetSeen
from nightscan_tasks.watch.problem import Health, Kind, Problem, Severity

Values = Callable[..., float | None]
COMPONENTS = ("database", "redis", "user_data")


def newest(overview: Overview, tier: str) -> SetSeen:
    return next(each for each in overview.sets if each.set_id.tier == tier)


def with_newest(overview: Overview, changed: SetSeen) -> Overview:
    """The same, where the set of that name looks like this."""
    return replace(overview, sets=tuple(changed if each.set_id == changed.set_id else each
                                        for each in overview.sets))


def nothing_seen(overview: Overview) -> Overview:
    """What is left where the primary store does not answer."""
    return Overview(overview.site, overview.now, (), Health.CRITICAL, blind=("*",))


def test_promtool_finds_nothing_to_say(known: Overview, promtool: Callable[..., str]) -> None:
    assert promtool("check", "metrics", given=metrics_text(known)) == ""


def test_every_metric_is_there_once_all_is_known(known: Overview) -> None:
    text = metrics_text(known)
    assert {name for name, _, _ in samples(known)} == {each.name for each in METRICS}
    for each in METRICS:
        assert text.count(f"# HELP {each.name} ") == text.count(f"# TYPE {each.name} gauge\n") == 1


def test_no_row_is_there_twice_and_each_has_its_labels(known: Overview) -> None:
    rows = Counter((each.name, labels) for each in METRICS for labels, _ in each.rows(known))
    assert [row for row, times in rows.items() if times > 1] == []
    assert all(len(labels) == len(each.labels) for each in METRICS for labels, _ in each.rows(known))


def test_the_text_says_what_the_samples_say(known: Overview, read: Callable[[str], Any]) -> None:
    told = {(name, frozenset(labels.items())): value for name, labels, value in samples(known)}
    assert read(metrics_text(known)) == told


def test_nothing_of_this_process_and_nothing_of_another_overview_is_in_it(known: Overview) -> None:
    metrics_text(known)
    text = metrics_text(nothing_seen(known))
    assert "process_" not in text
    assert "python_" not in text
    assert "nightscan_sets{" not in text


def test_labels_are_few_and_no_ids(known: Overview, bad_past: Any) -> None:
    for overview in (known, bad_past.overview):
        text = metrics_text(overview)
        assert not re.search(r"\d{8}T\d{6}Z", text)
        assert not [store.url for store in overview.stores if store.url in text]
        assert len(text.splitlines()) < 700


def test_a_label_may_hold_whatever_a_person_sets(past: Any, value: Values) -> None:
    site = 'La "forêt" \\ du\nnord'
    overview = replace(past.overview, site=site)
    (version,) = {labels["version"] for name, labels, _ in samples(overview) if name == "nightscan_info"}
    assert value(overview, "nightscan_info", version=version, site=site) == 1


@pytest.mark.parametrize("store", ["primary", "offsite"])
@pytest.mark.parametrize("component", COMPONENTS)
def test_last_success_bytes_and_seconds_are_told_by_tier_component_and_store(
    past: Any, value: Values, component: str, store: str,
) -> None:
    found = newest(past.overview, "daily")
    outcome = next(run.outcome for run in past.overview.runs if run.set_id == found.set_id)
    labels = {"tier": "daily", "component": component, "store": store}

    def told(name: str) -> float | None:
        return value(past.overview, f"nightscan_backup_{name}", **labels)

    assert told("last_success_timestamp_seconds") == found.set_id.taken_at.timestamp()
    assert told("plain_bytes") == found.components[component].plain_bytes
    assert told("stored_bytes") == found.components[component].stored_bytes
    assert value(past.overview, "nightscan_backup_duration_seconds", tier="daily",
                 component=component) == outcome.components[component].elapsed_seconds
    assert told("freshness") == 0


def test_a_store_that_lacks_the_newest_set_tells_of_the_one_it_has(past: Any, value: Values) -> None:
    first = newest(past.overview, "daily")
    here = replace(first, copies=tuple(each for each in first.copies if each.store == "primary"))
    overview = with_newest(past.overview, here)
    before = next(each for each in overview.sets if each.set_id.tier == "daily" and each is not here)
    name = "nightscan_backup_last_success_timestamp_seconds"
    assert [value(overview, name, tier="daily", component="redis", store=store)
            for store in ("primary", "offsite")] == [
        first.set_id.taken_at.timestamp(), before.set_id.taken_at.timestamp()]
    assert value(overview, "nightscan_newest_set_copies", tier="daily") == 1
    assert value(overview, "nightscan_newest_set_offsite_copies", tier="daily") == 0


def test_a_component_that_failed_keeps_the_moment_of_its_last_success(past: Any, value: Values) -> None:
    first = newest(past.overview, "daily")
    left = {name: each for name, each in first.components.items() if name != "redis"}
    lacking = replace(first, components=left, complete=False)
    overview = with_newest(past.overview, lacking)
    name = "nightscan_backup_last_success_timestamp_seconds"
    times = {component: value(overview, name, tier="daily", component=component, store="primary")
             for component in COMPONENTS}
    assert times["redis"] is not None
    assert times["redis"] < times["database"] == first.set_id.taken_at.timestamp()  # type: ignore[operator]  # it is known
    assert value(overview, "nightscan_newest_set_complete", tier="daily") == 0


def test_a_set_of_a_clock_in_the_future_is_no_success(past: Any, value: Values) -> None:
    first = newest(past.overview, "daily")
    ahead = replace(first, set_id=replace(first.set_id, taken_at=past.overview.now + timedelta(days=300)))
    overview = replace(past.overview, sets=(ahead, *past.overview.sets))
    assert value(overview, "nightscan_backup_last_success_timestamp_seconds", tier="daily",
                 component="redis", store="primary") == first.set_id.taken_at.timestamp()


def test_verification_is_told_of_the_newest_set_and_of_the_last_good_reading(
    past: Any, value: Values,
) -> None:
    first = newest(past.overview, "daily")
    verified_at = {copy.store: copy.verified_at for copy in first.copies}
    overview = with_newest(past.overview, replace(first, copies=(
        CopySeen("primary", verified_at["primary"], ("3 bytes differ",)), CopySeen("offsite"))))
    before = next(each for each in overview.sets[1:] if each.set_id.tier == "daily")
    for store, damaged in (("primary", 1), ("offsite", 0)):
        (then,) = (copy.verified_at for copy in before.copies if copy.store == store)
        assert then is not None
        labels = {"tier": "daily", "store": store}
        assert value(past.overview, "nightscan_newest_set_verified", **labels) == 1
        assert value(overview, "nightscan_newest_set_verified", **labels) == 0
        assert value(overview, "nightscan_verified_timestamp_seconds", **labels) == then.timestamp()
        assert value(overview, "nightscan_damaged_copies", store=store) == damaged


def test_runs_are_counted_by_how_they_ended(bad_past: Any, value: Values) -> None:
    overview = bad_past.overview
    for ending in Ending:
        there = [run for run in overview.runs if run.set_id.tier == "daily" and run.outcome
                 and run.outcome.ending is ending]
        assert value(overview, "nightscan_runs", tier="daily", ending=ending) == len(there)
        recent = [run for run in there if run.opened_at >= overview.now - timedelta(days=30)]
        assert value(overview, "nightscan_recent_runs", tier="daily", ending=ending) == len(recent)
    last = next(run.outcome for run in overview.runs if run.set_id.tier == "daily")
    ended_at = last.settled_at.timestamp()
    assert last.ending is Ending.FAILED
    assert [value(overview, "nightscan_run_last_ending", tier="daily", ending=each) for each in Ending] == [
        float(each is Ending.FAILED) for each in Ending]
    assert value(overview, "nightscan_run_last_duration_seconds", tier="daily") == last.elapsed_seconds
    assert value(overview, "nightscan_run_last_timestamp_seconds", tier="daily") == ended_at


def test_drills_are_told_beside_their_objectives(bad_past: Any, value: Values) -> None:
    last = next(each for each in bad_past.overview.drills if each.kind == "routine")
    held = replace(last, drilled_at=last.drilled_at - timedelta(days=30), problems=())
    older = replace(held, drilled_at=last.drilled_at - timedelta(days=60), elapsed_seconds=1)
    overview = replace(bad_past.overview, drills=(older, held, last))
    assert not last.passed
    assert {what: value(overview, f"nightscan_drill_{what}", kind="routine")
            for what in ("last_timestamp_seconds", "last_passed", "last_success_timestamp_seconds",
                         "duration_seconds", "loss_seconds")} == {
        "last_timestamp_seconds": last.drilled_at.timestamp(), "last_passed": 0,
        "last_success_timestamp_seconds": held.drilled_at.timestamp(),
        "duration_seconds": last.elapsed_seconds, "loss_seconds": last.loss_seconds}
    assert last.components
    for each in last.components:
        assert value(overview, "nightscan_drill_recovery_seconds", kind="routine",
                     component=each.component) == each.elapsed_seconds
        assert value(overview, "nightscan_recovery_objective_seconds",
                     component=each.component) == each.objective_seconds


def test_queues_tell_what_the_broker_told(known: Overview, value: Values) -> None:
    told = {name: [value(known, f"nightscan_queue_{what}", queue=f"nightscan.{name}")
                   for what in ("depth", "workers", "oldest_seconds")]
            for name in ("fast", "heavy", "restore", "control")}
    assert told == {"fast": [0, 2, 0], "heavy": [3, 0, 90.5], "restore": [2, None, None],
                    "control": [None, None, None]}


def test_stores_tell_how_full_they_are(known: Overview, value: Values) -> None:
    told = [value(known, f"nightscan_store_{what}", store="offsite") for what in (
        "up", "free_bytes", "size_bytes", "consumption_bytes_per_second", "full_timestamp_seconds")]
    full = datetime.fromisoformat("2027-03-28T00:00+00:00").timestamp()
    assert told == [1, 5e11, 1e12, 4e9 / 86400, full]


def test_keys_tell_when_they_expire(known: Overview, value: Values) -> None:
    assert value(known, "nightscan_key_expiry_timestamp_seconds", use="encryption") == (
        known.now + timedelta(days=90)).timestamp()
    assert value(known, "nightscan_key_expiry_timestamp_seconds", use="signing") is None
    assert [value(known, "nightscan_key_usable", use=use) for use in ("encryption", "signing")] == [1, 0]


def test_each_kind_of_problem_is_told_also_when_there_is_none(past: Any, value: Values) -> None:
    stale = Problem(Kind.STALE, "daily@offsite", Severity.CRITICAL)
    overview = replace(past.overview, problems=(stale, replace(stale, subject="daily@primary")), blind=())
    told = {kind: [value(overview, "nightscan_problems", kind=kind, severity=severity)
                   for severity in Severity] for kind in Kind}
    assert told.pop(Kind.STALE) == [0, 2]
    assert set(map(tuple, told.values())) == {(0, 0)}


def test_what_nobody_looked_for_is_no_problem_of_which_there_is_none(past: Any, value: Values) -> None:
    remembered = Problem(Kind.WAITING, "nightscan.heavy", Severity.WARNING)
    overview = replace(past.overview, problems=(remembered,),
                       blind=("no_worker:*", "waiting:*", "unverified:daily@offsite"))
    told = {kind: value(overview, "nightscan_problems", kind=kind, severity="warning")
            for kind in ("no_worker", "waiting", "unverified")}
    assert told == {"no_worker": None, "waiting": 1, "unverified": 0}


@pytest.mark.parametrize("state", list(Health))
def test_health_is_one_state_of_all(past: Any, value: Values, state: Health) -> None:
    overview = replace(past.overview, health=state)
    assert {each: value(overview, "nightscan_health", state=each) for each in Health} == {
        each: float(each is state) for each in Health}


def test_alerts_that_nobody_was_told_of_are_counted(past: Any, value: Values) -> None:
    problem = Problem(Kind.STALE, "daily@primary", Severity.WARNING)
    now = past.overview.now
    told = Alert(problem, now, Severity.WARNING, {"mail": Told(now, Severity.WARNING)})
    overview = replace(past.overview, alerts=(
        told, replace(told, told={}), replace(told, closed_at=now), replace(told, told={}, closed_at=now)))
    assert value(overview, "nightscan_alerts_open", severity="warning") == 2
    assert value(overview, "nightscan_alerts_untold") == 1


def test_what_is_not_known_is_absent_and_not_zero(past: Any) -> None:
    there = {name for name, _, _ in samples(nothing_seen(past.overview))}
    assert there == {f"nightscan_{name}" for name in (
        "info", "gathered_timestamp_seconds", "health", "alerts_open", "alerts_untold",
        "recovery_loss_objective_seconds")}


def test_a_store_that_does_not_answer_leaves_open_how_many_copies_there_are(past: Any, value: Values) -> None:
    stores = tuple(replace(each, problem="no route") if each.name == "offsite" else each
                   for each in past.overview.stores)
    overview = replace(past.overview, stores=stores, sets=tuple(
        replace(each, copies=tuple(copy for copy in each.copies if copy.store != "offsite"))
        for each in past.overview.sets))
    assert value(overview, "nightscan_store_up", store="offsite") == 0
    assert value(overview, "nightscan_sets", tier="daily", store="offsite") is None
    assert value(overview, "nightscan_damaged_copies", store="offsite") is None
    assert value(overview, "nightscan_newest_set_copies", tier="daily") is None
    assert value(overview, "nightscan_backup_last_success_timestamp_seconds", tier="daily",
                 component="redis", store="offsite") is None
    assert value(overview, "nightscan_sets", tier="daily", store="primary")
